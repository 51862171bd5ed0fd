"""What waits in a host: calls that may be answered together, and the answers taken apart again.

A batch is what is there when the host becomes free; it never waits for company. Only calls of the
same version, method, kinds and number of columns are together in one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar

from numpy.typing import NDArray

from models.hosting.page import MOST_CALLS
from models.tables import Features, Table, column_count, row_count, stack

MOST_ROWS: Final = 4096

Alike = tuple[object, ...]
P = TypeVar("P")
Outcome = NDArray[Any] | Exception


class Waiting(NamedTuple, Generic[P]):
    """A call that waits: what it may share a batch with, how many rows it has, and the call."""

    alike: Alike
    rows: int
    call: P


class Queue(Generic[P]):
    """Calls in the order of their arrival."""

    def __init__(self) -> None:
        self._waiting: deque[Waiting[P]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, waiting: Waiting[P]) -> None:
        """Let a call wait."""
        self._waiting.append(waiting)

    def next_batch(self) -> list[P]:
        """Take the call that waits longest, and those like it, within the bounds of a batch.

        Among calls that are alike the order of arrival holds; the others keep theirs.
        """
        first = self._waiting.popleft()
        batch, rows, others = [first.call], first.rows, deque[Waiting[P]]()
        while self._waiting and len(batch) < MOST_CALLS and rows < MOST_ROWS:
            waiting = self._waiting.popleft()
            if waiting.alike != first.alike:
                others.append(waiting)
                continue
            rows += waiting.rows
            if rows > MOST_ROWS:
                others.append(waiting)
                break
            batch.append(waiting.call)
        self._waiting.extendleft(reversed(others))
        return batch


def alike(version: bytes, method: int, features: Features) -> Alike:
    """What calls must have in common to be answered together."""
    kinds = features.kinds if isinstance(features, Table) else None
    return version, method, column_count(features), kinds


def answer_each(
    answer: Callable[[Features], NDArray[Any]], parts: Sequence[Features]
) -> list[Outcome]:
    """Answer all parts at once; if that fails, each half by itself, so that one fails alone."""
    try:
        return _answer_together(answer, parts)
    except Exception as error:  # noqa: BLE001 - whatever a model raises ends here
        if len(parts) == 1:
            return [error]
    middle = len(parts) // 2
    return [*answer_each(answer, parts[:middle]), *answer_each(answer, parts[middle:])]


def _answer_together(
    answer: Callable[[Features], NDArray[Any]], parts: Sequence[Features]
) -> list[Outcome]:
    values = answer(stack(parts))
    counts = [row_count(part) for part in parts]
    if values.ndim == 0 or len(values) != sum(counts):
        raise RowsMiscounted(values.shape, sum(counts))
    answers: list[Outcome] = []
    start = 0
    for count in counts:
        answers.append(values[start : start + count])
        start += count
    return answers


class RowsMiscounted(Exception):
    """Raised when a model does not answer once for each row."""

    def __init__(self, shape: tuple[int, ...], rows: int) -> None:
        super().__init__(f"answers of the shape {shape} to {rows} rows")
