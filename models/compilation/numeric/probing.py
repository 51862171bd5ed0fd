"""Reads an encoder by asking it: what it makes of each category, and of none that it knows."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.compilation.numeric.encoding import KINDS as ENCODERS
from models.compilation.numeric.encoding import NOTHING
from models.compilation.numeric.taking import Taken, Taker, floats_of, texts_of
from models.errors import EstimatorNotHeld
from models.layouts import Floats
from models.parts import Part

MOST_CATEGORIES: Final = 20_000
MOST_CELLS: Final = 20_000_000
NO_CATEGORY: Final = "\N{REPLACEMENT CHARACTER} none of these"

Rows = NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Column:
    """A column's categories without what is missing, and the value that stands for that."""

    categories: list[Any]
    textual: bool
    missing: tuple[Any, ...]

    @property
    def unknown(self) -> Any:
        """A value of no category."""
        return NO_CATEGORY if self.textual else max([0.0, *self.categories]) + 1.5


def _column(categories: NDArray[Any]) -> _Column:
    values = np.asarray(categories).tolist()
    given = [value for value in values if value is not None and value == value]
    absent = tuple(value for value in values if value is None or value != value)
    if given and all(type(value) is str for value in given):
        return _Column(given, True, absent or (None, np.nan))
    if all(isinstance(value, int | float) for value in given) and categories.dtype != object:
        return _Column([float(value) for value in given], False, (np.nan,))
    raise EstimatorNotHeld("its categories are neither texts nor numbers")


class Probe:
    """Asks an encoder about one column at a time; the others have their first category."""

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator
        self.columns = [_column(np.asarray(own)) for own in estimator.categories_]
        if sum(len(column.categories) for column in self.columns) > MOST_CATEGORIES:
            raise EstimatorNotHeld(f"it has more than {MOST_CATEGORIES} categories")
        objects = any(column.textual for column in self.columns)
        self._dtype: type = object if objects else np.float64
        first = [(column.categories or [column.missing[0]])[0] for column in self.columns]
        self._first = np.array([first], self._dtype)

    def made(self, at: int, values: list[Any]) -> Any:
        """What the encoder makes of values in one column, or None where it fails."""
        rows = np.repeat(self._first, len(values), axis=0)
        rows[:, at] = np.array([*values, None], object)[:-1]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return self._estimator.transform(rows)
        except (ValueError, TypeError):
            return None

    def entries(self, at: int, start: int, stop: int) -> tuple[Floats, list[bool]]:
        """What a column's entries become in some of the columns made, and which are refused."""
        column = self.columns[at]
        if (len(column.categories) + 2) * max(1, stop - start) > MOST_CELLS:
            raise EstimatorNotHeld("its categories make too many columns")
        parts, refused = [], []
        if column.categories:
            parts.append(_dense(self.made(at, column.categories), start, stop))
        for values in ((column.unknown,), column.missing):
            each = [self.made(at, [value]) for value in values]
            refused.append(all(one is None for one in each))
            parts.append(_same(each, start, stop))
        return np.vstack(parts), refused


def _dense(made: Any, start: int, stop: int) -> Floats:
    if made is None:
        raise EstimatorNotHeld("it does not know its own categories")
    part = made.tocsc()[:, start:stop].toarray() if hasattr(made, "tocsc") else made[:, start:stop]
    return np.asarray(part, np.float64)


def _same(each: list[Any], start: int, stop: int) -> Floats:
    """What several forms of a missing value become; raises EstimatorNotHeld if they differ."""
    if all(one is None for one in each):
        return np.zeros((1, stop - start))
    parts = [_dense(one, start, stop) for one in each if one is not None]
    if len(parts) != len(each) or any(not np.array_equal(parts[0], p, True) for p in parts):
        raise EstimatorNotHeld("it tells one missing value from another")
    return parts[0]


def _arrays(probe: Probe, refused: list[list[bool]]) -> dict[str, NDArray[Any]]:
    columns = probe.columns
    arrays: dict[str, NDArray[Any]] = {
        "textual": np.array([column.textual for column in columns]),
        "counts": np.array([len(column.categories) for column in columns], np.int64),
        "refuses": np.array(refused),
    }
    named = [value for column in columns if column.textual for value in column.categories]
    numbers = [value for column in columns if not column.textual for value in column.categories]
    if named:
        arrays["texts"] = texts_of(named)
    if numbers:
        arrays["numbers"] = floats_of(numbers)
    return arrays


def _marks(estimator: Any) -> Taken:
    probe = Probe(estimator)
    widths = [int(width) for width in estimator._n_features_outs]
    codes, refused, start = [], [], 0
    for at, width in enumerate(widths):
        made, fails = probe.entries(at, start, start + width)
        marked = made.argmax(axis=1) if width else np.zeros(len(made), np.int64)
        codes.append(np.where(made.any(axis=1), marked, NOTHING))
        refused.append(fails)
        start += width
    return "marks", _arrays(probe, refused) | {
        "codes": np.concatenate(codes).astype(np.int64),
        "widths": np.array(widths, np.int64),
    }


def _values(estimator: Any, width: int) -> Taken:
    probe = Probe(estimator)
    pairs = [probe.entries(at, at * width, (at + 1) * width) for at in range(len(probe.columns))]
    values = np.vstack([made for made, _ in pairs])
    blank = np.isnan(values)
    return "values", _arrays(probe, [fails for _, fails in pairs]) | {
        "values": floats_of(np.where(blank, 0.0, values)),
        "blank": blank,
    }


def _ordinal(estimator: Any) -> Taken:
    return _values(estimator, 1)


def _target(estimator: Any) -> Taken:
    return _values(estimator, len(estimator.encodings_) // len(estimator.categories_))


KINDS: Final[dict[str, type[Part]]] = ENCODERS
TAKERS: Final[dict[str, Taker]] = {
    "OneHotEncoder": _marks,
    "OrdinalEncoder": _ordinal,
    "TargetEncoder": _target,
}
