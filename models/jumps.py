"""Finds where a model's numbers jump, by asking it: thresholds that no array shows.

Between two rows that differ in one number and are answered otherwise, the interval is halved until
its ends are neighbours among the floats. Where the answers still differ by more than rounding, a
tree or a bin has its threshold: both ends are rows that an engine has to get right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.probes import Source
from models.tables import Features, Matrix, Table, stack

PAIRS: Final = 384
STEPS: Final = 64  # bits of a float64
LOOK_AFTER: Final = 6
FEWEST: Final = 0.05  # of the pairs; a model with fewer steps than that is continuous
JUMP: Final = 1e-6  # relative; what is less may be rounding

Floats = NDArray[np.float64]
Ask = Callable[[Features], NDArray[Any]]


def rows_at_jumps(ask: Ask, source: Source, *, seed: int) -> Features | None:
    """Rows on both sides of jumps in the answers of `ask`, which raises for rows it refuses."""
    random = np.random.default_rng(seed)
    pairs = source.fit(PAIRS)
    numbers = source.number_columns()
    if not numbers:
        return None
    rows, others = source.within(pairs), source.within(pairs)
    moved = random.choice(np.asarray(numbers), pairs)
    low, high = _picked(rows, moved), _picked(others, moved)
    first = ask(rows)
    if first.dtype.kind != "f":
        return None
    ends = _halved(ask, rows, moved, low, high, first)
    if ends is None:
        return None
    low, high = ends
    below, above = _placed(rows, moved, low), _placed(rows, moved, high)
    jumping = np.flatnonzero(_differ(ask(below), ask(above)))
    return stack([_taken(below, jumping), _taken(above, jumping)]) if len(jumping) else None


def _halved(
    ask: Ask, rows: Features, moved: NDArray[Any], low: Floats, high: Floats, first: NDArray[Any]
) -> tuple[Floats, Floats] | None:
    last = ask(_placed(rows, moved, high))
    ends = [_ordered(low), _ordered(high)]
    for step in range(STEPS):
        middle = (ends[0] >> 1) + (ends[1] >> 1) + (ends[0] & ends[1] & 1)
        answers = ask(_placed(rows, moved, _unordered(middle)))
        same = _equal(answers, first)
        if step == LOOK_AFTER and np.mean(same | _equal(answers, last)) < FEWEST:
            return None
        ends = [np.where(same, middle, ends[0]), np.where(same, ends[1], middle)]
    return _unordered(ends[0]), _unordered(ends[1])


def _equal(some: NDArray[Any], others: NDArray[Any]) -> NDArray[np.bool_]:
    same = (some == others) | (np.isnan(some) & np.isnan(others))
    equal: NDArray[np.bool_] = same.reshape(len(same), -1).all(axis=1)
    return equal


def _differ(some: NDArray[Any], others: NDArray[Any]) -> NDArray[np.bool_]:
    with np.errstate(all="ignore"):
        size = np.maximum(np.abs(some), np.abs(others))
        far = np.abs(some - others) > JUMP * size
    differ: NDArray[np.bool_] = far.reshape(len(far), -1).any(axis=1)
    return differ


def _picked(rows: Features, columns: NDArray[Any]) -> Floats:
    """Of each row, the number in one of its columns."""
    if isinstance(rows, Table):
        return np.array([rows.columns[at][row] for row, at in enumerate(columns)], np.float64)
    picked: Floats = rows[np.arange(len(rows)), columns]
    return picked


def _placed(rows: Features, columns: NDArray[Any], values: Floats) -> Features:
    """The rows with another number in one of their columns each."""
    if isinstance(rows, Table):
        changed = [column.copy() for column in rows.columns]
        for at in np.unique(columns).tolist():
            changed[at][columns == at] = values[columns == at]
        return Table(tuple(changed))
    matrix = rows.copy()
    matrix[np.arange(len(rows)), columns] = values
    return matrix


def _taken(rows: Features, chosen: NDArray[Any]) -> Features:
    if isinstance(rows, Table):
        return Table(tuple(column[chosen] for column in rows.columns))
    taken: Matrix = rows[chosen]
    return taken


def _ordered(values: Floats) -> NDArray[np.int64]:
    """The floats as integers in the same order, neighbours being neighbours."""
    bits = np.ascontiguousarray(values + 0.0).view(np.int64)
    return np.where(bits < 0, np.int64(-(2**63)) - bits, bits)


def _unordered(order: NDArray[np.int64]) -> Floats:
    bits = np.where(order < 0, np.int64(-(2**63)) - order, order)
    return np.ascontiguousarray(bits).view(np.float64)
