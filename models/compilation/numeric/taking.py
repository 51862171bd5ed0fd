"""What an engine reads off a fitted estimator, as arrays; raises EstimatorNotHeld."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.errors import EstimatorNotHeld
from models.layouts import Floats

Taken = tuple[str, dict[str, NDArray[Any]]]
Taker = Callable[[Any], Taken]


MOST_CELLS: Final = 50_000_000  # of a sparse matrix that is stored dense


def floats_of(value: Any) -> Floats:
    """A dense array of finite float64."""
    if hasattr(value, "toarray") and math.prod(value.shape) <= MOST_CELLS:
        value = value.toarray()
    if not isinstance(value, np.ndarray | list | tuple | float | int | np.number):
        raise EstimatorNotHeld(f"a {type(value).__name__} is no dense array")
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise EstimatorNotHeld(f"an array has the dtype {array.dtype}")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise EstimatorNotHeld("a number is not finite")
    if not array.size:
        raise EstimatorNotHeld("an array is empty")
    return array


def single(value: Any) -> Floats:
    """One number."""
    return floats_of([float(value)])


def whole(value: Any) -> NDArray[np.int64]:
    """One whole number."""
    return np.array([int(value)], np.int64)


def flag(value: object) -> NDArray[np.bool_]:
    """One truth value."""
    return np.array([bool(value)])


def text(value: object) -> NDArray[np.str_]:
    """One text."""
    if type(value) is not str or not value:
        raise EstimatorNotHeld(f"{value!r} is no text")
    return np.array([value])


def texts_of(values: Sequence[object]) -> NDArray[np.str_]:
    """Texts that come back as they are."""
    plain = np.array(values, np.str_) if all(type(v) is str for v in values) else None
    # numpy's text arrays end at a trailing NUL.
    if plain is None or not plain.size or plain.tolist() != list(values):
        raise EstimatorNotHeld("its texts are of a type that arrays do not hold")
    return plain if plain.itemsize else plain.astype("<U1")


def ragged(parts: Sequence[NDArray[Any]]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Flat arrays as one, and where each ends."""
    if not parts:
        raise EstimatorNotHeld("it has no parts")
    return np.concatenate(parts), np.cumsum([len(part) for part in parts], dtype=np.int64)
