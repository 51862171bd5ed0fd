"""Texts that may mean numbers or truth values, and the rows in which they do not."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.reading.csv_cells import ABSENT, NUMBER, TRUTH

# Zeros before a number are part of a code: of a zip, a telephone or an account number.
CODE: Final = re.compile(r"\s*[+-]?0\d")
NOTHING: Final = frozenset(ABSENT)

Cells = NDArray[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Numbers:
    """A column's texts as float64, NaN where there is none.

    `odd` are the places of cells that are there and are no number, `coded` says that one is
    rather a code; `stated` are cells that say in words that there is none.
    """

    values: NDArray[np.float64]
    odd: NDArray[np.int64]
    stated: NDArray[np.int64]
    coded: bool


def numbers_in(texts: Cells) -> Numbers:
    """What a column's texts are as numbers."""
    codes, known = distinct(texts)
    odd = np.array([not _means_number(text) for text in known], np.bool_)
    stated = np.array([text.strip() in NOTHING for text in known], np.bool_)
    values = np.array([_number(text) for text in known], np.float64)
    return Numbers(
        values=_of_each(codes, values, np.nan),
        odd=np.flatnonzero(_of_each(codes, odd, False)),
        stated=np.flatnonzero(_of_each(codes, stated, False)),
        coded=any(CODE.match(text) and NUMBER.fullmatch(text) for text in known),
    )


def truth_in(texts: Cells) -> NDArray[np.float64] | None:
    """A column of true and false as 1 and 0, NaN where neither is said; None of any other."""
    codes, known = distinct(texts)
    if not known or not all(text in TRUTH for text in known):
        return None
    return _of_each(codes, np.array([TRUTH[text] for text in known], np.float64), np.nan)


def where_not(texts: Cells, fits: Callable[[str], bool]) -> NDArray[np.int64]:
    """The places of texts that are there and do not fit."""
    codes, known = distinct(texts)
    unfit = np.array([not fits(text) for text in known], np.bool_)
    return np.flatnonzero(_of_each(codes, unfit, False))


def distinct(texts: Cells) -> tuple[NDArray[np.int64], list[str]]:
    """Each text's place among the different ones, -1 where there is none; and these."""
    codes, known = pd.factorize(texts)
    return codes, known.tolist()


def present_in(cells: Cells) -> int:
    """How many cells are there."""
    return int((distinct(cells)[0] >= 0).sum())


def as_texts(cells: Cells) -> Cells:
    """Cells as the texts that a caller would write: whole numbers without a point."""
    if cells.dtype == object:
        return cells
    codes, known = pd.factorize(cells)
    texts = np.array([*(_written(value) for value in known.tolist()), None], dtype=object)
    return np.asarray(texts[codes])


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value)


def _means_number(text: str) -> bool:
    return text.strip() in NOTHING or NUMBER.fullmatch(text) is not None


def _number(text: str) -> float:
    return float(text) if NUMBER.fullmatch(text) else np.nan


def _of_each(codes: NDArray[np.int64], values: NDArray[Any], otherwise: Any) -> NDArray[Any]:
    """The value of each code, and something else for -1, which is the last place."""
    return np.asarray(np.append(values, np.array([otherwise], values.dtype))[codes])
