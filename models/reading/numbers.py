"""Numbers that a file holds, as the float64 that a model takes."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.reading import Unreadable
from models.tables import LARGEST_INTEGER

INEXACT: Final = (
    "an integer beyond 2^53, which a 64-bit float cannot tell from its neighbours; "
    "write it as a float if a rounded one will do"
)


def exact(values: NDArray[Any], *, first: int, column: int | None = None) -> NDArray[np.float64]:
    """Numbers or truth values of any size as float64; raises Unreadable for what would change.

    `first` is the number of the first row; the second dimension, if there is one, are the columns.
    """
    if values.dtype.kind in "iu" and values.dtype.itemsize == 8:
        beyond = values > LARGEST_INTEGER
        if values.dtype.kind == "i":
            beyond |= values < -LARGEST_INTEGER
        if beyond.any():
            where = np.argwhere(beyond)[0].tolist()
            at = where[1] if len(where) > 1 else column
            raise Unreadable(INEXACT, row=first + where[0], column=at)
    return values.astype(np.float64)
