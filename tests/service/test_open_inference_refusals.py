"""What the Open Inference Protocol refuses, in its own words; and that it copies nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from models.errors import InputRefused
from models.requests.bounds import Bounds
from models.signature import Output, Signature
from models.tables import Matrix, Table
from service.open_inference.datatypes import decode_texts, encode_texts
from service.open_inference.inference_requests import Target, read_request
from service.operations import predictions
from service.wsgi import BODY
from tests.house import House
from tests.service.test_open_inference import (
    HEADER,
    ROWS,
    ask,
    ask_binary,
    framed,
    refused,
    tensor,
)

GOOD: Final = {"name": "input", "shape": [2, 2], "datatype": "FP64", "data": [1, 2, 3, 4]}
BOUNDS: Final = Bounds(max_bytes=10**6, max_rows=100, max_columns=50, max_depth=8)
SIGNATURE: Final = Signature(
    task="regression",
    columns=2,
    feature_names=("a", "b"),
    classes=None,
    methods={"predict": Output("number")},
)
TARGET: Final = Target(model="m", version=None, bounds=BOUNDS, signature=lambda: SIGNATURE)
MISSING: Final = object()


def changed(**members: Any) -> dict[str, Any]:
    """A good input with other members, some left out."""
    return {name: value for name, value in (GOOD | members).items() if value is not MISSING}


@pytest.mark.parametrize(
    ("member", "value", "said"),
    [
        ("shape", MISSING, "/inputs/0/shape: missing"),
        ("shape", "2", "not a list of the sizes"),
        ("shape", [], "not 1 to 8 dimensions"),
        ("shape", [1] * 9, "not 1 to 8 dimensions"),
        ("shape", [2, -2], "/inputs/0/shape/1: negative"),
        ("shape", [2, 2.0], "/inputs/0/shape/1: not an integer"),
        ("shape", [True, 4], "/inputs/0/shape/0: not an integer"),
        ("shape", [2, 3], "4 elements, where the shape [2, 3] has 6"),
        ("shape", [2**62, 4], "4 elements"),  # 2^64 elements, which are 0 to a 64-bit counter
        ("shape", [2**62 + 1, 4], "4 elements"),
        ("shape", [0, 2], "4 elements"),
        ("shape", [2, 1, 2], "neither rows of a matrix nor one column"),
        ("data", MISSING, "/inputs/0/data: missing"),
        ("data", None, "not a list but null"),
        ("data", {"a": 1}, "not a list but an object"),
        ("data", [1, 2, 3], "3 elements"),
        ("data", [[1, 2, 3], [4]], "neither flat nor nested like the shape"),
        ("data", [[1, 2], 3], "neither flat nor nested like the shape"),
        ("data", [1, 2, 3, [4]], "/inputs/0/data/3: not a number but a list"),
        ("data", [1, 2, 3, "4"], "/inputs/0/data/3: not a number but a string"),
        ("data", [1, 2, 3, True], "/inputs/0/data/3: not a number but true or false"),
        ("data", [1, 2, 3, None], "/inputs/0/data/1/1: not a finite number"),
        ("data", [1, 2, 3, 2**53 + 1], "an integer beyond 2^53"),
        ("datatype", MISSING, "none of BOOL, UINT8"),
        ("datatype", "FP128", "none of BOOL, UINT8"),
        ("datatype", ["FP64"], "none of BOOL, UINT8"),
        ("datatype", "BYTES", "/inputs/0/data/0: not a string"),
        ("datatype", "BOOL", "/inputs/0/data/0: not true or false"),
        ("name", MISSING, "/inputs/0/name: not a text"),
        ("name", 7, "/inputs/0/name: not a text"),
        ("name", "a" * 201, "/inputs/0/name: not a text"),
        ("parameters", [], "/inputs/0/parameters: not an object"),
        ("parameters", {"a": {}}, "/inputs/0/parameters/a: neither a string"),
        ("parameters", {"binary_data_size": 32}, "given beside binary_data_size"),
        ("parameters", {"shared_memory_region": "x"}, "there is no shared memory"),
        ("parameters", {"content_type": "base64"}, "none of np, pd, str"),
    ],
)
def test_a_wrong_input_is_refused_with_its_place(
    shared_house: House, member: str, value: Any, said: str
) -> None:
    assert said in refused(ask(shared_house, changed(**{member: value})))


@pytest.mark.parametrize(
    ("cells", "datatype", "said"),
    [
        ([1, 2, 3, 4.0], "INT32", "/inputs/0/data/3: not an integer"),
        ([1, 2, 3, 128], "INT8", "/inputs/0/data/3: beyond what INT8 holds"),
        ([1, 2, 3, -1], "UINT64", "/inputs/0/data/3: beyond what UINT64 holds"),
        ([1, 2, 3, 1e39], "FP32", "not a finite number"),
        ([1, 2, 3, 2**53 + 1], "INT64", "an integer beyond 2^53"),
        (["a", "b", "c", "d"], "BYTES", "BYTES, where the model takes numbers"),
    ],
)
def test_a_value_is_of_its_type(
    shared_house: House, cells: list[Any], datatype: str, said: str
) -> None:
    assert said in refused(ask(shared_house, changed(data=cells, datatype=datatype)))


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"inputs": []}, "give at least one tensor"),
        ({"inputs": None}, "give at least one tensor"),
        ({"inputs": {}}, "/inputs: not a list of objects"),
        ({"inputs": [GOOD, 1]}, "/inputs/1: not an object"),
        ({"inputs": [GOOD, GOOD]}, "the input 'input' is given twice"),
        ({"inputs": [tensor([1], "x0"), tensor([1, 2], "x1")]}, "2 rows, where the first"),
        ({"inputs": [tensor([1], "x0"), tensor([1], "zz")]}, "no input of the model, which has x0"),
        ({"inputs": [tensor([1], "x0")]}, "no tensor for the column 'x1'"),
        ({"inputs": [tensor([[1, 2], [3, 4]], "x0"), tensor([1, 2], "x1")]}, "'x0' is one"),
        ({"inputs": [tensor([[1, 2, 3]])]}, "3 columns, where the model takes 2"),
        ({"inputs": [tensor([1, 2, 3])]}, "3 columns, where the model takes 2"),
        ({"outputs": {}}, "/outputs: not a list of objects"),
        ({"outputs": [{"name": "nothing"}]}, "no method 'nothing'; it has predict"),
        ({"outputs": [{"name": "predict"}] * 2}, "the output 'predict' is given twice"),
        ({"outputs": [{}]}, "/outputs/0/name: not a text"),
        ({"outputs": [{"name": "predict", "parameters": {"binary_data": 1}}]}, "neither true nor"),
        ({"outputs": [{"name": "predict", "parameters": {"classification": 2}}]}, "predict_proba"),
        ({"id": 7}, "/id: not a string"),
        ({"parameters": 7}, "/parameters: not an object"),
        ({"parameters": {"a": None}}, "/parameters/a: neither a string"),
        ({"parameters": {"binary_data_output": "yes"}}, "neither true nor false"),
        ({"parameters": {"priority": -1}}, "/parameters/priority: not an integer from 0"),
        ({"parameters": {"timeout": "1"}}, "/parameters/timeout: not an integer from 0"),
        ({"parameters": {"sequence_id": 7}}, "keeps anything from one request to the next"),
        ({"parameters": {"headers": "x"}}, "/parameters/headers: a reserved name"),
        ({"parameters": {"triton_x": 1}}, "/parameters/triton_x: a reserved name"),
    ],
)
def test_a_wrong_request_is_refused_with_its_place(
    shared_house: House, members: dict[str, Any], said: str
) -> None:
    body = json.dumps({"inputs": [GOOD]} | members)
    assert said in refused(shared_house.rob.post("/v2/models/linear/infer", data=body))


def test_parameters_without_a_meaning_here_are_left_alone(shared_house: House) -> None:
    members = {"priority": 1, "timeout": 1, "mine": "x", "sequence_id": 0, "content_type": "np"}
    assert ask(shared_house, GOOD, parameters=members).status_code == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "the body is empty"),
        (b"{", "not JSON"),
        (b"[]", "not an object"),
        (b'{"inputs": [], "inputs": []}', "given more than once"),
        (
            b'{"inputs": [{"data": [[1], [NaN]]}]}',
            "/inputs/0/data/1/0: not a finite number; send null",
        ),
        (b'{"a": {"b": 1, "\\u0062": 1}}', "given more than once"),
        (b'{"inputs": ' + b"[" * 200 + b"]" * 200 + b"}", "nested deeper than 8"),
        (b'{"inputs": ' + b"[" * 100_000, "nested deeper than 8"),
    ],
)
def test_a_body_that_is_no_request_is_refused(shared_house: House, body: bytes, said: str) -> None:
    assert said in refused(shared_house.rob.post("/v2/models/linear/infer", data=body))


@pytest.mark.parametrize(
    ("length", "said"),
    [
        ("x", "is not an integer"),
        ("1_0", "is not an integer"),
        ("", "is not an integer"),
        ("9" * 30, "is not an integer"),
        ("-1", "is negative"),
        ("1000000", "where the body has"),
        ("10", "not JSON"),
    ],
)
def test_a_header_that_lies_is_refused(shared_house: House, length: str, said: str) -> None:
    request = framed({"inputs": [GOOD]}) | {"headers": {HEADER: length}}
    assert said in refused(shared_house.rob.post("/v2/models/linear/infer", **request))


@pytest.mark.parametrize(
    ("size", "sent", "said"),
    [
        (32, 31, "32 bytes, where 31 are left"),
        (32, 33, "unexpected additional input data: 1 bytes"),
        (24, 24, "4 elements of FP64 are 32 bytes, where 24 are given"),
        (-1, 32, "not an integer from 0"),
        ("32", 32, "not an integer from 0"),
        (True, 32, "not an integer from 0"),
        (2**62, 32, "where 32 are left"),
    ],
)
def test_a_size_that_lies_is_refused(shared_house: House, size: Any, sent: int, said: str) -> None:
    described = changed(data=MISSING, parameters={"binary_data_size": size})
    request = framed({"inputs": [described]}, bytes(sent))
    assert said in refused(shared_house.rob.post("/v2/models/linear/infer", **request))


def test_binary_data_without_their_header_are_refused(shared_house: House) -> None:
    described = changed(data=MISSING, parameters={"binary_data_size": 32})
    assert "where 0 are left" in refused(ask(shared_house, described))


@pytest.mark.parametrize("shape", [[2**62, 4], [2**61, 8, 2], [2**31, 2**31, 4]])
def test_a_shape_that_overflows_is_refused(shared_house: House, shape: list[int]) -> None:
    described = changed(data=MISSING, shape=shape, parameters={"binary_data_size": 32})
    request = framed({"inputs": [described]}, bytes(32))
    assert "where 32 are given" in refused(
        shared_house.rob.post("/v2/models/linear/infer", **request)
    )


def test_what_is_not_finite_is_refused_in_binary_form_too(shared_house: House) -> None:
    rows = np.array([[1.0, 2.0], [3.0, np.inf]])
    said = refused(ask_binary(shared_house, rows, "FP64"))
    assert said == "/inputs/0/data/1/1: not a finite number"


def test_rows_and_columns_are_bounded(shared_house: House) -> None:
    bounds = shared_house.platform.bounds
    long = np.zeros((bounds.max_rows + 1, 2), np.int8)
    assert "more than 100000 rows" in refused(ask_binary(shared_house, long, "INT8"))
    wide = np.zeros((1, bounds.max_columns + 1), np.int8)
    assert "more than 10000 columns" in refused(ask_binary(shared_house, wide, "INT8"))
    lists: list[Any] = [[]] * (bounds.max_rows + 4 * bounds.max_columns + 9)
    assert "lists and objects" in refused(ask(shared_house, changed(data=lists)))


def test_whatever_is_refused_has_the_form_of_the_protocol(shared_house: House) -> None:
    client, rob = shared_house.client, shared_house.rob
    assert refused(client.post("/v2/models/linear/infer"), 401)
    forged = {"Authorization": "Bearer x.y.z"}
    answer = client.post("/v2/models/linear/infer", headers=forged)
    assert refused(answer, 401)
    assert "invalid_token" in answer.headers["WWW-Authenticate"]
    assert refused(rob.post("/v2/repository/models/linear/unload"), 403)
    assert refused(rob.get("/v2/nothing/here"), 404)
    assert refused(rob.get("/v2/models/linear/infer"), 405)
    too_large = bytes(shared_house.platform.settings.max_body_bytes + 1)
    assert refused(rob.post("/v2/models/linear/infer", data=too_large), 413)
    said = refused(rob.get("/v2/models/none"), 404)
    assert said.startswith("Request for unknown model: ")


def test_over_the_limit_is_refused_with_when_to_come_back(house: House) -> None:
    limits = {"limits": {"rows_per_minute": 3}}
    assert house.olga.call("PATCH", "/admin/limits?tenant=acme", json=limits).status_code == 200
    assert ask(house, tensor(ROWS.tolist())).status_code == 200
    answer = ask(house, tensor(ROWS.tolist()))
    assert "rows_per_minute" in refused(answer, 429)
    assert int(answer.headers["Retry-After"]) >= 1


def aligned(array: Matrix) -> tuple[bytes, int]:
    """A binary request whose rows lie at a multiple of eight."""
    described = {
        "name": "x",
        "shape": array.shape,
        "datatype": "FP64",
        "parameters": {"binary_data_size": array.nbytes},
    }
    text = json.dumps({"inputs": [described]}).encode()
    text += b" " * (-len(text) % 8)
    return text + array.tobytes(), len(text)


def test_aligned_rows_reach_the_engine_without_a_copy(
    shared_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    body, length = aligned(ROWS)
    seen: list[Any] = []
    execute = predictions.execute

    def watched(*given: Any) -> Any:
        seen.extend(one for one in given if isinstance(one, np.ndarray))
        return execute(*given)

    monkeypatch.setattr(predictions, "execute", watched)
    answer = shared_house.rob.post(
        "/v2/models/linear/infer",
        data=body,
        headers={HEADER: str(length)},
        environ_overrides={BODY: body},  # as the gateway hands it over
    )
    assert answer.status_code == 200, answer.text
    assert np.array_equal(seen[0], ROWS)
    assert np.shares_memory(seen[0], np.frombuffer(body, np.uint8))


def test_rows_at_any_place_are_read_alike() -> None:
    body, length = aligned(ROWS)
    for shift in range(8):
        moved = body[:length] + b" " * shift + body[length:]
        asked, _ = read_request(TARGET, moved, str(length + shift))
        rows = asked.bound(SIGNATURE)
        assert isinstance(rows, np.ndarray)
        assert np.array_equal(rows, ROWS)


def test_missing_values_are_null_nan_or_a_column_left_out() -> None:
    takes = replace(SIGNATURE, missing=True)
    for inputs in (
        [tensor([[1.0, None], [2.0, 3.0]])],
        [tensor([1.0, 2.0], "a"), tensor([None, 3.0], "b")],
    ):
        asked, _ = read_request(TARGET, json.dumps({"inputs": inputs}).encode(), None)
        rows = asked.bound(takes)
        assert isinstance(rows, np.ndarray)
        assert np.array_equal(rows, [[1.0, np.nan], [2.0, 3.0]], equal_nan=True)
        with pytest.raises(InputRefused, match="not a finite number"):
            asked.bound(SIGNATURE)
    texts = replace(takes, kinds=("text", "number"))
    inputs = [tensor(["x", None], "a", "BYTES")]
    target = replace(TARGET, signature=lambda: texts)
    asked, _ = read_request(target, json.dumps({"inputs": inputs}).encode(), None)
    table = asked.bound(texts)
    assert isinstance(table, Table)
    assert table.columns[0].tolist() == ["x", None]
    assert np.isnan(table.columns[1]).all()
    with pytest.raises(InputRefused, match="no tensor for the column 'b'"):
        asked.bound(replace(texts, missing=False))


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.text(max_size=5), max_size=6))
def test_texts_survive_their_binary_form(texts: list[str]) -> None:
    encoded = encode_texts(texts)
    assert decode_texts(encoded, len(texts), "").tolist() == texts
    for cut in (encoded[:-1], encoded + b"\0", encoded + bytes(4)):
        if cut != encoded:
            with pytest.raises(InputRefused):
                decode_texts(cut, len(texts), "")


@pytest.mark.parametrize(
    "data",
    [b"\xff\xff\xff\xff", b"\x01\0\0\0", b"\x01\0\0\0\xff", b"\x02\0\0\0a", b"\0\0\0", b""],
)
def test_a_length_of_a_text_that_lies_is_refused(data: bytes) -> None:
    with pytest.raises(InputRefused):
        decode_texts(data, 1, "")


def test_more_texts_than_bytes_are_refused_before_there_is_room_for_them() -> None:
    with pytest.raises(InputRefused, match="cannot hold"):
        decode_texts(b"\0" * 4, 2**60, "")


SMALL: Final = st.integers(-2, 40)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    shape=st.lists(SMALL, max_size=3),
    size=SMALL,
    sent=st.integers(0, 40),
    shift=st.integers(-200, 200),
    datatype=st.sampled_from(["FP64", "FP32", "BYTES", "BOOL", "BF16", "INT64"]),
)
@example(shape=[2, 2], size=16, sent=16, shift=0, datatype="FP32")
@example(shape=[1, 2], size=8, sent=8, shift=0, datatype="BYTES")
def test_no_framing_is_read_beyond_its_bytes(
    shape: list[int], size: int, sent: int, shift: int, datatype: str
) -> None:
    described: dict[str, Any] = {"name": "x", "shape": shape, "datatype": datatype}
    described["parameters"] = {"binary_data_size": size}
    text = json.dumps({"inputs": [described]}).encode()
    try:
        asked, _ = read_request(TARGET, text + bytes(sent), str(len(text) + shift))
        rows = asked.bound(SIGNATURE)
    except InputRefused:
        return
    assert shift == 0 or len(text) + shift == 0
    assert len(rows) == len(asked) >= 1
