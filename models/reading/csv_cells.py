"""Cells of CSV as numbers and texts: what a cell may say, and what is missing."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.reading import Unreadable
from models.reading.numbers import INEXACT
from models.tables import LARGEST_INTEGER
from models.wanted import Wanted

# What the writers of tables put where there is no number.
ABSENT: Final = ("", "nan", "NaN", "NAN", "NA", "na", "null", "NULL", "None", "none", "<NA>")
TRUTH: Final = {"true": 1.0, "True": 1.0, "TRUE": 1.0, "false": 0.0, "False": 0.0, "FALSE": 0.0}
NUMBER: Final = re.compile(
    r"[ \t]*[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|inf(?:inity)?)[ \t]*",
    re.IGNORECASE | re.ASCII,
)
INTEGER: Final = re.compile(r"\s*[+-]?(\d+)\s*", re.ASCII)


def numbers(
    cells: Sequence[str], wanted: Wanted, *, first: int, column: int
) -> NDArray[np.float64]:
    """The numbers of one column; raises Unreadable at the first cell that holds none."""
    values = np.array(
        [_number(cell, wanted, first + at, column) for at, cell in enumerate(cells)], np.float64
    )
    refuse_inexact(values, cells, first=first, column=column)
    return values


def texts(cells: Sequence[str], wanted: Wanted, *, first: int, column: int) -> NDArray[Any]:
    """The texts of one column; raises Unreadable at one that is missing and may not be."""
    if not wanted.missing and "" in cells:
        row = first + cells.index("")
        raise Unreadable("missing; the model takes a text here", row=row, column=column)
    values = np.empty(len(cells), dtype=object)
    values[:] = [cell or None for cell in cells]
    return values


def refuse_inexact(
    values: NDArray[np.float64], cells: Sequence[str], *, first: int, column: int
) -> None:
    """Raise Unreadable at an integer that a float64 does not hold."""
    for at in np.flatnonzero(np.abs(values) >= LARGEST_INTEGER).tolist():
        digits = INTEGER.fullmatch(cells[at])
        if digits and int(digits[1]) > LARGEST_INTEGER:
            raise Unreadable(INEXACT, row=first + at, column=column)


def is_number(cell: str) -> bool:
    """Whether a cell of the first line speaks against that line being names."""
    return cell in ABSENT or NUMBER.fullmatch(cell) is not None


def _number(cell: str, wanted: Wanted, row: int, column: int) -> float:
    if NUMBER.fullmatch(cell):
        return float(cell)
    if cell in TRUTH:
        return TRUTH[cell]
    if cell.strip() not in ABSENT:
        raise Unreadable("not a number but a string", row=row, column=column)
    if not wanted.missing:
        raise Unreadable("missing; the model takes a number here", row=row, column=column)
    return math.nan
