"""Inference by the Open Inference Protocol V2 over REST; the rest is in the modules beside."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from werkzeug.test import TestResponse

from service.operations.imports import import_model
from service.operations.uploads import Wishes
from tests.house import House
from tests.models.files import skops_bytes

HEADER: Final = "Inference-Header-Content-Length"
ROWS: Final = np.array([[5.0, 10.0], [1.0, 2.0]])
NUMBERS: Final = LogisticRegression().fit([[1, 2], [2, 4], [3, 6], [4, 8]], [0, 0, 1, 1])
WORDS: Final = np.array([["café", 1.0], ["no", 2.0], ["no", 3.0], ["café", 0.5]], dtype=object)
TEXTS: Final = make_pipeline(
    make_column_transformer((OneHotEncoder(), [0]), remainder="passthrough"), LogisticRegression()
).fit(WORDS, ["yes", "no", "no", "yes"])


@pytest.fixture(scope="module")
def kennel(shared_house: House, tmp_path_factory: pytest.TempPathFactory) -> House:
    """Acme with a classifier of two numbers, and one of a text and a number."""
    folder = tmp_path_factory.mktemp("models")
    for name, estimator in (("numbers", NUMBERS), ("texts", TEXTS)):
        path = folder / f"{name}.skops"
        path.write_bytes(skops_bytes(estimator))
        scope = shared_house.operator("acme")
        import_model(shared_house.platform, scope, name, path, Wishes(promote=False))
    return shared_house


def tensor(data: Any, name: str = "input", datatype: str = "FP64", **members: Any) -> Any:
    """An input with its data in the JSON."""
    shape = list(np.shape(data))
    return {"name": name, "shape": shape, "datatype": datatype, "data": data} | members


def ask(house: House, *inputs: Any, model: str = "linear", **members: Any) -> TestResponse:
    body = {"inputs": list(inputs)} | members
    return house.rob.post(f"/v2/models/{model}/infer", data=json.dumps(body))


def framed(document: Any, *parts: bytes) -> dict[str, Any]:
    """A body of JSON and binary tensors, with its header."""
    text = json.dumps(document).encode()
    return {"data": b"".join([text, *parts]), "headers": {HEADER: str(len(text))}}


def ask_binary(
    house: House, array: NDArray[Any], datatype: str, model: str = "linear", **members: Any
) -> TestResponse:
    described = {
        "name": "input",
        "shape": array.shape,
        "datatype": datatype,
        "parameters": {"binary_data_size": array.nbytes},
    }
    request = framed({"inputs": [described]} | members, array.tobytes())
    return house.rob.post(f"/v2/models/{model}/infer", **request)


def outputs(response: TestResponse) -> dict[str, Any]:
    """The outputs of a JSON answer, by name."""
    assert response.status_code == 200, response.text
    assert response.content_type == "application/json"
    assert HEADER not in response.headers
    return {output["name"]: output for output in response.get_json()["outputs"]}


def arrays(response: TestResponse) -> dict[str, NDArray[Any]]:
    """The binary outputs of an answer, by name."""
    assert response.status_code == 200, response.text
    assert response.content_type == "application/octet-stream"
    at = int(response.headers[HEADER])
    found = {}
    for output in json.loads(response.data[:at])["outputs"]:
        if size := output.get("parameters", {}).get("binary_data_size"):
            dtype = {"FP64": "<f8", "INT64": "<i8"}[output["datatype"]]
            values = np.frombuffer(response.data[at : at + size], dtype)
            found[output["name"]] = values.reshape(output["shape"])
            at += size
    assert at == len(response.data)
    return found


def refused(response: TestResponse, status: int = 400) -> str:
    """What is wrong, in the protocol's own form."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/json"
    body: dict[str, str] = response.get_json()
    assert body.keys() == {"error"}
    return body["error"]


def test_an_integer_that_32_bits_of_a_float_do_not_hold_is_refused(shared_house: House) -> None:
    def said(cell: float) -> str:
        return refused(ask(shared_house, tensor([[1, cell]], datatype="FP32")))

    for cell in (2**24 + 1, -(2**24) - 1, 2**30 + 1):
        assert said(cell).startswith("/inputs/0/data/1: an integer that 32 bits"), cell
    assert "2^53" in said(2**53 + 1)
    for held in (2**24, -(2**24), 2**24 + 2, 2**53, 16777217.0):
        assert ask(shared_house, tensor([[1, held]], datatype="FP32")).status_code == 200


def test_a_tensor_of_rows_is_answered_row_by_row(shared_house: House) -> None:
    answer = ask(shared_house, tensor(ROWS.tolist(), "whatever"), id="a7")

    body = answer.get_json()
    assert (body["model_name"], body["model_version"], body["id"]) == ("linear", "1", "a7")
    [output] = body["outputs"]
    assert output == {
        "name": "predict",
        "datatype": "FP64",
        "shape": [2],
        "data": pytest.approx([15, 3]),
    }


def test_an_answer_without_identifier_has_none(shared_house: House) -> None:
    assert "id" not in ask(shared_house, tensor([[5, 10]])).get_json()


def test_flat_data_are_the_same_as_nested(shared_house: House) -> None:
    nested = ask(shared_house, tensor(ROWS.tolist()))
    flat = ask(shared_house, tensor(ROWS.ravel().tolist()) | {"shape": [2, 2]})
    assert flat.data == nested.data


def test_one_row_needs_no_brackets(shared_house: House) -> None:
    assert outputs(ask(shared_house, tensor([5, 10])))["predict"]["data"] == [15.0]


def test_a_row_without_brackets_is_charged_as_one(house: House) -> None:
    before = house.rob.predict([[5, 10]]).headers["RateLimit"]
    after = ask(house, tensor([5, 10])).headers["RateLimit"]
    assert left(before) - left(after) == 1


def left(header: str) -> int:
    return int(header.partition('"rows_per_minute";r=')[2].partition(";")[0])


def test_columns_come_by_name_in_any_order(shared_house: House) -> None:
    x0, x1 = tensor([5, 1], "x0"), tensor([[10], [2]], "x1", "INT32")
    answer = outputs(ask(shared_house, x1, x0))["predict"]
    assert answer["data"] == pytest.approx([15, 3])


@pytest.mark.parametrize(
    "datatype",
    ["FP32", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"],
)
def test_every_type_of_number_is_taken_in_both_forms(shared_house: House, datatype: str) -> None:
    kinds = {"FP32": "<f4", "I": "<i", "U": "<u"}
    dtype = kinds.get(datatype) or kinds[datatype[0]] + str(int(datatype.lstrip("UINT")) // 8)
    plain = outputs(ask(shared_house, tensor([[5, 10], [1, 2]], datatype=datatype)))
    binary = outputs(ask_binary(shared_house, ROWS.astype(dtype), datatype))
    assert plain == binary
    assert plain["predict"]["data"] == pytest.approx([15, 3])


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
def test_short_floats_are_taken_in_binary_form_alone(shared_house: House, datatype: str) -> None:
    bits = ROWS.astype("<f4").view("<u4") >> 16
    array = ROWS.astype("<f2") if datatype == "FP16" else bits.astype("<u2")
    answer = outputs(ask_binary(shared_house, array, datatype))["predict"]
    assert answer["data"] == pytest.approx([15, 3])
    assert "binary form alone" in refused(ask(shared_house, tensor([[5, 10]], datatype=datatype)))


def test_truth_values_are_numbers_where_they_say_so(shared_house: House) -> None:
    answer = outputs(ask(shared_house, tensor([[True, False]], datatype="BOOL")))["predict"]
    assert answer["data"] == pytest.approx(
        shared_house.rob.predict([1, 0]).get_json()["prediction"]
    )
    assert "not a number but" in refused(ask(shared_house, tensor([[True, False]])))


def test_outputs_are_methods_in_the_order_asked(kennel: House) -> None:
    wanted = [{"name": "predict_proba"}, {"name": "predict"}]
    answer = outputs(ask(kennel, tensor(ROWS.tolist()), model="numbers", outputs=wanted))

    assert list(answer) == ["predict_proba", "predict"]
    assert answer["predict"]["datatype"] == "INT64"
    assert answer["predict"]["data"] == NUMBERS.predict(ROWS).tolist()
    assert answer["predict_proba"]["shape"] == [2, 2]
    assert answer["predict_proba"]["data"] == pytest.approx(NUMBERS.predict_proba(ROWS).ravel())


def test_every_output_costs_its_rows(kennel: House) -> None:
    one = ask(kennel, tensor(ROWS.tolist()), model="numbers")
    wanted = [{"name": "predict_proba"}, {"name": "predict"}]
    both = ask(kennel, tensor(ROWS.tolist()), model="numbers", outputs=wanted)
    assert left(one.headers["RateLimit"]) - left(both.headers["RateLimit"]) == 4


@pytest.mark.parametrize("binary", [False, True])
def test_texts_come_and_go_as_bytes(kennel: House, binary: bool) -> None:
    number, words = tensor([1.0, 3.0], "x1"), ["café", "no"]
    parts = [len(word.encode()).to_bytes(4, "little") + word.encode() for word in words]
    if binary:
        size = {"binary_data_size": sum(map(len, parts))}
        text = {"name": "x0", "shape": [2], "datatype": "BYTES", "parameters": size}
        document = {"inputs": [text, number], "parameters": {"binary_data_output": True}}
        request = framed(document, *parts)
        answer = kennel.rob.post("/v2/models/texts/infer", **request)
        at = int(answer.headers[HEADER])
        assert answer.data[at:] == b"\x03\0\0\0yes\x02\0\0\0no"
    else:
        answer = ask(kennel, tensor(words, "x0", "BYTES"), number, model="texts")
        assert outputs(answer)["predict"] | {"name": ""} == {
            "name": "",
            "datatype": "BYTES",
            "shape": [2],
            "data": ["yes", "no"],
        }


def test_binary_answers_are_what_a_request_asks_for(kennel: House) -> None:
    wish = {"parameters": {"binary_data_output": True}}
    answer = arrays(ask_binary(kennel, ROWS, "FP64", "numbers", **wish))
    assert answer["predict"].tolist() == NUMBERS.predict(ROWS).tolist()


def test_an_output_may_differ_from_the_others(kennel: House) -> None:
    wanted = [
        {"name": "predict", "parameters": {"binary_data": False}},
        {"name": "predict_proba"},
    ]
    response = ask_binary(
        kennel,
        ROWS,
        "FP64",
        "numbers",
        outputs=wanted,
        parameters={"binary_data_output": True},
    )
    assert arrays(response).keys() == {"predict_proba"}
    head = json.loads(response.data[: int(response.headers[HEADER])])
    assert head["outputs"][0]["data"] == NUMBERS.predict(ROWS).tolist()


def test_a_raw_body_is_rows_and_its_answer_binary(shared_house: House) -> None:
    path, raw = "/v2/models/linear/infer", {HEADER: "0"}
    answer = shared_house.rob.post(path, data=ROWS.tobytes(), headers=raw)
    assert arrays(answer)["predict"] == pytest.approx([15, 3])
    assert "each row of 2" in refused(shared_house.rob.post(path, data=b"1" * 20, headers=raw))


def test_a_raw_body_needs_a_model_with_one_input(kennel: House) -> None:
    answer = kennel.rob.post("/v2/models/texts/infer", data=b"no", headers={HEADER: "0"})
    assert "takes 2 inputs" in refused(answer)


CODERS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
}
DECODERS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
}


@pytest.mark.parametrize("coding", list(CODERS))
def test_bodies_are_compressed_both_ways(shared_house: House, coding: str) -> None:
    described = {"name": "x", "shape": [2, 2], "datatype": "FP64"}
    size = {"parameters": {"binary_data_size": 32 * 100}}
    many = {"inputs": [described | size | {"shape": [200, 2]}]}
    request = framed(many, np.tile(ROWS, (100, 1)).tobytes())
    request["data"] = CODERS[coding](request["data"])
    request["headers"] |= {"Content-Encoding": coding, "Accept-Encoding": f"br, {coding};q=0.5"}

    answer = shared_house.rob.post("/v2/models/linear/infer", **request)

    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Encoding"] == coding
    body = json.loads(DECODERS[coding](answer.data))
    assert body["outputs"][0]["data"] == pytest.approx([15, 3] * 100)


@pytest.mark.parametrize("accepted", ["", "br", "*", "gzip;q=0", "identity"])
def test_nothing_is_compressed_that_nobody_asked_for(shared_house: House, accepted: str) -> None:
    body = json.dumps({"inputs": [tensor([[5, 10]])]})
    headers = {"Accept-Encoding": accepted}
    answer = shared_house.rob.post("/v2/models/linear/infer", data=body, headers=headers)
    assert "Content-Encoding" not in answer.headers
    assert outputs(answer)["predict"]["data"] == [15.0]


def test_what_is_short_is_not_compressed(shared_house: House) -> None:
    body, headers = json.dumps({"inputs": [tensor([[5, 10]])]}), {"Accept-Encoding": "gzip"}
    answer = shared_house.rob.post("/v2/models/linear/infer", data=body, headers=headers)
    assert "Content-Encoding" not in answer.headers
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert outputs(answer)["predict"]["data"] == [15.0]


def test_other_codings_are_refused_with_those_that_are_read(shared_house: House) -> None:
    headers = {"Content-Encoding": "br"}
    answer = shared_house.rob.post("/v2/models/linear/infer", data=b"x", headers=headers)
    assert "br" in refused(answer, 415)
    assert answer.headers["Accept-Encoding"] == "gzip, deflate"


def test_a_body_is_bounded_by_what_it_decodes_to(shared_house: House) -> None:
    bomb = gzip.compress(bytes(shared_house.platform.settings.max_body_bytes + 1))
    headers = {"Content-Encoding": "gzip", HEADER: "0"}
    answer = shared_house.rob.post("/v2/models/linear/infer", data=bomb, headers=headers)
    most = shared_house.platform.settings.max_body_bytes
    assert refused(answer, 413) == f"the body decodes from gzip to more than {most} bytes"


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "a/b"])
def test_the_content_type_says_nothing(shared_house: House, kind: str | None) -> None:
    body = json.dumps({"inputs": [tensor([[5, 10]])], "model_name": "linear"})
    answer = shared_house.rob.post("/v2/models/linear/infer", data=body, content_type=kind)
    assert outputs(answer)["predict"]["data"] == [15.0]


def test_a_version_is_a_number_or_an_alias(house: House) -> None:
    house.add_version()
    house.ada.call("PUT", "/models/linear/aliases/canary", json={"version": 2})
    body = json.dumps({"inputs": [tensor([[5, 10]])]})
    for version, number in (("1", "1"), ("2", "2"), ("canary", "2"), ("champion", "1")):
        answer = house.rob.post(f"/v2/models/linear/versions/{version}/infer", data=body)
        assert answer.get_json()["model_version"] == number
    for version in ("3", "none", "0", "-1", "%00"):
        answer = house.rob.post(f"/v2/models/linear/versions/{version}/infer", data=body)
        assert refused(answer, 404).startswith("Request for unknown model: ")


def test_what_json_cannot_hold_is_answered_in_binary_form(kennel: House) -> None:
    rows, wanted = [[-1e9, -1e9]], [{"name": "predict_log_proba"}]
    with np.errstate(divide="ignore"):
        expected = NUMBERS.predict_log_proba(rows)
    assert -np.inf in expected
    plain = ask(kennel, tensor(rows), model="numbers", outputs=wanted)
    assert "ask for binary data" in refused(plain)
    wish = {"outputs": wanted, "parameters": {"binary_data_output": True}}
    answer = arrays(ask_binary(kennel, np.array(rows), "FP64", "numbers", **wish))
    assert answer["predict_log_proba"] == pytest.approx(expected)
