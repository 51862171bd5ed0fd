"""The rows of a call that are to be logged, taken out of it before it goes its way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from models.prediction_log.terms import LogRule
from models.tables import Features, Table
from models.versions import Version

MOST_CELLS: Final = 65_536  # that are copied of one call, whatever its size
OVERHEAD_BYTES: Final = 512  # of one excerpt, besides its cells
POINTER_BYTES: Final = 8

Role = Literal["live", "shadow"]
Positions = NDArray[np.int64]
Key = tuple[str, str, str, tuple[int, ...]]
FIRST: Final[Positions] = np.zeros(1, np.int64)
NONE: Final[Positions] = np.zeros(0, np.int64)


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """Whose call it was and when (Unix time), without what was sent or answered.

    `seconds` is the time that the model took for all of its rows; `first_row` the position of the
    first of those that are offered, where a call is answered in portions.
    """

    at: float
    request_id: str
    principal_id: str
    dialect: str
    seconds: float
    first_row: int = 0
    role: Role = "live"


@dataclass(frozen=True, kw_only=True, slots=True)
class Excerpt:
    """Some rows of a call, what one method answered to them, and how much memory they take.

    `inputs` holds the columns that may be kept, None if there are none.
    """

    rule: LogRule
    version: Version
    method: str
    call: Call
    positions: Positions
    kept: tuple[int, ...]
    inputs: Features | None
    answers: NDArray[Any]
    size: int

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return len(self.positions)

    @property
    def key(self) -> Key:
        """What excerpts of one file have in common."""
        return self.rule.id, self.version.id, self.method, self.kept


class Sampler:
    """Draws rows by chance, each with the same share."""

    def __init__(self, generator: np.random.Generator | None = None) -> None:
        self._generator = generator or np.random.default_rng()

    def draw(self, rows: int, share: float) -> Positions:
        """The positions of the rows drawn, in order."""
        if share >= 1.0:
            return np.arange(rows)
        if rows == 1:
            return FIRST if self._generator.random() < share else NONE
        return np.flatnonzero(self._generator.random(rows) < share)

    def thin(self, positions: Positions, most: int) -> Positions:
        """At most so many of the positions, each with the same chance to stay."""
        if len(positions) <= most:
            return positions
        return np.sort(self._generator.choice(positions, most, replace=False))


@dataclass(frozen=True, slots=True)
class Offer:
    """What a call sent, and the columns of it that may be kept."""

    rule: LogRule
    version: Version
    call: Call
    features: Features
    kept: tuple[int, ...]

    def most_rows(self, answers: NDArray[Any]) -> int:
        """How many rows are copied at most; none of rows that are wider than all of it."""
        return MOST_CELLS // max(1, len(self.kept) + int(np.prod(answers.shape[1:])))

    def cut(self, positions: Positions, method: str, answers: NDArray[Any]) -> Excerpt:
        """Copies of the rows at these positions: what they are cut from is large, or reused."""
        inputs, said = _cut(self.features, positions, self.kept), answers[positions]
        return Excerpt(
            rule=self.rule,
            version=self.version,
            method=method,
            call=self.call,
            positions=positions + self.call.first_row,
            kept=self.kept,
            inputs=inputs,
            answers=said,
            size=OVERHEAD_BYTES + _size(inputs) + _cells_size(said),
        )


def _cut(features: Features, positions: Positions, kept: tuple[int, ...]) -> Features | None:
    if not kept:
        return None
    if isinstance(features, Table):
        return Table(tuple(features.columns[at][positions] for at in kept))
    rows = features[positions]
    return rows if len(kept) == features.shape[1] else rows[:, list(kept)]


def _size(inputs: Features | None) -> int:
    if inputs is None:
        return 0
    if isinstance(inputs, Table):
        return sum(_cells_size(column) for column in inputs.columns)
    return int(inputs.nbytes)


def _cells_size(cells: NDArray[Any]) -> int:
    if cells.dtype != object:
        return int(cells.nbytes)
    texts = (cell for cell in cells.ravel() if type(cell) is str)
    return POINTER_BYTES * cells.size + 4 * sum(map(len, texts))
