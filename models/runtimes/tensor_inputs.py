"""From rows to the tensors of a graph, and from tensors to answers: alike for ONNX and Keras."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.columns import Columns
from models.errors import FormatRefused, RowsRefused
from models.signature import Part

MOST_COLUMNS: Final = 1_000_000
NOTHING: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({})

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Tags:
    """What scikit-learn asks of an estimator first."""

    estimator_type: str | None


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a graph: whose rows have a shape."""

    name: str
    dtype: Any
    shape: tuple[int, ...]
    single: bool  # it takes one row at a time

    @property
    def width(self) -> int:
        """How many columns one row has."""
        return math.prod(self.shape)

    def fed(self, columns: Sequence[Array], rows: int) -> Array:
        """Columns as the graph takes them; raises RowsRefused for what its type cannot hold."""
        taken = [self._taken(column) for column in columns]
        return np.column_stack(taken).reshape((rows, *self.shape))

    def _taken(self, column: Array) -> Array:
        if self.dtype is object:
            if any(value is None or value != value for value in column):
                raise RowsRefused("a text is missing")
            return column.astype(object)
        numbers = column.astype(np.float64)
        with np.errstate(all="ignore"):
            cast: Array = numbers.astype(self.dtype)
        if cast.dtype.kind in "ib" and not np.array_equal(cast, numbers):
            raise RowsRefused(f"a number that is no {cast.dtype} where the graph takes such")
        return cast


def input_of(name: str, dtype: Any, shape: Sequence[int | None]) -> Input:
    """Describe an input by its shape, None for lengths that may differ; raises FormatRefused."""
    rows, *rest = shape if shape else [0]
    lengths = [length for length in rest if length is not None and length > 0]
    if len(lengths) != len(rest):
        raise FormatRefused(
            f"its input {name[:80]!r} does not say how wide it is",
            "export it with every dimension but the first fixed",
        )
    if rows not in (None, 1):
        raise FormatRefused(
            f"its input {name[:80]!r} takes {rows} rows at a time",
            "export it with a first dimension that is not fixed",
        )
    return Input(name, dtype, tuple(lengths), rows == 1)


def columns_of_inputs(
    inputs: Sequence[Input], *, known: Mapping[str, tuple[str, ...]] = NOTHING
) -> Columns:
    """The columns of all inputs, one after another; they have names if there are several.

    `known` are the texts that encoders know of inputs of one column, by the input's name.
    """
    count = sum(each.width for each in inputs)
    if not 1 <= count <= MOST_COLUMNS:
        raise FormatRefused(f"it takes {count} columns")
    of_columns = [each for each in inputs for _ in range(each.width)]
    return Columns(
        names=_names(inputs) if len(inputs) > 1 else None,
        kinds=tuple("text" if each.dtype is object else "number" for each in of_columns),
        known={
            at: known[each.name]
            for at, each in enumerate(of_columns)
            if each.width == 1 and known.get(each.name)
        },
        words={},
        as_none=frozenset(),
        framed=False,
        texts=False,
        inputs=tuple(Part(each.name, each.width if each.shape else None) for each in inputs),
    )


def parts_of_outputs(shapes: Mapping[str, Sequence[Any] | None]) -> tuple[Part, ...]:
    """The outputs by name and shape; none where a shape does not say how wide its rows are."""
    parts = []
    for name, shape in shapes.items():
        if not shape or any(type(length) is not int or length < 1 for length in shape[1:]):
            return ()
        parts.append(Part(name, math.prod(shape[1:]) if shape[1:] else None))
    return tuple(parts)


def fed(inputs: Sequence[Input], rows: Any) -> list[Array]:
    """A matrix or a frame as the tensors of the inputs; raises RowsRefused."""
    if isinstance(rows, np.ndarray):
        columns = list(rows.T)
    else:
        columns = [rows.iloc[:, at].to_numpy() for at in range(rows.shape[1])]
    tensors, at = [], 0
    for each in inputs:
        tensors.append(each.fed(columns[at : at + each.width], len(rows)))
        at += each.width
    return tensors


def flattened(answers: Array) -> Array:
    """One value, or one row of values, for each row; texts as numpy's."""
    if answers.ndim > 1 and math.prod(answers.shape[1:]) == 1:
        answers = answers.reshape(len(answers))
    if answers.ndim > 2:
        answers = answers.reshape(len(answers), -1)
    return answers.astype(np.str_) if answers.dtype == object else answers


def _names(inputs: Sequence[Input]) -> tuple[str, ...]:
    return tuple(
        each.name if each.width == 1 else f"{each.name}_{at}"
        for each in inputs
        for at in range(each.width)
    )
