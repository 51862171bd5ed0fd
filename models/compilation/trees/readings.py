"""How rows are read before trees test them, as each library reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from models.compilation.trees.ensemble import SINGLE, Arrays, Ensemble
from models.errors import ArraysMalformed, RowsRefused
from models.parts import matrix
from models.tables import Features, Table

Numbers = NDArray[Any]
AS_DOUBLE: Final = "double"
AS_SINGLE: Final = "single"
AS_SINGLE_UNBOUNDED: Final = "single unbounded"
CODED: Final = "coded"
LIGHTGBM: Final = "lightgbm"
ZERO: Final = float(np.float32(1e-35))  # LightGBM's: what is not farther from zero is zero
LARGEST: Final = float(np.finfo(np.float32).max)
NAMES: Final = (
    "reading",
    "coded",
    "code_sizes",
    "code_textual",
    "code_numbers",
    "code_texts",
    "zero",
    "whole",
)


class Reading(Protocol):
    """Makes of features the C-contiguous matrix that the trees test."""

    def read(self, features: Features) -> Numbers: ...


@dataclass(frozen=True, slots=True)
class AsDouble:
    """Numbers as they are."""

    def read(self, features: Features) -> Numbers:
        """Return the matrix itself."""
        return np.ascontiguousarray(matrix(features))


@dataclass(frozen=True, slots=True)
class AsSingle:
    """Numbers rounded to float32, as scikit-learn's trees and XGBoost read them.

    `dtype` is what treelite is to compare; `bounded` refuses what is infinite when rounded.
    """

    dtype: np.dtype[Any]
    bounded: bool

    def read(self, features: Features) -> Numbers:
        """Return the rounded matrix; raises RowsRefused for a number beyond float32."""
        rows = matrix(features)
        rounded = rows.astype(np.float32, order="C")
        # No number of a sum of squares this small is larger; one that is missing makes it unknown.
        small = np.vdot(rows, rows) <= LARGEST
        if self.bounded and not small and np.isinf(rounded).any():
            raise RowsRefused("a number is beyond the range of float32")
        return rounded.astype(self.dtype, copy=False)


@dataclass(frozen=True, slots=True)
class Coded:
    """Some columns as the places of their values among known categories, unknown ones missing."""

    texts: Mapping[int, Mapping[str, int]]
    numbers: Mapping[int, NDArray[np.float64]]

    def read(self, features: Features) -> Numbers:
        """Return the matrix with codes in place of categories."""
        given = features.columns if isinstance(features, Table) else list(features.T)
        columns = list(given)
        for position, known in self.texts.items():
            columns[position] = _codes_of_texts(columns[position], known)
        for position, sorted_numbers in self.numbers.items():
            columns[position] = _codes_of_numbers(columns[position], sorted_numbers)
        return np.ascontiguousarray(matrix(Table(tuple(columns))))


@dataclass(frozen=True, slots=True)
class LightGbm:
    """Numbers as LightGBM reads them.

    What is next to zero is zero, which may mean missing; categories lose their fraction.
    """

    zero: NDArray[np.int64]
    whole: NDArray[np.int64]

    def read(self, features: Features) -> Numbers:
        """Return a matrix in which what is missing is NaN."""
        rows = np.array(matrix(features), order="C")
        rows[np.abs(rows) <= ZERO] = 0.0
        for position in self.zero.tolist():
            column = rows[:, position]
            column[column == 0] = np.nan
        for position in self.whole.tolist():
            rows[:, position] = np.trunc(rows[:, position])
        return rows


def reading_of(arrays: Arrays, trees: Ensemble) -> Reading:
    """Read how to read; raises ArraysMalformed."""
    kind = arrays["reading"].tolist() if "reading" in arrays else None
    if kind in ([AS_SINGLE], [AS_SINGLE_UNBOUNDED]):
        dtype = np.dtype(np.float32 if trees.arithmetic == SINGLE else np.float64)
        return AsSingle(dtype, kind == [AS_SINGLE])
    if trees.arithmetic == SINGLE:
        raise ArraysMalformed("trees of float32 read numbers that are not")
    if kind == [AS_DOUBLE]:
        return AsDouble()
    if kind == [CODED]:
        return _coded(arrays, trees)
    if kind == [LIGHTGBM]:
        return LightGbm(_columns(arrays, "zero", trees), _columns(arrays, "whole", trees))
    raise ArraysMalformed("nothing says how to read rows")


def _columns(arrays: Arrays, name: str, trees: Ensemble) -> NDArray[np.int64]:
    columns = arrays.get(name, np.zeros(0, np.int64))
    if columns.dtype != np.int64 or columns.ndim != 1:
        raise ArraysMalformed(f"{name} is no list of columns")
    if ((columns < 0) | (columns >= trees.features)).any():
        raise ArraysMalformed(f"{name} has a column that is not there")
    if len(np.unique(columns)) != len(columns):
        raise ArraysMalformed(f"{name} has a column twice")
    return columns


def _coded(arrays: Arrays, trees: Ensemble) -> Coded:
    columns = _columns(arrays, "coded", trees).tolist()
    sizes, textual = arrays.get("code_sizes"), arrays.get("code_textual")
    numbers = arrays.get("code_numbers", np.zeros(0))
    texts = arrays.get("code_texts", np.zeros(0, "U1"))
    forms = (
        (sizes, "i", len(columns)),
        (textual, "b", len(columns)),
        (numbers, "f", len(numbers)),
        (texts, "U", len(texts)),
    )
    if any(a is None or a.dtype.kind != kind or a.shape != (n,) for a, kind, n in forms):
        raise ArraysMalformed("categories are neither numbers nor texts, or have no sizes")
    assert sizes is not None
    assert textual is not None
    if (sizes < 0).any() or any(
        int(sizes[which].sum()) != len(values)
        for which, values in ((textual, texts), (~textual, numbers))
    ):
        raise ArraysMalformed("there are not as many categories as said")
    return _filled(columns, sizes.tolist(), textual.tolist(), numbers, texts.tolist())


def _filled(
    columns: list[int],
    sizes: list[int],
    textual: list[bool],
    numbers: NDArray[np.float64],
    texts: list[str],
) -> Coded:
    coded_texts, coded_numbers = {}, {}
    for column, size, is_text in zip(columns, sizes, textual, strict=True):
        if is_text:
            known, texts = texts[:size], texts[size:]
            coded_texts[column] = {text: code for code, text in enumerate(known)}
        else:
            coded_numbers[column], numbers = numbers[:size], numbers[size:]
            if (np.diff(coded_numbers[column]) <= 0).any():
                raise ArraysMalformed("categories are not in order")
    return Coded(coded_texts, coded_numbers)


def _codes_of_texts(column: Numbers, known: Mapping[str, int]) -> NDArray[np.float64]:
    if column.dtype != object:
        raise RowsRefused("a number, where a text is taken")
    return np.array([known.get(value, np.nan) for value in column.tolist()], np.float64)


def _codes_of_numbers(column: Numbers, known: NDArray[np.float64]) -> NDArray[np.float64]:
    if column.dtype == object:
        raise RowsRefused("a text, where a number is taken")
    if not len(known):
        return np.full(len(column), np.nan)
    places = np.minimum(np.searchsorted(known, column), len(known) - 1)
    return np.where(known[places] == column, places, np.nan)
