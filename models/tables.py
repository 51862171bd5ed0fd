"""The rows of a prediction: one matrix of numbers, or columns of mixed kinds.

A matrix is C-contiguous float64. A table has one array per column, in the order of the model's
signature: float64, NaN where a number is missing, or objects that are each `str` or None.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
# Beyond it a float64 cannot tell an integer from its neighbours (RFC 8259, section 6).
LARGEST_INTEGER: Final = 2**53


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Columns of equal length, at least one."""

    columns: tuple[NDArray[Any], ...]

    def __len__(self) -> int:
        return len(self.columns[0])

    @property
    def kinds(self) -> tuple[str, ...]:
        """Of each column: `number` or `text`."""
        return tuple("text" if column.dtype == object else "number" for column in self.columns)


Features = Matrix | Table


def row_count(features: Features) -> int:
    """How many rows there are."""
    return len(features)


def column_count(features: Features) -> int:
    """How many columns each row has."""
    return len(features.columns) if isinstance(features, Table) else int(features.shape[1])


def take(features: Features, start: int, stop: int) -> Features:
    """The rows from `start` up to, not including, `stop`; nothing is copied."""
    if isinstance(features, Table):
        return Table(tuple(column[start:stop] for column in features.columns))
    return features[start:stop]


def stack(parts: Sequence[Features]) -> Features:
    """All rows of all parts, which are alike in columns and kinds."""
    if len(parts) == 1:
        return parts[0]
    matrices = [part for part in parts if not isinstance(part, Table)]
    if len(matrices) == len(parts):
        return np.concatenate(matrices)
    columns = [part.columns for part in parts if isinstance(part, Table)]
    return Table(tuple(np.concatenate(alike) for alike in zip(*columns, strict=True)))
