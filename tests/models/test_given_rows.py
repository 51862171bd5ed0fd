from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from models.columns import Columns, columns_of
from models.errors import GivenRowsRefused
from models.given_rows import MOST_ROWS, read_expected_answers, read_given_rows
from models.tables import Table
from tests.models.files import npy_bytes, skops_bytes
from tests.models.workshops import take_in

FEATURES = np.arange(24.0).reshape(8, 3)
COLOURS = np.array(["red", "blue", "red", "blue"] * 2, dtype=object)
NUMBERS = columns_of(LinearRegression().fit(FEATURES, FEATURES[:, 0]))


def _parquet(**columns: Any) -> bytes:
    buffer = io.BytesIO()
    pd.DataFrame(columns).to_parquet(buffer)
    return buffer.getvalue()


def _mixed() -> Any:
    frame = pd.DataFrame({"colour": pd.Series(COLOURS, dtype=object), "size": FEATURES[:, 1]})
    columns = ColumnTransformer([("colours", OneHotEncoder(), ["colour"])], remainder="passthrough")
    model = make_pipeline(columns, LogisticRegression())
    return model.fit(frame, np.where(COLOURS == "red", "warm", "cold"))


MIXED: Columns = columns_of(_mixed())


@pytest.mark.parametrize(
    "data",
    [
        orjson.dumps(FEATURES.tolist()),
        orjson.dumps({"X": FEATURES.tolist()}),
        orjson.dumps([dict(zip("abc", row, strict=True)) for row in FEATURES.tolist()]),
        orjson.dumps({"columns": dict(zip("abc", FEATURES.T.tolist(), strict=True))}),
        orjson.dumps(dict(zip("abc", FEATURES.T.tolist(), strict=True))),
        "\n".join(",".join(map(str, row)) for row in FEATURES).encode(),
        b"a,b,c\r\n" + "\r\n".join(",".join(map(str, row)) for row in FEATURES).encode(),
        npy_bytes(FEATURES),
        npy_bytes(np.asfortranarray(FEATURES)),
        npy_bytes(FEATURES.astype(np.int32)),
        _parquet(a=FEATURES[:, 0], b=FEATURES[:, 1], c=FEATURES[:, 2]),
    ],
    ids=[
        "rows",
        "X",
        "records",
        "columns",
        "bare columns",
        "csv",
        "csv with names",
        "npy",
        "fortran",
        "integers",
        "parquet",
    ],
)
def test_rows_of_every_format_are_the_same_rows(data: bytes) -> None:
    features = read_given_rows(data).features(NUMBERS)

    assert isinstance(features, np.ndarray)
    assert features.tolist() == FEATURES.tolist()


@pytest.mark.parametrize(
    "data",
    [
        orjson.dumps([{"size": 1.5, "colour": "red"}, {"size": 2, "colour": None}]),
        b"size,colour\n1.5,red\n2,\n",
        _parquet(size=[1.5, 2.0], colour=["red", None]),
    ],
    ids=["records", "csv", "parquet"],
)
def test_columns_are_put_in_order_by_their_names_and_may_have_holes(data: bytes) -> None:
    table = read_given_rows(data).features(MIXED)

    assert isinstance(table, Table)
    assert table.columns[0][0] == "red"
    assert table.columns[0][1] in (None, "")
    assert table.columns[1].tolist() == [1.5, 2.0]


def test_numbers_that_are_missing_are_nan() -> None:
    for data in (b"1,,nan\n1,2,3\n", orjson.dumps([[1, None, None], [1, 2, 3]])):
        features = read_given_rows(data).features(NUMBERS)
        assert isinstance(features, np.ndarray)
        assert np.isnan(features[0, 1:]).all()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "bytes"),
        (b"[]", "neither"),
        (b"[[]]", "none"),
        (b"{}", "no list"),
        (b"[[1,2],[1]]", "neither"),
        (b"[[1,2],{}]", "neither"),
        (b'[{"a":1},{"b":1}]', "same members"),
        (b'{"a":[1],"b":[1,2]}', "one length"),
        (b"[1,2", "no JSON"),
        (b"a,b\n1\n", "as many cells"),
        (b"\xff\xfe\x00", "no JSON, CSV, Parquet or npy"),
        (b'"', "JSON, CSV, Parquet or npy"),
        (b"PAR1", "Parquet file is broken"),
        (b"PAR1" + bytes(100) + b"PAR1", "Parquet file is broken"),
        (npy_bytes(np.array([None]), pickled=True), "dtype object"),
        (npy_bytes(np.ones((2, 2, 2))), "as long as"),
        (npy_bytes(np.ones(4))[:-1], "as long as"),
        (npy_bytes(np.ones(2, [("a", "f8")])), "dtype"),
        (b"\x93NUMPY\x01\x00", "npy file is broken"),
        (b"\x93NUMPY\x09\x00" + bytes(200), "npy file is broken"),
    ],
)
def test_malformed_rows_are_refused_and_the_fault_named(data: bytes, problem: str) -> None:
    with pytest.raises(GivenRowsRefused, match=problem):
        read_given_rows(data)


def test_array_that_claims_more_than_is_there_allocates_nothing() -> None:
    text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (100000000000,), }"
    text += b" " * (117 - len(text)) + b"\n"
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text

    with pytest.raises(GivenRowsRefused, match="as long as"):
        read_given_rows(data)


@pytest.mark.parametrize(
    "data",
    [
        b"1\n" * (MOST_ROWS + 1),
        npy_bytes(np.zeros((MOST_ROWS + 1, 1))),
        orjson.dumps([[1]] * (MOST_ROWS + 1)),
        _parquet(a=np.zeros(MOST_ROWS + 1)),
    ],
    ids=["csv", "npy", "json", "parquet"],
)
def test_more_rows_than_are_taken_are_refused(data: bytes) -> None:
    with pytest.raises(GivenRowsRefused, match="more than 10000 rows"):
        read_given_rows(data)


def test_rows_of_another_width_or_kind_are_refused() -> None:
    with pytest.raises(GivenRowsRefused, match="2 columns, the model takes 3"):
        read_given_rows(b"[[1,2]]").features(NUMBERS)
    with pytest.raises(GivenRowsRefused, match="column 2 has no number"):
        read_given_rows(b'[[1,"x",3]]').features(NUMBERS)
    assert read_given_rows(b'[[1,"x",3],["",null,4]]').texts(NUMBERS) == {1}
    assert read_given_rows(b"1,x,3\n4,5,6\n").texts(NUMBERS) == {1}
    with pytest.raises(GivenRowsRefused, match="column 1 has a number"):
        read_given_rows(b"[[1,2]]").features(MIXED)
    with pytest.raises(GivenRowsRefused, match="no column 'colour'"):
        read_given_rows(b'[{"size":1,"kolour":"red"}]').features(MIXED)


@pytest.mark.parametrize(
    ("data", "answers"),
    [
        (b"[1,2.5,3]", [1.0, 2.5, 3.0]),
        (b'["a","b"]', ["a", "b"]),
        (b'["007","12"]', ["007", "12"]),
        (b"[true,false]", [True, False]),
        (b"[[1,2],[3,4]]", [[1, 2], [3, 4]]),
        (b'{"y":[1,2]}', [1, 2]),
        (b"1\n2\n", [1, 2]),
        (b"y\n1\n2\n", [1, 2]),
        (b"up\ndown\n", ["up", "down"]),
        (npy_bytes(np.array([1, 2])), [1, 2]),
        (npy_bytes(np.array(["up", "down"])), ["up", "down"]),
    ],
)
def test_expected_answers_are_read_as_what_they_are(data: bytes, answers: Any) -> None:
    assert read_expected_answers(data, rows=len(answers)).tolist() == answers


def test_column_of_texts_that_the_model_does_not_look_at_is_one_of_texts() -> None:
    frame = pd.DataFrame({"note": pd.Series(COLOURS, dtype=object), "size": FEATURES[:, 1]})
    columns = ColumnTransformer([("sizes", StandardScaler(), ["size"])])
    model = make_pipeline(columns, LinearRegression()).fit(frame, FEATURES[:, 0])
    given = frame.to_json(orient="records").encode()

    assert take_in(skops_bytes(model)).contents.signature.kinds is None
    prepared = take_in(skops_bytes(model), rows=given)
    assert prepared.contents.signature.kinds == ("text", "number")
    assert prepared.contents.parity
    assert prepared.contents.parity.rows >= 5000


# --- with a model --------------------------------------------------------------------------------


def _taken_in(model: Any, rows: bytes, answers: bytes | None = None) -> list[str]:
    told: list[str] = []
    take_in(
        skops_bytes(model),
        rows=rows,
        answers=answers,
        on_progress=lambda _stage, note: told.append(note),
    )
    return told


SUM = LinearRegression().fit(FEATURES, FEATURES.sum(axis=1))
ROWS = orjson.dumps(FEATURES.tolist())


def test_rows_given_with_a_model_are_answered_and_told() -> None:
    assert "8 given rows are answered" in _taken_in(SUM, ROWS)


def test_model_that_gives_the_expected_answers_is_taken() -> None:
    answers = orjson.dumps([round(x, 9) for x in FEATURES.sum(axis=1).tolist()])

    assert "8 given rows are answered as expected" in _taken_in(SUM, ROWS, answers)


def test_labels_are_expected_as_text_or_number() -> None:
    labels = np.array([0, 1] * 4)
    rows = np.where(labels[:, None] > 0, 5.0, -5.0) * np.ones((1, 3))
    model = LogisticRegression().fit(rows, labels)

    _taken_in(model, npy_bytes(rows), b"\n".join(str(x).encode() for x in labels))
    _taken_in(model, npy_bytes(rows), npy_bytes(labels))
    _taken_in(_mixed(), b"colour,size\nred,1\nblue,2\n", b"warm\ncold\n")


@pytest.mark.parametrize(
    ("rows", "answers", "problem"),
    [
        (ROWS, orjson.dumps([0] * 8), "8 of 8 are answered otherwise"),
        (ROWS, orjson.dumps([3, 12, 21, 30, 39, 48, 57, 66.1]), "the first is row 8"),
        (ROWS, orjson.dumps([1, 2]), "the expected answers are"),
        (b"[[1,2]]", None, "2 columns"),
        (b"[[null,1,2]]", None, "the model fails on them"),
    ],
)
def test_model_that_does_not_do_as_expected_is_refused(
    rows: bytes, answers: bytes | None, problem: str
) -> None:
    with pytest.raises(GivenRowsRefused, match=problem):
        _taken_in(SUM, rows, answers)
