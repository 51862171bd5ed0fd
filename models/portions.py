"""How much a worker computes for a row, and for how many rows at once.

A tenant chooses what a model computes, and rows come by the hundred thousand. What needs more for
one row than a worker may give is served by a host, where memory and time end with the sandbox; of
all others so many rows are answered at once as keep what lies in between within bounds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextvars import ContextVar
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.errors import ArraysMalformed, RowsRefused
from models.parts import Child
from models.signature import Signature
from models.tables import Features, Table, column_count, row_count, take

MOST_CELLS_PER_ROW: Final = 200_000  # numbers that lie in between
MOST_WORK_PER_ROW: Final = 20_000_000  # numbers that are multiplied: some milliseconds
CELLS_AT_ONCE: Final = 1 << 23  # 64 MiB of float64
MOST_ANSWERS: Final = 1 << 25  # numbers in all answers of one call


class Meter:
    """Adds up what one row needs; raises ArraysMalformed when that is too much."""

    def __init__(self) -> None:
        self.cells = self.work = 0

    def add(self, cells: int, work: int) -> None:
        """Take note of one part's share."""
        self.cells += cells
        self.work += work
        if self.cells > MOST_CELLS_PER_ROW:
            raise ArraysMalformed(f"a row needs more than {MOST_CELLS_PER_ROW} numbers in between")
        if self.work > MOST_WORK_PER_ROW:
            raise ArraysMalformed(f"a row takes more than {MOST_WORK_PER_ROW} multiplications")


METER: Final[ContextVar[Meter | None]] = ContextVar("meter", default=None)


class Metered:
    """A part whose share is added up while a row is measured.

    `arrays` are what it computes with: a row meets each number once, and what a product with a
    matrix leaves is no longer than the matrix. Raises ArraysMalformed if they alone are too much.
    """

    __slots__ = ("_cells", "_part", "_work", "methods", "size")

    def __init__(self, part: Child, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._part = part
        self._cells = sum(max(array.shape, default=0) for array in arrays.values())
        self._work = sum(array.size for array in arrays.values())
        self.methods, self.size = part.methods, part.size
        Meter().add(self._cells, self._work)

    def answer(self, method: str, features: Features) -> NDArray[Any]:
        """Answer each row; raises ArraysMalformed while measuring what is too much."""
        meter = METER.get()
        if meter is None:
            return self._part.answer(method, features)
        meter.add(self._cells, self._work)  # before anything is allocated for it
        answers = self._part.answer(method, features)
        meter.add(answers.size, 0)
        return answers


class Portioned:
    """Answers as many rows at once as the first row that is asked about allows."""

    __slots__ = ("_cells", "_part", "methods", "size")

    def __init__(self, part: Child) -> None:
        self._part = part
        self._cells: dict[tuple[str, int], tuple[int, int]] = {}
        self.methods, self.size = part.methods, part.size

    def answer(self, method: str, features: Features) -> NDArray[Any]:
        """Answer each row; raises RowsRefused for more answers than one call may have."""
        rows = row_count(features)
        if rows == 0:
            return self._part.answer(method, features)
        known = method, column_count(features)
        if known not in self._cells:
            self._measure(method, features)
        cells, width = self._cells[known]
        if rows * width > MOST_ANSWERS:
            raise RowsRefused(f"so many rows that their answers are over {MOST_ANSWERS} numbers")
        portions = -(-rows * cells // CELLS_AT_ONCE)
        if portions <= 1:
            return self._part.answer(method, features)
        ends = [rows * part // portions for part in range(portions + 1)]
        parts = [take(features, *ends[at : at + 2]) for at in range(portions)]
        return np.concatenate([self._part.answer(method, part) for part in parts])

    def _measure(self, method: str, features: Features) -> None:
        meter = Meter()
        token = METER.set(meter)
        try:
            answers = self._part.answer(method, take(features, 0, 1))
        finally:
            METER.reset(token)
        # Only ever as many entries as methods: a model takes one number of columns.
        if len(self._cells) > len(self.methods):
            self._cells.clear()
        self._cells[method, column_count(features)] = meter.cells, answers.size


def refuse_large(predictor: Child, signature: Signature, methods: Collection[str]) -> None:
    """Raise ArraysMalformed if a row of a signature's width is more than a worker computes."""
    row = _any_row(signature)
    for method in methods:
        try:
            predictor.answer(method, row)
        except ArraysMalformed:
            raise
        except Exception:  # noqa: BLE001, S112  what fails on this row tells nothing of its size
            continue


def _any_row(signature: Signature) -> Features:
    kinds = signature.kinds or ()
    if "text" not in kinds:
        return np.zeros((1, signature.columns))
    empty = np.array([""], object)
    return Table(tuple(empty if kind == "text" else np.zeros(1) for kind in kinds))
