"""CSV as MLflow's clients send it: a line of names, then rows; what a value is the model says."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.errors import InputRefused, InputTooLarge
from models.requests.bounds import Bounds
from models.requests.faults import DIGITS, INEXACT, ROUNDED
from models.requests.places import step
from models.signature import Signature
from models.tables import LARGEST_INTEGER, Features, Matrix, Table
from service.mlflow.frames import enforced, order_of

NUMERIC: Final = re.compile(r"[0-9eE+\-.]*")
NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
INTEGER: Final = re.compile(r"[+-]?[0-9]+")
# In a column of numbers alone: among texts, "NA" is Namibia.
MISSING: Final = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "<NA>"})

MOST_CELL: Final = 131_072

Cells = Sequence[str]


@dataclass(frozen=True, slots=True)
class CsvRows:
    """Rows of texts under the names of the first line."""

    names: list[str]
    rows: list[list[str]]

    def __len__(self) -> int:
        return len(self.rows)

    def bound(self, signature: Signature) -> Features:
        """The rows as the model takes them; raises InputRefused where they do not fit.

        Names have to be the model's: the first line of a file without any is a row.
        """
        with enforced():
            order = order_of(self.names, signature)
            given = list(zip(*self.rows, strict=True))
            absent: Cells = [""] * len(self.rows)
            columns = [
                _texts(cells, signature)
                if kind == "text"
                else _numbers(cells, signature.column(position), signature)
                for position, (kind, cells) in enumerate(
                    zip(
                        signature.column_kinds,
                        (absent if at is None else given[at] for at in order),
                        strict=True,
                    )
                )
            ]
            features: Features = Table(tuple(columns))
            if signature.numbers_alone:
                features = np.ascontiguousarray(np.column_stack(columns))
            signature.check(features)
            return features


def read_csv(body: bytes, bounds: Bounds) -> CsvRows:
    """Read a CSV file with a line of names (RFC 4180); raises InputRefused."""
    if len(body) > bounds.max_bytes:
        raise InputTooLarge(len(body), bounds.max_bytes)
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = f"Ensure that input is a valid UTF-8 encoded string; byte {error.start} is not"
        raise InputRefused("", problem) from error
    csv.field_size_limit(MOST_CELL)  # is the process's: the reader of files sets its own
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        names = next(reader, [])
        _check_names(names, bounds)
        rows: list[list[str]] = []
        for row in reader:
            if row:  # an empty line is none
                _check_row(row, len(rows), names, bounds)
                rows.append(row)
    except csv.Error as error:
        raise InputRefused("", f"not CSV at line {reader.line_num}: {error}") from error
    if not rows:
        raise InputRefused("", "no rows; a line of names is followed by at least one row")
    return CsvRows(names, rows)


def _check_names(names: list[str], bounds: Bounds) -> None:
    if len(names) > bounds.max_columns:
        raise InputRefused("", f"more than {bounds.max_columns} columns")
    if len(set(names)) != len(names):
        raise InputRefused("", "a column's name is given more than once")


def _check_row(row: list[str], index: int, names: list[str], bounds: Bounds) -> None:
    if index == bounds.max_rows:
        raise InputRefused("", f"more than {bounds.max_rows} rows")
    if len(row) != len(names):
        problem = f"{len(row)} columns, where the line of names has {len(names)}"
        raise InputRefused(f"/{index}", problem)


def _texts(cells: Cells, signature: Signature) -> NDArray[Any]:
    column = np.empty(len(cells), dtype=object)
    column[:] = [cell or None for cell in cells] if signature.missing else cells
    return column


def _numbers(cells: Cells, name: str, signature: Signature) -> Matrix:
    known: Cells = cells
    if "" in cells or not NUMERIC.fullmatch("".join(cells)):
        cells = ["nan" if cell.strip() in MISSING else cell.strip() for cell in cells]
        known = [cell for cell in cells if cell != "nan"]
    with suppress(ValueError):
        # numpy takes more for a number than this: underscores, words.
        if NUMERIC.fullmatch("".join(known)) and (signature.missing or len(known) == len(cells)):
            column = np.array(cells, dtype=np.float64)
            if not (np.abs(column) >= LARGEST_INTEGER).any():
                return column
    _refuse_fault(cells, name, signature)
    return np.array(cells, dtype=np.float64)


def _refuse_fault(cells: Cells, name: str, signature: Signature) -> None:
    """Raise InputRefused at the first cell that is no number, or one that float64 cannot hold."""
    for index, cell in enumerate(cells):
        where = f"/{index}/{step(name)}"
        if cell == "nan":
            if not signature.missing:
                raise InputRefused(where, "missing; the model takes a number here")
        elif not NUMBER.fullmatch(cell):
            raise InputRefused(where, "not a number but a string")
        elif np.isinf(float(cell)):
            raise InputRefused(where, "beyond what a 64-bit float holds")
        elif INTEGER.fullmatch(cell) and _is_large(cell):
            raise InputRefused(where, f"{INEXACT}; {ROUNDED}")


def _is_large(integer: str) -> bool:
    digits = integer.lstrip("+-0")
    return len(digits) > DIGITS or int(digits or "0") > LARGEST_INTEGER
