"""Draws rows that ask an estimator everything: ordinary ones, and those at which answers turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.columns import Columns
from models.landmarks import LARGEST
from models.tables import Features, Table, row_count, take

Floats = NDArray[np.float64]

# The largest stay below the largest float32, which tree and other models cast to.
EXTREMES: Final = (0.0, -0.0, 5e-324, 1e-300, 1e-30, 1.0, 2.0**53, 1e20, 1e30, 1e38)
SCALES: Final = (1e-6, 1e-3, 1.0, 30.0, 1e3, 1e6, 1e12)
UNKNOWN: Final = ("", " ", "unknown to the model", "ÄÖ\u4e2d", "nan", "0")
MOST_GIVEN: Final = 2_000
CELLS: Final = 20_000_000  # a wide model is asked about fewer rows, to bound time and memory


class Source:
    """A source of rows for one estimator, the same for the same seed.

    Numbers come from the `landmarks` of each column and from the rows given; without either they
    are normal. Texts come from the values known to the estimator's encoders.
    """

    def __init__(
        self,
        columns: Columns,
        landmarks: Mapping[int, Floats],
        *,
        given: Features | None,
        seed: int,
    ) -> None:
        self._columns = columns
        self._random = np.random.default_rng(seed)
        self._given = None if given is None else take(given, 0, MOST_GIVEN)
        self._landmarks = landmarks
        self._numbers = [at for at, kind in enumerate(columns.kinds) if kind == "number"]
        self._values = {at: self._values_of(at) for at in self._numbers}

    def fit(self, rows: int) -> int:
        """So many rows, or as many as may be drawn of so wide a model."""
        return max(1, min(rows, CELLS // (8 * self._columns.count)))

    def given(self) -> Features | None:
        """The rows given, at most 2,000."""
        return self._given

    def within(self, rows: int) -> Features:
        """Rows within the model's own ranges, or little outside."""
        return self._table(rows, self._within)

    def known(self, rows: int) -> Features:
        """Rows of values that the model was fitted on, as far as it says."""
        return self._table(rows, lambda at, count: self._random.choice(self._values[at], count))

    def inside(self, rows: int, *, positive: bool) -> Features:
        """Rows between the smallest and the largest numbers known, or of positive ones alone."""

        def drawn(at: int, count: int) -> Floats:
            values = self._values[at]
            numbers = self._random.uniform(values.min(), values.max(), count)
            return np.abs(numbers) if positive else numbers

        return self._table(rows, drawn)

    def filled(self, value: float, rows: int) -> Features:
        """Rows with one number everywhere."""
        return self._table(rows, lambda _at, count: np.full(count, value))

    def around(self, rows: int) -> Features:
        """Rows near ordinary ones: perturbed, and mixed between two of them."""
        base = self._base(rows)

        def near(at: int, count: int) -> Floats:
            noise = self._random.normal(0, 0.1 * self._spread(at), count)
            noise[self._random.random(count) < 0.5] = 0
            return self._random.permuted(base[at]) + noise

        return self._table(rows, near)

    def landmarks(self, rows: int) -> Features:
        """Rows with numbers exactly at a landmark, and one ulp of either float beside it."""
        base = self._base(rows)
        everywhere = self._random.random(rows) < 0.5  # the other half has one such number each
        chosen = self._random.choice(self._numbers, rows) if self._numbers else np.empty(0)

        def at_turns(at: int, count: int) -> Floats:
            turns = _beside(self._random, self._random.choice(self._values[at], count))
            return np.where(everywhere | (chosen == at), turns, base[at])

        return self._table(rows, at_turns)

    def sizes(self, rows: int) -> Features:
        """Rows of many sizes and signs, whole numbers among them."""
        scale = self._random.choice((*SCALES, 0.0), rows)

        def sized(_at: int, count: int) -> Floats:
            whole = self._random.integers(-5, 100, count).astype(np.float64)
            return np.where(scale == 0, whole, self._random.normal(0, 1, count) * scale)

        return self._table(rows, sized)

    def extremes(self, rows: int) -> Features:
        """Rows that are one extreme all over, then rows of several."""
        signed = np.array([sign * value for value in EXTREMES for sign in (1, -1)])

        def extreme(_at: int, count: int) -> Floats:
            mixed = self._random.choice(signed, count)
            mixed[: len(signed)] = signed[:count]
            return mixed

        return self._table(rows, extreme)

    def missing(self, rows: int) -> Features:
        """Ordinary rows with holes: in one column, in some, and in all."""
        columns = _columns(self.within(rows))
        share = self._random.choice((0.05, 0.3, 1.0), rows, p=(0.5, 0.4, 0.1))
        alone = self._random.integers(0, len(columns), rows)
        single = self._random.random(rows) < 0.4
        holed = []
        for at, column in enumerate(columns):
            holes = np.where(single, alone == at, self._random.random(rows) < share)
            nothing: Any = None if column.dtype == object else np.nan
            holed.append(np.where(holes, nothing, column).astype(column.dtype))
        return self._features(holed)

    def unknown(self, rows: int) -> Features:
        """Ordinary rows with texts that no encoder was fitted on, in one column each."""
        columns = [column.copy() for column in _columns(self.within(rows))]
        texts = [at for at, column in enumerate(columns) if column.dtype == object]
        for row in range(rows):
            at = texts[row % len(texts)]
            columns[at][row] = self._strange(at, row)
        return self._features(columns)

    def has_texts(self) -> bool:
        """Whether any column is of text."""
        return len(self._numbers) < self._columns.count

    def number_columns(self) -> Sequence[int]:
        """The positions of columns of numbers."""
        return self._numbers

    def _strange(self, at: int, row: int) -> str:
        known = self._columns.known.get(at, ())
        near = [f"{known[row % len(known)]} ", known[row % len(known)].swapcase()] if known else []
        options = [text for text in (*UNKNOWN, *near) if text not in known]
        return options[row % len(options)]

    def _values_of(self, at: int) -> Floats:
        parts = [self._landmarks.get(at, np.empty(0))]
        if self._given is not None:
            column = _columns(self._given)[at]
            parts.append(column[np.abs(column) <= LARGEST])  # which is not so of NaN
        values = np.concatenate(parts)
        return values if len(values) else np.array([-1.0, 0.0, 1.0])

    def _spread(self, at: int) -> float:
        low, high = np.quantile(self._values[at], (0.05, 0.95))
        spread = float(high - low)
        return spread if 0 < spread < np.inf else 1.0

    def _within(self, at: int, rows: int) -> Floats:
        values, spread = self._values[at], self._spread(at)
        low, high = np.quantile(values, (0.02, 0.98))
        drawn = self._random.uniform(low - 0.1 * spread, high + 0.1 * spread, rows)
        return np.where(self._random.random(rows) < 0.3, self._random.choice(values, rows), drawn)

    def _base(self, rows: int) -> Mapping[int, Floats]:
        """Ordinary numbers by column: of the rows given, where there are any, else drawn."""
        if self._given is None:
            return {at: self._within(at, rows) for at in self._numbers}
        columns = _columns(self._given)
        picked = self._random.integers(0, row_count(self._given), rows)
        return {at: columns[at][picked] for at in self._numbers}

    def _table(self, rows: int, numbers: Callable[[int, int], Floats]) -> Features:
        kinds = enumerate(self._columns.kinds)
        drawn = [numbers(at, rows) if k == "number" else self._texts(at, rows) for at, k in kinds]
        return self._features(drawn)

    def _texts(self, at: int, rows: int) -> NDArray[Any]:
        words = self._columns.words.get(at)
        if words:
            joined = [
                " ".join(self._random.choice(words, self._random.integers(0, 12)))
                for _ in range(rows)
            ]
            return np.array(joined, dtype=object)
        known = self._columns.known.get(at) or ("text",)
        return np.array(known, dtype=object)[self._random.integers(0, len(known), rows)]

    def _features(self, columns: Sequence[NDArray[Any]]) -> Features:
        if self._columns.numbers_alone:
            return np.ascontiguousarray(np.column_stack(columns))
        return Table(tuple(columns))


def _beside(random: np.random.Generator, values: Floats) -> Floats:
    """Values, or their neighbours in float64 or float32, or between two float32."""
    with np.errstate(over="ignore", under="ignore"):
        single = values.astype(np.float32)
        up, down = np.float32(np.inf), np.float32(-np.inf)
        options = np.array(
            [
                values,
                np.nextafter(values, np.inf),
                np.nextafter(values, -np.inf),
                single,
                np.nextafter(single, up),
                np.nextafter(single, down),
                (single.astype(np.float64) + np.nextafter(single, up)) / 2,
                (single.astype(np.float64) + np.nextafter(single, down)) / 2,
            ]
        )
    turned: Floats = options[random.integers(0, len(options), len(values)), np.arange(len(values))]
    return np.where(np.isfinite(turned), turned, values)


def _columns(features: Features) -> Sequence[NDArray[Any]]:
    return features.columns if isinstance(features, Table) else list(features.T)
