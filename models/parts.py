"""Parts of compiled models: what answers methods from checked arrays, alone or with other parts.

A part's methods are its own functions of those names, so that it reads as the estimator that it
stands for does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from models.errors import ArraysMalformed, MethodUnknown, RowsRefused
from models.layouts import Arrays, Floats, Layout, check_layout
from models.signature import METHODS
from models.tables import Features, Matrix, Table


class Child(Protocol):
    """What a part asks: an engine's predictor, or another part."""

    @property
    def methods(self) -> frozenset[str]:
        """The methods that it answers."""
        ...

    @property
    def size(self) -> int:
        """About how many bytes of memory it holds."""
        ...

    def answer(self, method: str, features: Features) -> NDArray[Any]:
        """Answer each row."""
        ...


class Part:
    """Answers from arrays that fit its layout; nothing of it changes once it is made.

    What overflows is part of an answer, as it is natively: whoever asks has numpy warn of nothing.
    """

    LAYOUT: ClassVar[Layout]
    # How many other parts it asks: a number, the name of a length, or None for one or more.
    CHILDREN: ClassVar[int | str | None] = 0

    def __init__(self, arrays: Arrays, children: Sequence[Child] = ()) -> None:
        self.lengths: Mapping[str, int] = check_layout(arrays, self.LAYOUT)
        self._check_children(len(children))
        self.arrays = {name: frozen(array) for name, array in arrays.items()}
        self.children = tuple(children)
        self.prepare()
        self.methods = self.offered()
        self.size = sum(array.nbytes for array in self.arrays.values())
        self.size += sum(child.size for child in self.children)

    def prepare(self) -> None:
        """Check what a layout cannot say, and compute once what every answer needs."""

    def withheld(self) -> frozenset[str]:
        """Methods that this one does not answer, though its kind does."""
        return frozenset()

    def offered(self) -> frozenset[str]:
        """The methods that it answers: those that are its own functions."""
        return frozenset(m for m in METHODS if hasattr(self, m)) - self.withheld()

    def answer(self, method: str, features: Features) -> NDArray[Any]:
        """Answer each row; raises MethodUnknown, or RowsRefused where the estimator fails too."""
        if method not in self.methods:
            raise MethodUnknown(method, tuple(sorted(self.methods)))
        return self.respond(method, features)

    def respond(self, method: str, features: Features) -> NDArray[Any]:
        """Answer with the function of the method's name."""
        answers: NDArray[Any] = getattr(self, method)(features)
        return answers

    def need(self, children: Sequence[Child], *methods: str) -> None:
        """Raise ArraysMalformed unless each child answers all of the methods."""
        for child in children:
            lacking = set(methods) - child.methods
            if lacking:
                raise ArraysMalformed(f"a part of it has no {', '.join(sorted(lacking))}")

    def _check_children(self, count: int) -> None:
        wanted = self.CHILDREN
        if isinstance(wanted, str):
            wanted = self.lengths[wanted]
        if count != wanted and not (wanted is None and count):
            raise ArraysMalformed(f"it has {count} parts")


def shared(children: Sequence[Child]) -> frozenset[str]:
    """The methods that all of some parts answer."""
    return frozenset(METHODS).intersection(*(child.methods for child in children))


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """The array as one that nobody writes to: threads share it."""
    array = np.ascontiguousarray(array)
    array.flags.writeable = False
    return array


def matrix(features: Features) -> Matrix:
    """The rows as one matrix of numbers; raises RowsRefused for text."""
    if not isinstance(features, Table):
        return features
    if "text" in features.kinds:
        raise RowsRefused("text, where numbers are taken")
    return np.column_stack(features.columns)


# Finite squares add up to something that is not finite only if they are large: a sum that is finite
# is told by one call, which takes a third of the time of numpy's two.


def refuse_not_finite(rows: Floats) -> None:
    """Raise RowsRefused for numbers that a model's own library refuses between two steps."""
    if not isfinite(np.vdot(rows, rows)) and not np.isfinite(rows).all():
        raise RowsRefused("a number that is not finite reaches a step that takes none")


def refuse_infinite(rows: Floats) -> None:
    """Raise RowsRefused for infinity, where only a missing number may be taken."""
    if not isfinite(np.vdot(rows, rows)) and np.isinf(rows).any():
        raise RowsRefused("an infinite number reaches a step that takes none")
