from __future__ import annotations

import datetime
import hashlib
import io
import zipfile
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import DataRefused
from models.training import sources
from models.training.spec import Spec
from models.training.tables import Table, read_table

SPEC = Spec(model="m", target="y")
DAY = datetime.date(2024, 1, 2)
MOMENT = datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
ARROW = pa.table(
    {
        "whole": pa.array([1, 2, 3], pa.uint8()),
        "holed": [1, None, 3],
        "half": pa.array([1, 2, 3], pa.float16()),
        "money": [Decimal("1.5"), None, Decimal("2")],
        "truth": [True, False, True],
        "perhaps": [True, None, False],
        "text": ["ä", None, "b"],
        "code": pa.array(["x", None, "y"]).dictionary_encode(),
        "day": [DAY, None, DAY],
        "moment": pa.array([MOMENT, None, MOMENT], pa.timestamp("us", "UTC")),
        "nothing": pa.nulls(3),
    }
)
READ = {
    "whole": [1, 2, 3],
    "holed": [1.0, None, 3.0],
    "half": [1.0, 2.0, 3.0],
    "money": [1.5, None, 2.0],
    "truth": [True, False, True],
    "perhaps": [1.0, None, 0.0],
    "text": ["ä", None, "b"],
    "code": ["x", None, "y"],
    "day": ["2024-01-02", None, "2024-01-02"],
    "moment": ["2024-01-02T03:04:05", None, "2024-01-02T03:04:05"],
    "nothing": [None, None, None],
}


def _read(data: bytes | str) -> Table:
    return read_table(data if isinstance(data, bytes) else data.encode(), name="t", spec=SPEC)


def _cells(table: Table) -> dict[str, list[Any]]:
    frame = table.frame
    return {
        str(name): [None if pd.isna(cell) else cell for cell in frame[name].tolist()]
        for name in frame.columns
    }


def _refused(data: bytes | str) -> DataRefused:
    with pytest.raises(DataRefused) as refused:
        _read(data)
    return refused.value


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def _ipc(table: pa.Table, *, framed: bool) -> bytes:
    sink = io.BytesIO()
    with (pa.ipc.new_file if framed else pa.ipc.new_stream)(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _npz(**arrays: Any) -> bytes:
    sink = io.BytesIO()
    np.savez_compressed(sink, **arrays)
    return sink.getvalue()


def test_decimal_commas_are_numbers_where_semicolons_part_the_cells() -> None:
    table = _read("a;b;c;d\n1,5;1.234,50;1,234;2,5\n;-7;12,500;about 3,5\n2;NA;3;4\n")

    assert _cells(table) == {
        "a": [1.5, None, 2.0],
        "b": [1234.5, -7.0, None],
        "c": ["1,234", "12,500", "3"],  # which may be thousands
        "d": ["2,5", "about 3,5", "4"],
    }
    told = [finding.where for finding in table.findings if "decimal comma" in finding.what]
    assert told == ["a", "b"]
    assert _cells(_read('a,b\n"1,5",1\n')) == {"a": ["1,5"], "b": [1]}


def test_cells_of_csv_keep_their_types() -> None:
    table = _read("a,b,c,d\n1,1.5,red,007\n2,,'blue,12\n-3,1e3,,3\n")

    assert _cells(table) == {
        "a": [1, 2, -3],
        "b": [1.5, None, 1000.0],
        "c": ["red", "'blue", None],
        "d": ["007", "12", "3"],  # which 7 would not say
    }
    assert table.frame["a"].dtype == np.int64


def test_word_for_nothing_among_numbers_is_missing_and_told() -> None:
    table = _read("a,y\n1,x\nNA,x\nNA,x\n2,NA\n")

    assert _cells(table) == {"a": [1.0, None, None, 2.0], "y": ["x", "x", "x", "NA"]}
    assert [(told.where, told.count) for told in table.findings] == [("a", 2)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_quotes_line_ends_and_empty_lines_are_those_of_csv(end: str) -> None:
    text = end.join(['"a,1",b', "", '"x ""y""",1', f'"two{end}lines",2', ""])

    assert _cells(_read(text)) == {"a,1": ['x "y"', f"two{end}lines"], "b": [1, 2]}


def test_byte_order_mark_is_no_part_of_a_name() -> None:
    assert list(_cells(_read(b"\xef\xbb\xbfa,b\n1,2\n"))) == ["a", "b"]


def test_other_delimiter_is_taken_and_told() -> None:
    table = _read("a;b\n1;2\n")

    assert _cells(table) == {"a": [1], "b": [2]}
    assert "';'" in table.findings[0].what


def test_column_without_a_name_is_called_by_its_place() -> None:
    table = _read(",b\n1,2\n")

    assert list(_cells(table)) == ["column_1", "b"]
    assert table.findings[0].where == "column_1"


def test_rows_with_too_many_or_too_few_cells_are_reported_by_number() -> None:
    refused = _refused("a,b\n1,2\n1\n3,4\n1,2,3\n")

    assert "2 of its 4 rows" in refused.problem
    assert [line.partition(":")[0] for line in refused.report] == ["row 2", "row 4"]


def test_report_of_very_many_broken_rows_is_short() -> None:
    refused = _refused("a,b\n" + "1\n" * 500)

    assert "500 of its 500 rows" in refused.problem
    assert len(refused.report) == sources.MOST_SHOWN


def test_lines_that_are_not_utf8_are_reported_by_number() -> None:
    assert _refused(b"a,b\nx,1\n\xe4,2\n").report[0].startswith("line 3:")


def test_names_that_are_there_twice_are_reported_by_place() -> None:
    assert "[1, 3]" in _refused("a,b,a\n1,2,3\n").report[0]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"a,b\n", id="names alone"),
        pytest.param(b"1,2\n3,4\n", id="no names"),
        pytest.param(b'a,b\n"x,1\n', id="an open quote"),
        pytest.param(b"a\x1b,b\n1,2\n", id="an unprintable name"),
        pytest.param(b"\xff\xfea\0", id="UTF-16"),
        pytest.param(b"\x1f\x8b\x08", id="gzip"),
        pytest.param(b"\x93NUMPY", id="npy"),
        pytest.param(b"PAR1PAR1", id="broken Parquet"),
        pytest.param(b"ARROW1\0\0", id="broken Arrow"),
        pytest.param(b"\xff\xff\xff\xff\x10", id="a broken stream"),
        pytest.param(b"PK\x03\x04", id="a broken archive"),
        pytest.param(b"a" * 300 + b"\n1\n", id="a long name"),
    ],
)
def test_what_holds_no_table_is_refused(data: bytes) -> None:
    assert _refused(data).problem.startswith("t: ")


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([b"", b"PAR1", b"ARROW1\0\0", b"\xff" * 4, b"PK\x03\x04"]), st.binary())
def test_any_bytes_are_a_table_or_refused(beginning: bytes, data: bytes) -> None:
    try:
        table = _read(beginning + data)
    except DataRefused:
        return
    assert len(table.frame) > 0


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(_parquet(ARROW), id="Parquet"),
        pytest.param(_ipc(ARROW, framed=True), id="Arrow file"),
        pytest.param(_ipc(ARROW, framed=False), id="Arrow stream"),
    ],
)
def test_typed_columns_keep_their_types(data: bytes) -> None:
    assert _cells(_read(data)) == READ


def test_column_that_no_model_can_take_is_set_aside_and_told() -> None:
    table = _read(_parquet(pa.table({"a": [1, 2], "lists": [[1], [2, 3]]})))

    assert _cells(table) == {"a": [1, 2]}
    assert list(table.set_aside) == ["lists"]
    assert table.findings[0].where == "lists"


def test_index_that_pandas_wrote_is_set_aside() -> None:
    frame = pd.DataFrame({"a": [1, 2]}, index=[5, 7])

    assert list(_cells(_read(_parquet(pa.Table.from_pandas(frame))))) == ["a"]


def test_arrays_by_name_are_columns() -> None:
    moments = np.array(["2024-01-02", "NaT"], "datetime64[D]")
    data = _npz(a=np.array([1, 2], np.int8), b=["x", ""], c=[True, False], d=moments)

    assert _cells(_read(data)) == {
        "a": [1, 2],
        "b": ["x", None],
        "c": [True, False],
        "d": ["2024-01-02T00:00:00", None],
    }


def test_matrix_has_its_columns_named_and_its_target_called_as_the_spec_does() -> None:
    rows = np.arange(4.0).reshape(2, 2)
    spec = Spec(model="m", target="price")
    data = _npz(X=rows, y=[5, 6], feature_names=["p", "q"])

    assert _cells(read_table(data, name="t", spec=spec)) == {
        "p": [0.0, 2.0],
        "q": [1.0, 3.0],
        "price": [5, 6],
    }


def test_pictures_are_laid_out_as_rows_and_that_is_told() -> None:
    table = _read(_npz(X=np.zeros((3, 2, 2)), y=[1, 2, 3]))

    assert list(_cells(table)) == ["x0", "x1", "x2", "x3", "y"]
    assert "(2, 2)" in table.findings[0].what


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(_npz(a=np.array([{}, 1], object)), id="objects"),
        pytest.param(_npz(a=[1, 2], b=[1]), id="other lengths"),
        pytest.param(_npz(a=[[1]], b=[[1]]), id="matrices"),
        pytest.param(_npz(a=[1j]), id="complex numbers"),
        pytest.param(_npz(X=[[1, 2]], y=[1], feature_names=["p"]), id="too few names"),
        pytest.param(_npz(X=[[1, 2]], y=[1], feature_names=["p", "p"]), id="a name twice"),
        pytest.param(_npz(X=np.zeros((0, 2)), y=[]), id="no rows"),
    ],
)
def test_arrays_that_are_no_columns_are_refused(data: bytes) -> None:
    _refused(data)


def test_archive_of_other_things_is_refused() -> None:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("a.pkl", b"\x80\x04N.")

    assert "a.pkl" in _refused(sink.getvalue()).problem


def test_tables_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MOST_ROWS", 3)
    monkeypatch.setattr(sources, "MOST_COLUMNS", 2)

    assert len(_read("a,b\n" + "1,2\n" * 3).frame) == 3
    for data in ("a,b\n" + "1,2\n" * 4, "a,b,c\n1,2,3\n"):
        _refused(data)
    for table in (pa.table({"a": range(4)}), pa.table({"a": [1], "b": [1], "c": [1]})):
        _refused(_parquet(table))
        _refused(_ipc(table, framed=False))
    _refused(_npz(a=np.zeros(4)))


def test_digest_is_that_of_the_file() -> None:
    data = b"a,b\n1,2\n"

    assert _read(data).digest == hashlib.sha256(data).hexdigest()
