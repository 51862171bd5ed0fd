"""Rows out of files: what each form says, and what is refused of it."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.reading import Unreadable, csv_lines
from models.tables import Table
from tests.models.row_files import FORMS, NAMED, matrix, opened, read, wanted, written

each_form = pytest.mark.parametrize("form", FORMS)
each_named_form = pytest.mark.parametrize("form", NAMED)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=64)
MIXED = wanted("number", "text", names=("age", "plan"), missing=True)


def refused(form: str, data: bytes, taken: Any, **options: Any) -> Unreadable:
    with pytest.raises(Unreadable) as caught:
        read(form, data, taken, **options)
    return caught.value


@each_form
@given(rows=st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=20), most=st.integers(1, 7))
@settings(max_examples=15, deadline=None)
def test_every_number_is_read_as_it_was_written(
    form: str, rows: list[tuple[float, float]], most: int
) -> None:
    given_rows = np.array(rows)
    data = written(form, given_rows)
    if form == "csv":
        data = "".join(f"{a!r},{b!r}\n" for a, b in rows).encode()
    assert np.array_equal(matrix(read(form, data, wanted(), most=most)), given_rows)


@each_form
def test_batches_are_as_large_as_was_asked(form: str) -> None:
    data = written(form, np.arange(40.0).reshape(20, 2) + 0.5)

    sizes = [len(batch) for batch in opened(form, data, wanted()).batches(6)]

    assert sum(sizes) == 20
    assert max(sizes) <= 6


@pytest.mark.parametrize("last", ["3,4\n", '"3",4\n', "3,true\n"])
def test_batches_of_cells_are_as_large_as_was_asked(last: str) -> None:
    file = opened("csv", b"1,2\n" * 19 + last.encode(), wanted())
    sizes = [len(batch) for batch in file.batches(6)]
    assert sum(sizes) == file.rows == 20
    assert max(sizes) <= 6


@pytest.mark.parametrize("form", ["csv", "arrow", "arrow-file"])
def test_a_name_of_two_columns_is_refused_even_of_a_model_without_names(form: str) -> None:
    table = pa.table([[1.5], [2.5]], names=["x0", "x0"])
    data = b"x0,x0\n1.5,2.5\n" if form == "csv" else written(form, table)
    for taken in (wanted(), wanted(names=("x0", "x1"))):
        assert "'x0' is there more than once" in refused(form, data, taken).problem


@each_named_form
def test_columns_are_found_by_their_names(form: str) -> None:
    data = written(form, pd.DataFrame({"b": [1.5, 2.5], "a": [3.5, 4.5]}))

    found = matrix(read(form, data, wanted(names=("a", "b"))))

    assert found.tolist() == [[3.5, 1.5], [4.5, 2.5]]


@each_named_form
def test_columns_of_a_model_without_names_are_found_by_their_place(form: str) -> None:
    data = written(form, pd.DataFrame({"b": [1.5], "a": [3.5]}))
    assert matrix(read(form, data, wanted())).tolist() == [[1.5, 3.5]]


@each_named_form
def test_a_column_too_many_or_too_few_is_refused_by_its_name(form: str) -> None:
    taken = wanted(names=("age", "income"))
    three = written(form, pd.DataFrame({"age": [1.5], "income": [2.5], "shoe": [3.5]}))
    one = written(form, pd.DataFrame({"age": [1.5]}))

    assert "'shoe' is no column of the model" in refused(form, three, taken).problem
    assert "no column 'income'" in refused(form, one, taken).problem
    assert "3 columns, where the model takes 2" in refused(form, three, wanted()).problem


@each_named_form
def test_texts_and_missing_values_are_read(form: str) -> None:
    frame = pd.DataFrame({"age": [1.5, np.nan, 3.0], "plan": ["gold", None, 'ö, "x"\n']})

    table = read(form, written(form, frame), MIXED)

    assert isinstance(table, Table)
    assert np.array_equal(table.columns[0], [1.5, np.nan, 3.0], equal_nan=True)
    assert table.columns[1].tolist() == ["gold", None, 'ö, "x"\n']


@each_named_form
def test_what_is_missing_is_refused_where_the_model_takes_none(form: str) -> None:
    taken = wanted("number", "text", names=("age", "plan"))
    number = pd.DataFrame({"age": [1.0, None], "plan": ["a", "b"]})
    text = pd.DataFrame({"age": [1.0, 2.0], "plan": ["a", None]})

    for frame, column, kind in ((number, 0, "number"), (text, 1, "text")):
        error = refused(form, written(form, frame), taken)
        assert (error.row, error.column) == (1, column)
        assert error.problem == f"missing; the model takes a {kind} here"


@pytest.mark.parametrize("form", ["arrow", "arrow-file", "parquet"])
def test_integers_truths_small_floats_and_dictionaries_are_numbers_and_texts(form: str) -> None:
    taken = wanted("number", "number", "number", "number", "text", missing=True)
    table = pa.table(
        {
            "x0": pa.array([1, None, 2**53], pa.int64()),
            "x1": pa.array([True, None, False]),
            "x2": pa.array([0.5, None, 1.5], pa.float32()),
            "x3": pa.array([7, 8, None], pa.uint8()).dictionary_encode(),
            "x4": pa.array(["a", None, "b"]).dictionary_encode(),
        }
    )

    read_table = read(form, written(form, table), taken)

    assert isinstance(read_table, Table)
    numbers = np.column_stack(read_table.columns[:4])
    nan = np.nan
    expected = [[1, 1, 0.5, 7], [nan, nan, nan, 8], [2**53, 0, 1.5, nan]]
    assert np.array_equal(numbers, expected, equal_nan=True)
    assert read_table.columns[4].tolist() == ["a", None, "b"]


@pytest.mark.parametrize(
    ("values", "remedy"),
    [
        (pa.array([Decimal("1.5")]), "cast it to float64"),
        (pa.array([1], pa.timestamp("s")), "of seconds"),
        (pa.array([[1.0]]), "each of its members"),
        (pa.array([b"x"]), "binary"),
        (pa.array(["x"]), "takes a number"),
        (pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"x" * 16], pa.binary(16))), "uuid"),
    ],
    ids=["decimal", "timestamp", "list", "binary", "text", "extension"],
)
@pytest.mark.parametrize("form", ["arrow", "parquet"])
def test_what_is_neither_number_nor_text_is_refused_with_what_to_do(
    form: str, values: Any, remedy: str
) -> None:
    table = pa.table({"a": pa.array([1.0]), "b": values})

    error = refused(form, written(form, table), wanted(names=("a", "b")))

    assert remedy in error.problem
    assert "'b'" in error.problem
    assert error.column == 1


@each_form
def test_an_integer_that_a_float_does_not_hold_is_refused(form: str) -> None:
    frame = np.array([[1, 2], [3, 2**53 + 1]], np.int64)

    error = refused(form, written(form, frame), wanted())

    assert (error.row, error.column) == (1, 1)
    assert "2^53" in error.problem


def test_the_index_of_pandas_and_the_names_that_it_makes_up_are_passed_over() -> None:
    frame = pd.DataFrame({"a": [1.5], "b": [2.5]}, index=["row"])
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    assert matrix(read("parquet", buffer.getvalue(), wanted(names=("a", "b")))).shape == (1, 2)
    made_up = written("parquet", pd.DataFrame({"0": [1.5], "1": [2.5]}))
    assert matrix(read("parquet", made_up, wanted(names=("a", "b")))).tolist() == [[1.5, 2.5]]


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC])
def test_the_index_that_pandas_writes_in_front_of_csv_is_passed_over(quoting: Any) -> None:
    frame = pd.DataFrame({"b": [1.5, 2.5], "a": [3.5, 4.5]}, index=["north", "south"])
    data = frame.to_csv(quoting=quoting).encode()
    assert matrix(read("csv", data, wanted(names=("a", "b")))).tolist() == [[3.5, 1.5], [4.5, 2.5]]
    assert matrix(read("csv", data, wanted())).tolist() == [[1.5, 3.5], [2.5, 4.5]]
    made_up = pd.DataFrame([[1.5, 2.5]]).to_csv(quoting=quoting).encode()
    for names in (None, ("a", "b")):
        assert matrix(read("csv", made_up, wanted(names=names))).tolist() == [[1.5, 2.5]]


def test_a_surplus_column_beside_or_as_the_index_is_named_with_the_remedy() -> None:
    taken = wanted(names=("age", "income"))
    frame = pd.DataFrame({"age": [1.5], "income": [2.5]}, index=pd.Index([7], name="id"))
    more = frame.reset_index(drop=True).assign(shoe=3.5)

    assert "'shoe' is no column" in refused("csv", more.to_csv().encode(), taken).problem
    assert "takes 2" in refused("csv", b",a,b\n0,1\n", wanted()).problem
    named = refused("csv", frame.to_csv().encode(), taken).problem
    assert "'id' is no column" in named
    assert "index=False" in named
    unnamed = refused("csv", frame.to_csv(header=False).encode(), taken).problem
    assert "3 columns, where the model takes 2" in unnamed
    assert "index=False" in unnamed


def test_a_first_line_that_begins_with_a_missing_value_is_a_row() -> None:
    found = matrix(read("csv", b",5\n1,2\n", wanted(names=("a", "b"), missing=True)))
    assert np.array_equal(found, np.array([[np.nan, 5.0], [1.0, 2.0]]), equal_nan=True)


def test_an_arrow_file_that_is_compressed_is_read() -> None:
    buffer, table = io.BytesIO(), pa.table({"x0": [1.5] * 100, "x1": [2.5] * 100})
    with pa.ipc.new_file(
        buffer, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")
    ) as w:
        w.write_table(table)
    assert matrix(read("arrow-file", buffer.getvalue(), wanted())).sum() == 400


@pytest.mark.parametrize(
    "text",
    [
        "1,2\n3,4\n",
        "1,2\r\n3,4\r\n",
        "1,2\n3,4",
        "\ufeff1,2\n\n3,4\n\n",
        "\n\na,b\r1,2\r\r3,4\r",
        "\r\n\r\n1,2\r\n\r\n\r\n3,4\r\n\r\n",
        '\r\n\n"1",2\r\n\r\n3,4\n\n',
    ],
)
def test_lines_of_csv_end_as_they_like(text: str) -> None:
    assert matrix(read("csv", text.encode(), wanted())).tolist() == [[1, 2], [3, 4]]


def test_empty_lines_are_not_looked_at_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_lines, "MOST_EMPTY", 100)
    monkeypatch.setattr(csv_lines, "BLOCK_BYTES", 4096)
    for end in (b"\n", b"\r\n", b"\r"):
        data = end * 3000 + b"1,2\n" + end * 3000 + b"3,4" + end * 3000
        assert matrix(read("csv", data, wanted())).tolist() == [[1, 2], [3, 4]]


def test_after_a_quote_there_are_few_more_empty_lines_than_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(csv_lines, "MOST_EMPTY", 100)
    assert len(read("csv", b'1,"2"\n\n' * 500, wanted())) == 500
    texts = read("csv", b'1,"' + b"\n" * 500 + b'x"\n', MIXED)
    assert isinstance(texts, Table)
    assert texts.columns[1].tolist() == ["\n" * 500 + "x"]
    for data in (b'1,"2"\n' + b"\n" * 500, b"\n" * 500 + b'1,"2"\n'):
        assert "more than 100 empty lines" in refused("csv", data, wanted()).problem


@pytest.mark.parametrize(
    ("cell", "value"),
    [("1e3", 1000.0), (" .5 ", 0.5), ("-0", 0.0), ("true", 1.0), ("False", 0.0), ("NA", np.nan),
     ("nan", np.nan), ("", np.nan), ('"2"', 2.0)],
)  # fmt: skip
def test_a_cell_says_a_number_in_many_ways(cell: str, value: float) -> None:
    found = matrix(read("csv", f"1,2\n{cell},4\n".encode(), wanted(missing=True)))
    assert np.array_equal(found[1], [value, 4.0], equal_nan=True)


@pytest.mark.parametrize("cell", ["1_000", "0x10", "١", "1,000", "--1", "1e", "one", "inf inity"])
def test_a_cell_that_is_no_number_is_refused_by_its_place(cell: str) -> None:
    error = refused("csv", f'1,2\n3,4\n5,"{cell}"\n'.encode(), wanted(), header=False)

    assert (error.row, error.column) == (2, 1)
    assert error.problem == "not a number but a string"


@pytest.mark.parametrize("quoted", [False, True])
def test_a_bad_cell_is_found_far_into_a_file(quoted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_lines, "BLOCK_BYTES", 4096)
    first = '"x0",x1\n' if quoted else "x0,x1\n"
    lines = [f"{n},{n}.5\n" for n in range(5000)]
    lines[4321] = "7,seven\n"

    error = refused("csv", (first + "".join(lines)).encode(), wanted())

    assert (error.row, error.column) == (4321, 1)


@pytest.mark.parametrize("quote", ["", '"'])
def test_texts_are_the_same_with_and_without_quotes(
    quote: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_lines, "BLOCK_BYTES", 512)
    texts = [f"p{n % 7}" for n in range(400)]
    lines = "".join(f"{n},{quote}{text}{quote}\r\n" for n, text in enumerate(texts))

    table = read("csv", f"age,plan\r\n{lines}".encode(), MIXED)

    assert isinstance(table, Table)
    assert table.columns[1].tolist() == texts
    assert table.columns[0].tolist() == list(range(400))


def test_the_first_line_is_names_if_it_says_so_or_has_no_number() -> None:
    years = wanted(names=("2020", "2021"))
    assert matrix(read("csv", b"2020,2021\n1,2\n", years)).tolist() == [[1, 2]]
    assert matrix(read("csv", b"1,2\n3,4\n", wanted(), header=True)).tolist() == [[3, 4]]
    assert matrix(read("csv", b"a,b\n3,4\n", wanted())).tolist() == [[3, 4]]
    texts = wanted("text", "text", names=("a", "b"))
    assert len(read("csv", b"x,y\nz,w\n", texts)) == 2
    assert len(read("csv", b"b,a\nz,w\n", texts)) == 1


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "there are no rows"),
        (b"1,2\n3\n", "1 cells, where the model takes 2"),
        (b"1,2\n3,4,5\n", "3 cells"),
        (b"1,2\x003,4\n", "zero byte"),
        (b"1,2\n3,\xff\n", "not UTF-8"),
        (b'1,2\n3,"4\n', "no CSV"),
        (b'1,2\n3,"4"5\n', "no CSV"),
        ("1,2\n".encode("utf-16"), "zero byte"),
    ],
)
def test_csv_that_is_none_is_refused(data: bytes, problem: str) -> None:
    assert problem in refused("csv", data, wanted()).problem


def test_a_line_without_end_is_refused_before_it_fills_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(csv_lines, "BLOCK_BYTES", 1024)
    monkeypatch.setattr(csv_lines, "MOST_LINE", 8192)
    for data in (b"1," + b"9" * 100_000, b'1,"' + b"9" * 100_000 + b'"\n'):
        assert "more than" in refused("csv", data, wanted()).problem


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<i2", "?", "<u8"])
def test_an_array_is_read_in_either_order(order: Any, dtype: str) -> None:
    values = np.asarray(np.arange(20).reshape(10, 2) % 2, dtype=dtype, order=order)
    assert np.array_equal(matrix(read("npy", written("npy", values), wanted(), most=3)), values)


def test_an_array_of_one_dimension_is_a_column_or_a_row() -> None:
    data = written("npy", np.arange(3.0))
    assert matrix(read("npy", data, wanted(count=1))).shape == (3, 1)
    assert matrix(read("npy", data, wanted(count=3))).shape == (1, 3)
    texts = read("npy", written("npy", np.array([["a"], ["bc"]])), wanted("text"))
    assert isinstance(texts, Table)
    assert texts.columns[0].tolist() == ["a", "bc"]


def header(text: str, *, body: bytes = b"", version: int = 1) -> bytes:
    """An npy file with a header of a test's own."""
    size = len(text).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + size + text.encode() + body


@pytest.mark.parametrize(
    "data",
    [
        written("npy", np.array([[1.0, "a"]], dtype=object)),
        written("npy", np.array([(1.0, 2.0)], dtype=[("a", "<f8"), ("b", "<f8")])),
        written("npy", np.array([[1j, 2j]])),
        written("npy", np.array([["2020-01-01", "2020-01-02"]], dtype="datetime64[s]")),
        written("npy", np.zeros((2, 2, 2))),
        written("npy", np.zeros((2, 2)))[:-1],
        written("npy", np.zeros((2, 2))) + b"x",
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 2), }\n"),
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999, 2), }\n"),
        header("{'descr': '|O', 'fortran_order': False, 'shape': (1, 2), }\n", body=b"cos\n"),
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (True, 2), }\n", body=bytes(16)),
        header("(" * 5000, version=2),
        header("x" * 20_000, version=2),
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff",
        b"\x93NUMPY\x09\x00\x10\x00" + bytes(32),
        b"PK\x03\x04",
        b"",
    ],
)
def test_an_array_that_lies_or_is_of_no_numbers_is_refused(data: bytes) -> None:
    refused("npy", data, wanted())


@each_named_form
def test_a_file_that_is_cut_off_or_another_is_refused(form: str) -> None:
    data = written(form, pd.DataFrame({"a": [1.5, 2.5], "b": [3.5, 4.5]}))
    if form != "csv":
        for broken in (data[: len(data) // 2], data[:10], b"", b"\xff" * 64, b"1,2\n"):
            refused(form, broken, wanted())
