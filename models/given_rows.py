"""Rows and answers that an uploader gives with a model, to see it answer them.

JSON, CSV, Parquet and npy, told apart by their content. Parquet and CSV are read by native parsers
on bytes that a tenant chose: only a process of the sandbox may call this.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson
from numpy.lib import format as npy
from numpy.typing import NDArray

from models.columns import Columns
from models.errors import GivenRowsRefused
from models.tables import Features, Table

MOST_BYTES: Final = 64 * 1024**2
MOST_ROWS: Final = 10_000
MOST_CELLS: Final = 10_000_000
NPY: Final = b"\x93NUMPY"
PARQUET: Final = b"PAR1"
LABEL: Final = re.compile(r"0[0-9]+")  # digits that are no number: 007
ABSENT: Final = frozenset({"", "nan", "null", "none", "na"})


@dataclass(frozen=True, slots=True)
class GivenTable:
    """Columns as they were given, each as long as the others; names where the format has them."""

    names: tuple[str, ...] | None
    columns: tuple[Sequence[Any], ...]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.columns[0])

    def features(self, wanted: Columns) -> Features:
        """The rows as a model takes them: by name where both have names, else by position."""
        columns = self._in_order(wanted)
        kinds = enumerate(zip(wanted.kinds, columns, strict=True))
        read = [_read_column(at, kind, values) for at, (kind, values) in kinds]
        return np.column_stack(read) if wanted.numbers_alone else Table(tuple(read))

    def texts(self, wanted: Columns) -> frozenset[int]:
        """The columns that hold texts, though the model does not say that it takes texts there.

        It may not look at them at all: a model is fitted on tables as they come.
        """
        columns = enumerate(zip(wanted.kinds, self._in_order(wanted), strict=True))
        return frozenset(
            at for at, (kind, values) in columns if kind == "number" and _has_text(values)
        )

    def _in_order(self, wanted: Columns) -> Sequence[Sequence[Any]]:
        if self.names and wanted.names and set(wanted.names) <= set(self.names):
            return [self.columns[self.names.index(name)] for name in wanted.names]
        if self.names and wanted.names and not self.names[0].isdigit():
            missing = next(name for name in wanted.names if name not in self.names)
            raise GivenRowsRefused(f"they have no column {missing!r}, which the model takes")
        if len(self.columns) != wanted.count:
            raise GivenRowsRefused(
                f"they have {len(self.columns)} columns, the model takes {wanted.count}"
            )
        return self.columns


def read_given_rows(data: bytes) -> GivenTable:
    """Read rows of any of the formats; raises GivenRowsRefused."""
    if not 0 < len(data) <= MOST_BYTES:
        raise GivenRowsRefused(f"they have {len(data)} bytes, 1 to {MOST_BYTES} are taken")
    table = _read(data)
    if not table.columns or not table.rows:
        raise GivenRowsRefused("there are none")
    if any(len(column) != table.rows for column in table.columns):
        raise GivenRowsRefused("their columns are not of one length")
    if table.rows > MOST_ROWS or table.rows * len(table.columns) > MOST_CELLS:
        raise GivenRowsRefused(f"they are more than {MOST_ROWS} rows or {MOST_CELLS} cells")
    return table


def read_expected_answers(data: bytes, *, rows: int) -> NDArray[Any]:
    """Read the answers that a model should give: one, or one row of them, for each row."""
    table = read_given_rows(data)
    columns: list[Any] = list(table.columns)
    if table.names and table.rows == rows - 1:  # labels that were taken for names
        columns = [(name, *column) for name, column in zip(table.names, columns, strict=True)]
    columns = [_plain_column(column) for column in columns]
    return columns[0] if len(columns) == 1 else np.column_stack(columns)


def _read(data: bytes) -> GivenTable:
    if data.startswith(NPY):
        return _read_npy(data)
    if data.startswith(PARQUET):
        return _read_parquet(data)
    if data.lstrip()[:1] in (b"[", b"{"):
        return _read_json(data)
    return _read_csv(data)


def _read_npy(data: bytes) -> GivenTable:
    stream = io.BytesIO(data)
    try:
        version = npy.read_magic(stream)
        reader = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, _, dtype = reader(stream)
        # The header is compared with the bytes before anything is allocated by its word.
        size = math.prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or dtype.kind not in "biufU" or dtype.itemsize > 4096:
            raise GivenRowsRefused(f"their array is of the dtype {dtype} and the shape {shape}")
        if len(shape) not in (1, 2) or stream.tell() + size != len(data):
            raise GivenRowsRefused("their array is not as long as its header says")
        array = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except (ValueError, KeyError, TypeError, SyntaxError, OverflowError) as error:
        raise GivenRowsRefused(f"their npy file is broken: {error}") from error
    matrix = array.reshape(len(array), -1) if array.ndim == 1 else array
    return GivenTable(None, tuple(matrix.T.tolist()))


def _read_parquet(data: bytes) -> GivenTable:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        meta = file.metadata
        unpacked = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
        cells = meta.num_rows * meta.num_columns
        if meta.num_rows > MOST_ROWS or cells > MOST_CELLS or unpacked > 4 * MOST_BYTES:
            raise GivenRowsRefused(f"they are more than {MOST_ROWS} rows or {MOST_CELLS} cells")
        table = file.read(use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise GivenRowsRefused(f"their Parquet file is broken: {error}") from error
    names = tuple(name for name in table.column_names if not name.startswith("__index_level_"))
    return GivenTable(names, tuple(table.column(name).to_pylist() for name in names))


def _read_json(data: bytes) -> GivenTable:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise GivenRowsRefused(f"they are no JSON: {error}") from error
    if isinstance(value, dict) and len(value) == 1 and "columns" not in value:
        value = next(iter(value.values()))  # {"X": [[1, 2]]}, {"features": ...}
    match value:
        case {"columns": dict(columns)}:
            return _by_column(columns)
        case dict():
            return _by_column(value)
        case [dict(first), *_]:
            return _by_record(tuple(first), value)
        case [list(first), *_] if all(
            type(row) is list and len(row) == len(first) for row in value
        ):
            return GivenTable(None, tuple(zip(*value, strict=True)))
        case [_, *_] if not any(isinstance(one, list | dict) for one in value):
            return GivenTable(None, (value,))
    raise GivenRowsRefused("they are neither rows of equal length, nor records, nor columns")


def _by_column(columns: Mapping[str, Any]) -> GivenTable:
    if not columns or not all(type(values) is list for values in columns.values()):
        raise GivenRowsRefused("a column is no list")
    return GivenTable(tuple(columns), tuple(columns.values()))


def _by_record(names: tuple[str, ...], records: list[Any]) -> GivenTable:
    if not names or not all(type(r) is dict and r.keys() == set(names) for r in records):
        raise GivenRowsRefused("their records do not all have the same members")
    return GivenTable(names, tuple([record[name] for record in records] for name in names))


def _read_csv(data: bytes) -> GivenTable:
    try:
        lines = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        rows = [row for _, row in zip(range(MOST_ROWS + 2), lines, strict=False) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise GivenRowsRefused(f"they are no JSON, CSV, Parquet or npy file: {error}") from error
    if not rows or any(len(row) != len(rows[0]) for row in rows):
        raise GivenRowsRefused("their lines do not all have as many cells as the first")
    heads = not any(_is_number(cell) for cell in rows[0])
    names = tuple(rows[0]) if heads and len(rows) > 1 else None
    return GivenTable(names, tuple(zip(*rows[1 if names else 0 :], strict=True)))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return not cell
    return True


def _read_column(at: int, kind: str, values: Sequence[Any]) -> NDArray[Any]:
    if kind == "text":
        texts = [value if value is None or type(value) is str else None for value in values]
        if any(
            text is None and value is not None and value == value
            for text, value in zip(texts, values, strict=True)
        ):
            raise GivenRowsRefused(f"column {at + 1} has a number, where the model takes a text")
        return np.array(texts, dtype=object)
    try:
        return np.array([_number(value) for value in values], np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise GivenRowsRefused(f"column {at + 1} has no number: {error}"[:200]) from error


def _has_text(values: Sequence[Any]) -> bool:
    texts = (value for value in values if type(value) is str)
    return any(not _is_number(text) and text.strip().lower() not in ABSENT for text in texts)


def _number(value: Any) -> float:
    if value is None or (type(value) is str and value.strip().lower() in ABSENT):
        return math.nan
    return float(value)


def _plain_column(values: Sequence[Any]) -> NDArray[Any]:
    """Answers as what they are: whole numbers, numbers, truth values, else texts."""
    try:
        array = np.array([_plain(value) for value in values])
    except (ValueError, OverflowError) as error:
        raise GivenRowsRefused(f"an expected answer cannot be read: {error}"[:200]) from error
    if array.dtype.kind not in "biufU":
        raise GivenRowsRefused("the expected answers are neither numbers nor texts")
    return array


def _plain(value: Any) -> Any:
    if type(value) is not str or LABEL.fullmatch(value):
        return value
    for read in (int, float):
        try:
            return read(value)
        except ValueError:
            continue
    return value
