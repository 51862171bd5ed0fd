"""How much a worker computes for a row, and for how many rows at once.

A tenant chooses what a model computes, and rows come by the hundred thousand. What needs more for
one row than a worker may give is served by a host, where memory and time end with the sandbox; of
all others so many rows are answered at once as keep what lies in between within bounds.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from math import inf
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.errors import ArraysMalformed, RowsRefused
from models.parts import Child
from models.signature import Signature
from models.tables import Features, Table, column_count, stack, take

MOST_CELLS_PER_ROW: Final = 200_000  # numbers that lie in between
MOST_WORK_PER_ROW: Final = 20_000_000  # numbers that are multiplied: some milliseconds
CELLS_AT_ONCE: Final = 1 << 23  # 64 MiB of float64
MOST_ANSWERS: Final = 1 << 25  # numbers in all answers of one call
# Microseconds: of a part that is asked, of a node that a row passes, of a number that it meets.
CALL: Final = 3.0
STEP: Final = 0.02
NUMBER: Final = 0.0005
LONG: Final = 1_000.0  # a call of one row that is not tried with several
TRIAL_ROWS: Final = 8
TRIALS: Final = 3


class Meter:
    """Adds up what one row needs; raises ArraysMalformed when that is too much.

    `steps` are nodes of trees, as many as take as long as those that a row passes at most: their
    engine bounds them itself. `parts` are those that were asked.
    """

    def __init__(self) -> None:
        self.cells = self.work = self.steps = self.parts = 0

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

    __slots__ = ("_cells", "_part", "_steps", "_work", "methods", "size")

    def __init__(self, part: Child, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._part = part
        self._cells = sum(max(array.shape, default=0) for array in arrays.values())
        self._work = sum(array.size for array in arrays.values())
        self._steps: int = getattr(part, "steps", 0)  # only trees have some
        self.methods, self.size = part.methods, part.size
        Meter().add(self._cells, self._work)

    def answer(self, method: str, features: Features) -> NDArray[Any]:
        """Answer each row; raises ArraysMalformed while measuring what is too much."""
        meter = METER.get()
        if meter is None:
            return self._part.answer(method, features)
        meter.parts += 1
        meter.steps += self._steps
        meter.add(self._cells, self._work)  # before anything is allocated for it
        answers = self._part.answer(method, features)
        meter.add(answers.size, 0)
        return answers


@dataclass(frozen=True, slots=True)
class Need:
    """What a method needs: cells and answers of a row, microseconds of a call and of each row."""

    columns: int
    cells: int
    width: int
    call: float
    row: float


class Portioned:
    """Answers as many rows at once as the first row that is asked about allows.

    What is not finite is seen in the answers: numpy warns of nothing, as no library does.
    """

    __slots__ = ("_needs", "_part", "methods", "size")

    def __init__(self, part: Child) -> None:
        self._part = part
        self._needs: dict[str, Need] = {}
        self.methods, self.size = part.methods, part.size

    def answer(self, method: str, features: Features) -> NDArray[Any]:
        """Answer each row; raises RowsRefused for more answers than one call may have."""
        with np.errstate(all="ignore"):
            rows = len(features)
            need = self._needs.get(method)
            if need is None or need.columns != column_count(features):
                if rows == 0:
                    return self._part.answer(method, features)
                need = self._measured(method, features)
            if rows * need.width > MOST_ANSWERS:
                raise RowsRefused(f"so many rows that their answers are over {MOST_ANSWERS}")
            if rows * need.cells <= CELLS_AT_ONCE:
                return self._part.answer(method, features)
            return self._in_portions(method, features, -(-rows * need.cells // CELLS_AT_ONCE))

    def microseconds(self, method: str, rows: int) -> float:
        """About what a call takes, rather more than less; infinite until a first one was answered.

        Where columns are texts, longer ones than the first row's may take longer.
        """
        need = self._needs.get(method)
        return inf if need is None else need.call + rows * need.row

    def _in_portions(self, method: str, features: Features, portions: int) -> NDArray[Any]:
        ends = [len(features) * part // portions for part in range(portions + 1)]
        parts = [take(features, *ends[at : at + 2]) for at in range(portions)]
        return np.concatenate([self._part.answer(method, part) for part in parts])

    def _measured(self, method: str, features: Features) -> Need:
        meter = Meter()
        token = METER.set(meter)
        first = take(features, 0, 1)
        try:
            answers = self._part.answer(method, first)
        finally:
            METER.reset(token)
        call, row = self._clocked(method, first)
        need = Need(
            columns=column_count(features),
            cells=meter.cells,
            width=answers.size,
            call=max(call, CALL * meter.parts),
            # Another row may go farther through trees than the first did.
            row=STEP * meter.steps or max(row, NUMBER * (meter.work + meter.cells)),
        )
        self._needs[method] = need
        return need

    def _clocked(self, method: str, first: Features) -> tuple[float, float]:
        """What a call takes, and each row of it, where that is soon found out.

        Some parts go from row to row or from column to column, which no array's size tells.
        """
        call = self._clock(method, first)
        if call > LONG:
            return call, call
        rows = self._clock(method, stack([first] * TRIAL_ROWS))
        return call, max(0.0, rows - call) / (TRIAL_ROWS - 1)

    def _clock(self, method: str, features: Features) -> float:
        """The shortest of a few calls, as the first ones bring in what the others find."""
        shortest = inf
        for _ in range(TRIALS):
            started = time.thread_time()
            self._part.answer(method, features)
            shortest = min(shortest, (time.thread_time() - started) * 1e6)
            if shortest > LONG:
                break
        return shortest


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
