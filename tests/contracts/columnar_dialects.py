"""Files of rows as dialects: the columns of an answer are what a row is answered by."""

from __future__ import annotations

import csv
import io
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pyarrow
import pyarrow.ipc
import pyarrow.parquet
from werkzeug.test import TestResponse

from tests.contracts.dialects import HttpDialect, Wish, by_name


class CsvFile(HttpDialect):
    """A CSV file of rows, answered by one."""

    name = "columnar, csv"
    in_portions = True
    media_type = "text/csv"

    def path(self, wish: Wish) -> str:
        named = {"version": wish.version, "method": wish.method}
        query = {name: value for name, value in named.items() if value is not None}
        return f"/models/{wish.model}/predict?{urlencode(query)}"

    def encode(self, wish: Wish) -> bytes:
        names, rows = by_name(wish)
        lines = [names, *(["" if cell is None else str(cell) for cell in row] for row in rows)]
        return "\n".join(map(",".join, lines)).encode()

    def decode(self, response: TestResponse) -> list[Any]:
        [_names, *lines] = csv.reader(response.text.splitlines())
        rows = [[_cell(cell) for cell in line] for line in lines]
        return [row[0] for row in rows] if len(rows[0]) == 1 else rows


def _cell(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


class ArrowStream(CsvFile):
    """A stream of Arrow, answered by one."""

    name = "columnar, arrow"
    media_type = "application/vnd.apache.arrow.stream"

    def encode(self, wish: Wish) -> bytes:
        table = table_of(wish)
        sink = io.BytesIO()
        with pyarrow.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return sink.getvalue()

    def decode(self, response: TestResponse) -> list[Any]:
        return _rows_of(pyarrow.ipc.open_stream(response.data).read_all())


class ParquetFile(ArrowStream):
    """A Parquet file, answered by one."""

    name = "columnar, parquet"
    media_type = "application/vnd.apache.parquet"

    def encode(self, wish: Wish) -> bytes:
        sink = io.BytesIO()
        pyarrow.parquet.write_table(table_of(wish), sink)
        return sink.getvalue()

    def decode(self, response: TestResponse) -> list[Any]:
        return _rows_of(pyarrow.parquet.read_table(io.BytesIO(response.data)))


def table_of(wish: Wish) -> pyarrow.Table:
    """The rows by name."""
    names, rows = by_name(wish)
    columns = zip(*rows, strict=True)
    return pyarrow.table({n: list(cells) for n, cells in zip(names, columns, strict=True)})


def _rows_of(table: pyarrow.Table) -> list[Any]:
    columns = [column.to_pylist() for column in table.columns]
    rows = [list(row) for row in zip(*columns, strict=True)]
    return [row[0] for row in rows] if len(columns) == 1 else rows


class NpyFile(CsvFile):
    """A matrix as numpy keeps one, answered by one."""

    name = "columnar, npy"
    takes_texts = False
    media_type = "application/x-npy"

    def encode(self, wish: Wish) -> bytes:
        sink = io.BytesIO()
        np.save(sink, np.array(wish.rows))
        return sink.getvalue()

    def decode(self, response: TestResponse) -> list[Any]:
        rows: list[Any] = np.load(io.BytesIO(response.data)).tolist()
        return rows


COLUMNAR = (CsvFile, ArrowStream, ParquetFile, NpyFile)
