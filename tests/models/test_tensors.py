from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.bounds import Bounds
from models.errors import InputRefused, InputTooLarge
from models.tensors import read_prediction_request
from tests.models import reference

BOUNDS = Bounds(max_bytes=1 << 20, max_rows=1000, max_columns=200, max_depth=8)
ROW = b'{"features":[1,2]'

NAUGHTY = [
    # body, path, part of the problem
    (b"", "", "the body is empty"),
    (b" \n", "", "the body is empty"),
    (b"null", "", "not an object"),
    (b"[[1,2]]", "", "not an object"),
    (b'"features"', "", "not an object"),
    (b"{}", "/features", "missing"),
    (b'{"model":"linear"}', "/features", "missing"),
    (b'{"features":1}', "/features", "neither a row nor a list of rows"),
    (b'{"features":null}', "/features", "neither a row"),
    (b'{"features":"1,2"}', "/features", "neither a row"),
    (b'{"features":{"0":1}}', "/features", "neither a row"),
    (b'{"features":[]}', "/features", "empty"),
    (b'{"features":[[]]}', "/features/0", "an empty row"),
    (b'{"features":[[1,2],[]]}', "/features/1", "an empty row"),
    (b'{"features":[[],[]]}', "/features/0", "an empty row"),
    (b'{"features":[1,"2"]}', "/features/1", "not a number but a string"),
    (b'{"features":["1","2"]}', "/features/0", "not a number but a string"),
    (b'{"features":[[1,2],[3,4],[5,6],[7,"x"]]}', "/features/3/1", "not a number"),
    (b'{"features":[[1,2],"34"]}', "/features/1", "not a row but a string"),
    (b'{"features":[[1],{"1":1}]}', "/features/1", "not a row but an object"),
    (b'{"features":[[1,2],3]}', "/features/1", "not a row but a number"),
    (b'{"features":[1,[2]]}', "/features/1", "not a number but a list"),
    (b'{"features":[1,null]}', "/features/1", "not a number but null"),
    (b'{"features":[[1,null]]}', "/features/0/1", "not a number but null"),
    (b'{"features":[true,1]}', "/features/0", "not a number but true or false"),
    (b'{"features":[[1,2],[3,false]]}', "/features/1/1", "not a number but true or false"),
    (b'{"features":[{"x":1}]}', "/features/0", "not a number but an object"),
    (b'{"features":[[[1]]]}', "/features/0/0", "not a number but a list"),
    (b'{"features":[[1,2],[3]]}', "/features/1", "1 columns, where the first row has 2"),
    (b'{"features":[[1],[2,3]]}', "/features/1", "2 columns, where the first row has 1"),
    (b'{"features":[NaN]}', "/features/0", "not a finite number"),
    (b'{"features":[[1,2],[3,nan]]}', "/features/1/1", "not a finite number"),
    (b'{"features":[1, Infinity]}', "/features/1", "not a finite number"),
    (b'{"features":[[-Infinity]]}', "/features/0/0", "not a finite number"),
    (b'{"model":"m","features":[1,1e999]}', "/features/1", "beyond what a 64-bit float holds"),
    (b'{"features":[[1],[-1e400]]}', "/features/1/0", "beyond what a 64-bit float holds"),
    (b'{"features":[9007199254740993]}', "/features/0", "an integer beyond 2^53"),
    (b'{"features":[[1,-9007199254740993]]}', "/features/0/1", "an integer beyond 2^53"),
    (b'{"features":[1,18446744073709551616]}', "/features/1", "an integer beyond 2^53"),
    (b'{"features":[1,1' + b"0" * 300 + b"]}", "/features/1", "an integer beyond 2^53"),
    (b'{"features":[1' + b"0" * 5000 + b"]}", "/features/0", "beyond what a 64-bit float holds"),
    (b'{"features":[1],"features":[2]}', "/features", "given more than once"),
    (b'{"features":[1],"model":"a","model":"a"}', "/model", "given more than once"),
    (b'{"features":[1],"f\\u0065atures":[2]}', "", "given more than once"),
    (b'{"features":[{"a":1}],"features":[2]}', "/features", "given more than once"),
    (b'{"features":[1],"rows":2}', "/rows", "unknown field"),
    (b'{"features":[1],"a/b~c":2}', "/a~1b~0c", "unknown field"),
    (b'{"features":[1],"":2}', "/", "unknown field"),
    (ROW + b',"model":null}', "/model", "not the name of a model"),
    (ROW + b',"model":7}', "/model", "not the name of a model"),
    (ROW + b',"model":"../x"}', "/model", "not the name of a model"),
    (ROW + b',"model":"a:b"}', "/model", "not the name of a model"),
    (ROW + b',"model":"linear\\u0000"}', "/model", "not the name of a model"),
    (ROW + b',"model":"linear\\n"}', "/model", "not the name of a model"),
    (ROW + b',"version":0}', "/version", "neither a version's number"),
    (ROW + b',"version":-1}', "/version", "neither"),
    (ROW + b',"version":1.0}', "/version", "neither"),
    (ROW + b',"version":true}', "/version", "neither"),
    (ROW + b',"version":null}', "/version", "neither"),
    (ROW + b',"version":"01"}', "/version", "neither"),
    (ROW + b',"version":1e999}', "", "beyond what a 64-bit float holds"),
    (ROW + b',"version":99999999999999999999999}', "/version", "neither"),
    (ROW, "", "not JSON"),
    (ROW + b"}}", "", "not JSON"),
    (ROW + b"} x", "", "not JSON"),
    (ROW + b"}{}", "", "not JSON"),
    (ROW + b"}\x00", "", "not JSON"),
    (ROW + b",}", "", "not JSON"),
    (b'{"features":[1,]}', "", "not JSON"),
    (b'{"features":[,1]}', "", "not JSON"),
    (b'{"features":[01]}', "", "not JSON"),
    (b'{"features":[+1]}', "", "not JSON"),
    (b'{"features":[.5]}', "", "not JSON"),
    (b'{"features":[1.]}', "", "not JSON"),
    (b'{"features":[0x10]}', "", "not JSON"),
    (b'{"features":[1_000]}', "", "not JSON"),
    (b"{'features':[1]}", "", "not JSON"),
    (b"{features:[1]}", "", "not JSON"),
    (b'{"features":[1]/**/}', "", "not JSON"),
    (b'\xef\xbb\xbf{"features":[1]}', "", "not JSON"),
    ('{"features":[1]}'.encode("utf-16"), "", "not JSON"),
    (b'\xff{"features":[1]}', "", "not JSON"),
    (ROW + b',"model":"\xc3\x28"}', "", "not JSON"),
    (ROW + b',"model":"\\ud800"}', "", "not JSON"),
    (ROW + b',"model":"\xed\xa0\x80"}', "", "not JSON"),
    (b'{"features":' + b"[" * 9 + b"1" + b"]" * 9 + b"}", "", "nested deeper than 8"),
    (b"[" * 900, "", "nested deeper than 8"),
    (b'{"features":' * 9 + b"1" + b"}" * 9, "", "nested deeper than 8"),
    (b"[" * 100_000, "/features", "more than 1000 rows"),
    (b'{"features":[' + b"[1]," * 1000 + b"[1]]}", "/features", "more than 1000 rows"),
    (b'{"features":[' + b"1," * 200 + b"1]}", "/features", "more than 200 columns"),
    (b'{"features":[[' + b"1," * 200 + b"1]]}", "/features", "more than 200 columns"),
    (b'{"features":[[1],[' + b"1," * 900 + b"1]]}", "/features", "more than 200 columns"),
]


@pytest.mark.parametrize(("body", "path", "problem"), NAUGHTY)
def test_naughty_body_is_refused_with_what_and_where(body: bytes, path: str, problem: str) -> None:
    with pytest.raises(InputRefused) as refused:
        read_prediction_request(body, BOUNDS)

    assert refused.value.path.startswith(path)
    assert path == "/features" or refused.value.path == path
    assert problem in refused.value.problem


@pytest.mark.parametrize(
    ("body", "rows", "model", "version"),
    [
        (b'{"features":[5,10]}', [[5, 10]], None, None),
        (b' {\n"features" : [ [5 , 10.5], [-0, 1E+2] ]\t}\r\n', [[5, 10.5], [0, 100]], None, None),
        (b'{"version":"3","features":[1],"model":"linear"}', [[1]], "linear", 3),
        (b'{"features":[1],"version":12}', [[1]], None, 12),
        (b'{"features":[1],"version":"canary"}', [[1]], None, "canary"),
        (b'{"features":[1],"model":"features"}', [[1]], "features", None),
        (b'{"features":[1],"model":"true-or-false"}', [[1]], "true-or-false", None),
        (b'{"features":[9007199254740992]}', [[2.0**53]], None, None),
        (b'{"features":[1e300,1e22,-1e16]}', [[1e300, 1e22, -1e16]], None, None),
        (b'{"features":[1e-999]}', [[0]], None, None),
        (b'{"f\\u0065atures":[1]}', [[1]], None, None),
        (b'{"features":[' + b'[1],' * 20 + b'[2]]}', [[1]] * 20 + [[2]], None, None),
    ],
)  # fmt: skip
def test_well_formed_body_is_read(
    body: bytes, rows: list[list[float]], model: str | None, version: int | str | None
) -> None:
    request = read_prediction_request(body, BOUNDS)

    assert request.features.tolist() == rows
    assert (request.model, request.version) == (model, version)


def test_features_are_a_writable_contiguous_float64_matrix() -> None:
    features = read_prediction_request(b'{"features":[[1,2],[3,4]]}', BOUNDS).features

    assert features.dtype == np.float64
    assert features.flags.c_contiguous
    assert features.flags.writeable


def test_too_long_body_is_refused_before_it_is_looked_at() -> None:
    with pytest.raises(InputTooLarge) as refused:
        read_prediction_request(b"x" * (BOUNDS.max_bytes + 1), BOUNDS)

    assert refused.value.size == BOUNDS.max_bytes + 1


def test_as_many_rows_and_columns_as_allowed_are_read() -> None:
    body = json.dumps({"features": [[0.5] * 200] * 1000}).encode()

    assert read_prediction_request(body, BOUNDS).features.shape == (1000, 200)


def test_brackets_within_a_name_are_no_nesting() -> None:
    body = b'{"features":[1],"model":"' + b'[{\\"' * 20 + b'"}'

    with pytest.raises(InputRefused) as refused:
        read_prediction_request(body, BOUNDS)

    assert refused.value.path == "/model"


def test_one_wrong_cell_of_a_large_body_is_named() -> None:
    rows: list[list[object]] = [[1.5] * 30 for _ in range(999)]
    rows[701][17] = None
    body = json.dumps({"features": rows}).encode()

    with pytest.raises(InputRefused) as refused:
        read_prediction_request(body, BOUNDS)

    assert refused.value.path == "/features/701/17"


def _agree(body: bytes) -> None:
    try:
        expected = reference.read(body)
    except reference.Refused:
        with pytest.raises(InputRefused):
            read_prediction_request(body, BOUNDS)
        return
    request = read_prediction_request(body, BOUNDS)
    rows, model, version = expected
    assert request.features.tolist() == rows
    assert not any(math.isnan(value) for row in request.features.tolist() for value in row)
    assert (request.model, request.version) == (model, version)


numbers = st.one_of(
    st.integers(-(2**70), 2**70),
    st.integers(2**53 - 3, 2**53 + 3),
    st.floats(allow_nan=True, allow_infinity=True),
)
cells = st.one_of(numbers, numbers, numbers, st.none(), st.booleans(), st.text(max_size=3))
values = st.recursive(
    cells,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
features = st.one_of(
    st.lists(numbers, min_size=1, max_size=5),
    st.integers(1, 4).flatmap(
        lambda n: st.lists(st.lists(numbers, min_size=n, max_size=n), min_size=1, max_size=5)
    ),
    st.lists(st.lists(cells, max_size=3), max_size=4),
    values,
)
names = st.sampled_from(["linear", "m", "A", "a:b", "", "true", "1"]) | st.text(max_size=4)
envelopes = st.fixed_dictionaries(
    {"features": features},
    optional={
        "model": names | values,
        "version": st.integers(-1, 10**16) | names | values,
        "x": values,
    },
)


@given(envelopes, st.booleans())
def test_fast_reader_and_plain_reference_agree_on_requests(
    envelope: dict[str, object], ascii_only: bool
) -> None:
    text = json.dumps(envelope, ensure_ascii=ascii_only)
    _agree(text.encode(errors="surrogatepass"))


MARKS = [*'{}[],:"tf', "\\", "\\u0065", '{"features":[1]}', "[[1,2],[3,4]]"]
WORDS = ['"features"', '"model"', '"version"', '"m"', "true", "false", "null", "NaN", "-Infinity"]
NUMBERS = ["0", "1", "2.5", "-3", "1e5", "1e999", "9007199254740993", "12345678901234567890"]


@given(st.lists(st.sampled_from(MARKS + WORDS + NUMBERS), max_size=12))
@example(['{"features":', "[1]", ',"model":', '"m"', ',"model":', '"m"', "}"])
def test_fast_reader_and_plain_reference_agree_on_pieces_of_json(pieces: list[str]) -> None:
    _agree(" ".join(pieces).encode())


@given(st.binary(max_size=8), st.integers(0, 60), st.integers(0, 4))
def test_fast_reader_and_plain_reference_agree_on_damaged_bodies(
    junk: bytes, at: int, removed: int
) -> None:
    body = b'{"features":[[1,2.5],[-3,4e2]],"model":"linear","version":2}'
    _agree(body[:at] + junk + body[at + removed :])


@given(st.lists(st.sampled_from([b"[", b"]", b"{", b"}", b'"', b"\\", b",", b"1"]), max_size=60))
def test_no_arrangement_of_brackets_and_quotes_breaks_the_reader(pieces: list[bytes]) -> None:
    with pytest.raises(InputRefused):
        read_prediction_request(b"".join(pieces), BOUNDS)
