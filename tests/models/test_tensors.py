from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.errors import InputRefused, InputTooLarge
from models.requests import pieces, tensors
from models.requests.binding import Named, Positional, Records
from models.requests.bounds import Bounds
from models.requests.tensors import PredictionRequest, read_prediction_request
from models.signature import Output, Signature
from models.tables import Matrix, Table
from tests.models import reference


@pytest.fixture(autouse=True, scope="module", params=["whole", "in pieces"])
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every body is read in one piece, and in pieces of a few numbers: nobody can tell."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tensors, "LONG_BYTES", 0 if request.param == "in pieces" else 1 << 30)
        patch.setattr(pieces, "PIECE_BYTES", 12)
        yield str(request.param)


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
    (b'{"features":[[1,2],[3,nan]]}', "/features/1/1", "send null where the model takes missing"),
    (b'{"records":[{"a":1},{"b":"]{","a/b":NaN}]}', "/records/1/a~1b", "send null"),
    (b'{"columns":{"a":[1,2],"b":[3,NaN]}}', "/columns/b/1", "send null"),
    (b'{"columns":{"a":[1,2],"b":[[],-1e999]}}', "/columns/b/1", "beyond what a 64-bit float"),
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
    (ROW + b',"version":1e999}', "/version", "beyond what a 64-bit float holds"),
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
    (b'{"records":[{' + b'"a":1,' * 900 + b'"b":1}]}', "/features", "more than 200 columns"),
]


def _numbers(columns: int) -> Signature:
    """The signature of a model that takes so many numbers."""
    return Signature(
        task="regression",
        columns=columns,
        feature_names=None,
        classes=None,
        methods={"predict": Output("number")},
    )


def _read(body: bytes) -> tuple[PredictionRequest, Matrix]:
    """Read a request, and bind it to a model of numbers that has as many columns."""
    request = read_prediction_request(body, BOUNDS)
    rows = request.rows
    columns = len(rows.rows[0]) if isinstance(rows, Positional) else 2
    columns = rows.shape[1] if isinstance(rows, np.ndarray) else columns
    features = request.bound(_numbers(columns))
    assert isinstance(features, np.ndarray)
    return request, features


@pytest.mark.parametrize(("body", "path", "problem"), NAUGHTY)
def test_naughty_body_is_refused_with_what_and_where(body: bytes, path: str, problem: str) -> None:
    with pytest.raises(InputRefused) as refused:
        _read(body)

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
    request, features = _read(body)

    assert features.tolist() == rows
    assert (request.model, request.version) == (model, version)


PEOPLE = Signature(
    task="classification",
    columns=3,
    feature_names=("age", "city", "a/b"),
    kinds=("number", "text", "number"),
    missing=True,
    classes=("no", "yes"),
    methods={"predict": Output("text"), "predict_proba": Output("number", 2)},
)


@pytest.mark.parametrize(
    "body",
    [
        b'{"features":[[1,"x",2.5],[null,null,3]]}',
        b'{"records":[{"age":1,"city":"x","a/b":2.5},{"a/b":3}]}',
        b'{"records":[{"a/b":2.5,"city":"x","age":1},{"city":null,"a/b":3,"age":null}]}',
        b'{"columns":{"city":["x",null],"a/b":[2.5,3],"age":[1,null]}}',
        b'{"columns":{"c\\u0069ty":["x",null],"a/b":[2.5,3],"age":[1,null]},"method":"predict"}',
    ],
)
def test_rows_mean_the_same_by_position_and_by_name(body: bytes) -> None:
    request = read_prediction_request(body, BOUNDS)
    table = request.bound(PEOPLE)

    assert isinstance(table, Table)
    assert table.kinds == PEOPLE.kinds
    assert len(request.rows) == len(table) == 2
    assert table.columns[0].tolist() == [1, pytest.approx(math.nan, nan_ok=True)]
    assert table.columns[1].tolist() == ["x", None]
    assert table.columns[2].tolist() == [2.5, 3]


@pytest.mark.parametrize(
    ("body", "path", "problem"),
    [
        (b'{"records":[]}', "/records", "not a list of objects"),
        (b'{"records":{"age":1}}', "/records", "not a list of objects"),
        (b'{"records":[{"age":1},[1]]}', "/records/1", "not an object"),
        (b'{"records":[{"age":1,"Age":2}]}', "/records/0/Age", "no column of the model"),
        (b'{"records":[{"a/b":1,"x/y":2}]}', "/records/0/x~1y", "has age, city, a/b"),
        (b'{"records":[{"age":"1"}]}', "/records/0/age", "not a number but a string"),
        (b'{"records":[{"age":1},{"age":true}]}', "/records/1/age", "true or false"),
        (b'{"records":[{"city":1}]}', "/records/0/city", "not a text but a number"),
        (b'{"records":[{"a/b":[1]}]}', "/records/0/a~1b", "a list"),
        (b'{"records":[{"age":1,"age":2}]}', "", "more than once"),
        (b'{"records":[{"city":"a:b","age":1,"a\\u0067e":2}]}', "", "more than once"),
        (b'{"records":[{"age":9007199254740993}]}', "", "beyond 2^53"),
        (b'{"records":[{"age":99999999999999999999999}]}', "", "beyond 2^53"),
        (b'{"records":[' + b'{},' * 1000 + b'{}]}', "/records", "more than 1000 rows"),
        (b'{"columns":{}}', "/columns", "not an object"),
        (b'{"columns":[1]}', "/columns", "not an object"),
        (b'{"columns":{"age":1}}', "/columns/age", "not a list"),
        (b'{"columns":{"age":[]}}', "/columns/age", "not a list"),
        (b'{"columns":{"age":[1],"city":[]}}', "/columns/city", "not a list"),
        (b'{"columns":{"age":[1],"city":["a","b"]}}', "/columns/city", "longer or shorter"),
        (b'{"columns":{"age":[1],"b":[2]}}', "/columns/b", "no column of the model"),
        (b'{"columns":{"age":[1,{}]}}', "/columns/age/1", "an object"),
        (b'{"columns":{"age":[' + b"1," * 1000 + b"1]}}", "/columns", "more than 1000 rows"),
        (b'{"features":[["1","x",2]]}', "/features/0/0", "not a number but a string"),
        (b'{"features":[1,2,3]}', "/features/0/1", "a number, where the model takes a text"),
        (b'{"features":[[1,"x"]]}', "/features", "2 columns, where the model takes 3"),
        (b'{"features":[1,"x",2],"records":[{}]}', "/records", "given beside features"),
        (b'{"features":[1,"x",2],"method":"Predict"}', "/method", "not the name of a method"),
        (b'{"features":[1,"x",2],"method":null}', "/method", "not the name of a method"),
        (b'{"features":[1,"x",2],"features":[1,"x",2]}', "/features", "more than once"),
    ],
)  # fmt: skip
def test_named_or_mixed_rows_that_do_not_fit_are_refused_with_what_and_where(
    body: bytes, path: str, problem: str
) -> None:
    with pytest.raises(InputRefused) as refused:
        read_prediction_request(body, BOUNDS).bound(PEOPLE)

    assert (refused.value.path, problem in refused.value.problem) == (path, True), refused.value


def test_missing_value_is_refused_where_the_model_takes_none() -> None:
    strict = replace(PEOPLE, missing=False)
    for body, path in [
        (b'{"features":[[1,null,2]]}', "/features/0/1"),
        (b'{"records":[{"age":1,"city":"x"}]}', "/records/0/a~1b"),
        (b'{"columns":{"age":[1],"a/b":[1]}}', "/columns/city/0"),
    ]:
        with pytest.raises(InputRefused) as refused:
            read_prediction_request(body, BOUNDS).bound(strict)
        assert refused.value.path == path


def test_numbers_by_name_become_a_matrix_in_the_models_order() -> None:
    numbers = replace(_numbers(2), feature_names=("a", "b"), missing=True)
    matrix = read_prediction_request(b'{"records":[{"b":1,"a":2},{"b":3}]}', BOUNDS).bound(numbers)

    assert isinstance(matrix, np.ndarray)
    assert matrix.flags.c_contiguous
    assert np.array_equal(matrix, np.array([[2, 1], [math.nan, 3]]), equal_nan=True)


def test_columns_of_a_model_without_names_are_called_by_their_place() -> None:
    matrix = read_prediction_request(b'{"columns":{"x1":[1],"x0":[2]}}', BOUNDS).bound(_numbers(2))

    assert isinstance(matrix, np.ndarray)
    assert matrix.tolist() == [[2, 1]]


def test_text_may_hold_whatever_json_is_written_with() -> None:
    text = '{}[]:,"\\ 12345678901234567890 \n'
    body = json.dumps({"features": [[1, text, 2]] * 3, "method": "predict_proba"}).encode()
    request = read_prediction_request(body, BOUNDS)
    table = request.bound(PEOPLE)

    assert isinstance(table, Table)
    assert table.columns[1].tolist() == [text] * 3
    assert request.method == "predict_proba"


cells = st.one_of(st.none(), st.text(max_size=6), st.floats(allow_nan=False), st.booleans())
members = st.dictionaries(st.sampled_from(["age", "city", "a/b", "z", ":"]), cells)


@given(st.lists(members, min_size=1, max_size=4), st.booleans())
def test_records_are_bound_exactly_as_written_or_refused(
    records: list[dict[str, Any]], ascii_only: bool
) -> None:
    body = json.dumps({"records": records}, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    names = PEOPLE.feature_names or ()
    wanted = (float, str, float)
    fits = all(
        name in names and (value is None or type(value) is wanted[names.index(name)])
        for record in records
        for name, value in record.items()
    ) and not any(isinstance(v, float) and math.isinf(v) for r in records for v in r.values())
    try:
        table = read_prediction_request(body, BOUNDS).bound(PEOPLE)
    except InputRefused:
        assert not fits or _is_large(records) or "surrogates" in _encoding_problem(records)
        return
    assert fits
    assert isinstance(table, Table)
    for position, name in enumerate(names):
        for row, record in enumerate(records):
            value, bound = record.get(name), table.columns[position][row]
            assert bound == value or (value is None and (bound is None or math.isnan(bound)))


def _is_large(records: list[dict[str, Any]]) -> bool:
    """Whether a float is written like an integer beyond 2^53."""
    values = [value for record in records for value in record.values()]
    return any(isinstance(v, float) and abs(v) >= 2**53 for v in values)


def _encoding_problem(records: list[dict[str, Any]]) -> str:
    try:
        json.dumps(records, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        return str(error)
    return ""


def test_features_are_a_writable_contiguous_float64_matrix() -> None:
    _, features = _read(b'{"features":[[1,2],[3,4]]}')

    assert features.dtype == np.float64
    assert features.flags.c_contiguous
    assert features.flags.writeable


def test_too_long_body_is_refused_before_it_is_looked_at() -> None:
    with pytest.raises(InputTooLarge) as refused:
        read_prediction_request(b"x" * (BOUNDS.max_bytes + 1), BOUNDS)

    assert refused.value.size == BOUNDS.max_bytes + 1


def test_as_many_rows_and_columns_as_allowed_are_read() -> None:
    body = json.dumps({"features": [[0.5] * 200] * 1000}).encode()

    assert _read(body)[1].shape == (1000, 200)


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
        _read(body)

    assert refused.value.path == "/features/701/17"


def _agree(body: bytes) -> None:
    try:
        expected = reference.read(body)
    except reference.Refused:
        with pytest.raises(InputRefused):
            _read(body)
        return
    request, features = _read(body)
    rows, model, version = expected
    assert features.tolist() == rows
    assert not any(math.isnan(value) for row in features.tolist() for value in row)
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


def test_records_are_bounded_by_their_rows_and_not_by_all_their_values() -> None:
    body = b'{"records":[' + b",".join([b'{"x0":1,"x1":2}'] * 500) + b"]}"
    assert read_prediction_request(body, BOUNDS).bound(_numbers(2)).shape == (500, 2)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "rows", [Records([{}] * 5_000), Named({"x0": [1.0] * 5_000})], ids=["records", "columns"]
)
def test_values_left_out_are_bounded_because_each_takes_memory(rows: Records | Named) -> None:
    with pytest.raises(InputRefused, match="left out"):
        PredictionRequest(rows, None, None).bound(_numbers(1_000))
