"""Encoders of categories: texts or numbers become marks, numbers, or means of a target.

Each column has one entry for each category and two more, for what is unknown and what is missing.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.errors import ArraysMalformed, RowsRefused
from models.layouts import Floats, Integers, flags, floats, integers, layout, optional, texts
from models.parts import Part
from models.tables import Features, Table

NOTHING: Final = -1  # an entry that is marked in no column
UNKNOWN, MISSING = 0, 1
SPECIAL: Final = 2
_CATEGORIES: Final = {
    "textual": flags("columns"),
    "texts": optional(texts("texts")),  # of all columns that are texts, one after another
    "numbers": optional(floats("numbers")),
    "counts": integers("columns", least=0),
    "refuses": flags("columns", SPECIAL),
}


class _Encoder(Part):
    """Finds the entry of each value of each column."""

    def prepare(self) -> None:
        textual, counts = self.arrays["textual"], self.arrays["counts"]
        held = (self.lengths.get("texts", 0), self.lengths.get("numbers", 0))
        if (int(counts[textual].sum()), int(counts[~textual].sum())) != held:
            raise ArraysMalformed("there are not as many categories as the columns have")
        sizes = counts + SPECIAL
        self.entries = int(sizes.sum())
        self._starts = (np.cumsum(sizes) - sizes).tolist()
        self._known = self._categories()
        self._refuses = self.arrays["refuses"].tolist()

    def _categories(self) -> list[Any]:
        known: list[Any] = []
        at = {True: 0, False: 0}
        pairs = zip(self.arrays["textual"].tolist(), self.arrays["counts"].tolist(), strict=True)
        for textual, count in pairs:
            source = self.arrays.get("texts" if textual else "numbers", np.zeros(0))
            own = source[at[textual] : at[textual] + count]
            at[textual] += count
            if textual:
                known.append({value: place for place, value in enumerate(own.tolist())})
            elif (np.diff(own) <= 0).any():
                raise ArraysMalformed("a column's categories are not in order")
            else:
                known.append(own)
        return known

    def found(self, features: Features) -> list[Integers]:
        """The entries of each column's values; raises RowsRefused."""
        columns = features.columns if isinstance(features, Table) else tuple(features.T)
        if len(columns) != len(self._known):
            raise RowsRefused("another number of columns")
        found = []
        for column, known, refuses, start in zip(
            columns, self._known, self._refuses, self._starts, strict=True
        ):
            places = (_of_texts if isinstance(known, dict) else _of_numbers)(column, known)
            for special, refused in enumerate(refuses):
                if refused and (places == len(known) + special).any():
                    raise RowsRefused("a category that the model does not know")
            found.append(places + start)
        return found


class Marks(_Encoder):
    """One column for each category that is kept: 1 where a row has it."""

    LAYOUT = layout(
        **_CATEGORIES,
        codes=integers("entries", least=NOTHING),
        widths=integers("columns", least=0),
    )

    def prepare(self) -> None:
        super().prepare()
        widths, sizes = self.arrays["widths"], self.arrays["counts"] + SPECIAL
        if self.lengths["entries"] != self.entries:
            raise ArraysMalformed("there are not as many codes as categories")
        if (self.arrays["codes"] >= np.repeat(widths, sizes)).any() or (widths > sizes).any():
            raise ArraysMalformed("a code leads to a column that is not there, or none to one")
        ends = np.cumsum(widths)
        self._columns = (ends - widths).tolist()
        self._width = int(ends[-1])

    def transform(self, features: Features) -> Floats:
        """Ones and zeros."""
        found = self.found(features)
        made = np.zeros((len(found[0]), self._width))
        for start, places in zip(self._columns, found, strict=True):
            codes = self.arrays["codes"][places]
            rows = np.flatnonzero(codes >= 0)
            made[rows, start + codes[rows]] = 1.0
        return made


class Values(_Encoder):
    """One number, or a few, for each category."""

    LAYOUT = layout(
        **_CATEGORIES, values=floats("entries", "width"), blank=flags("entries", "width")
    )

    def prepare(self) -> None:
        super().prepare()
        if self.lengths["entries"] != self.entries:
            raise ArraysMalformed("there are not as many values as categories")
        self._values = np.where(self.arrays["blank"], np.nan, self.arrays["values"])

    def transform(self, features: Features) -> Floats:
        """The numbers."""
        return np.hstack([self._values[places] for places in self.found(features)])


def _of_texts(column: NDArray[Any], known: dict[str, int]) -> Integers:
    if column.dtype != object:
        raise RowsRefused("a number, where a text is taken")
    unknown, missing = len(known) + UNKNOWN, len(known) + MISSING
    places = [
        known.get(value, unknown) if isinstance(value, str) else missing
        for value in column.tolist()
    ]
    return np.array(places, np.int64)


def _of_numbers(column: NDArray[Any], known: Floats) -> Integers:
    if column.dtype == object:
        raise RowsRefused("a text, where a number is taken")
    places = np.searchsorted(known, column)
    same = np.zeros(len(column), np.bool_)
    within = places < len(known)
    same[within] = known[places[within]] == column[within]
    places = np.where(same, places, len(known) + UNKNOWN)
    return np.where(np.isnan(column), len(known) + MISSING, places)


KINDS: Final[dict[str, type[Part]]] = {"marks": Marks, "values": Values}
