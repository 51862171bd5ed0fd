"""What arrays a part of a compiled model has: dtypes, shapes by named lengths, bounds of indices.

A layout is compared before any array is used, so that what an engine computes with can be wrong
only in its numbers, never in a shape or an index.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.errors import ArraysMalformed

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Arrays = Mapping[str, NDArray[Any]]
LABELS: Final = "bifU"


@dataclass(frozen=True, slots=True)
class Field:
    """One array: the kinds of dtype it may have, and its shape by numbers and named lengths.

    A name stands for one length throughout a layout. `least` and `below` bound integers, `below`
    by a number or a named length; `among` are the only values it may have.
    """

    kinds: str
    shape: tuple[str | int, ...]
    optional: bool = False
    least: float | None = None
    below: str | int | None = None
    among: frozenset[str] | None = None

    def check(self, name: str, array: NDArray[Any], lengths: dict[str, int]) -> None:
        """Raise ArraysMalformed unless the array fits; lengths met first are added."""
        kind = array.dtype.kind
        if kind not in self.kinds or (kind in "if" and array.dtype.itemsize != 8):
            raise ArraysMalformed(f"{name} has the dtype {array.dtype}")
        if array.ndim != len(self.shape):
            raise ArraysMalformed(f"{name} has {array.ndim} dimensions")
        for wanted, length in zip(self.shape, array.shape, strict=True):
            known = wanted if isinstance(wanted, int) else lengths.setdefault(wanted, length)
            if known != length:
                raise ArraysMalformed(f"{name} has the shape {array.shape}")
        if self.least is not None and (array < self.least).any():
            raise ArraysMalformed(f"{name} has a number below {self.least}")
        if self.among is not None and not self.among.issuperset(array.ravel().tolist()):
            raise ArraysMalformed(f"{name} is none of {', '.join(sorted(self.among))}")

    def check_bound(self, name: str, array: NDArray[Any], lengths: Mapping[str, int]) -> None:
        """Raise ArraysMalformed unless every integer is below its bound."""
        if self.below is None:
            return
        bound = lengths[self.below] if isinstance(self.below, str) else self.below
        if (array >= bound).any():
            raise ArraysMalformed(f"{name} has an index that leads nowhere")


Layout = Mapping[str, Field]


def layout(**fields: Field) -> Layout:
    """The arrays of a part, by name."""
    return MappingProxyType(fields)


def floats(*shape: str | int, least: float | None = None) -> Field:
    """An array of finite float64."""
    return Field("f", shape, least=least)


def integers(*shape: str | int, least: float | None = None) -> Field:
    """An array of int64."""
    return Field("i", shape, least=least)


def indices(*shape: str | int, below: str | int) -> Field:
    """An array of indices, from 0 and below a length."""
    return Field("i", shape, least=0, below=below)


def flags(*shape: str | int) -> Field:
    """An array of truth values."""
    return Field("b", shape)


def labels(*shape: str | int) -> Field:
    """An array of labels: texts, numbers or truth values."""
    return Field(LABELS, shape)


def texts(*shape: str | int) -> Field:
    """An array of texts."""
    return Field("U", shape)


def choice(*values: str) -> Field:
    """One text of a few."""
    return Field("U", (1,), among=frozenset(values))


def optional(field: Field) -> Field:
    """The same array, which may be left out."""
    return replace(field, optional=True)


def check_layout(arrays: Arrays, wanted: Layout) -> dict[str, int]:
    """Return the named lengths; raises ArraysMalformed unless the arrays are those of a layout."""
    needed = {name for name, field in wanted.items() if not field.optional}
    if not needed <= arrays.keys() <= wanted.keys():
        odd = sorted((needed - arrays.keys()) | (arrays.keys() - wanted.keys()))
        raise ArraysMalformed(f"{', '.join(odd)} should or should not be there")
    lengths: dict[str, int] = {}
    for name, array in arrays.items():
        wanted[name].check(name, array, lengths)
    for name, array in arrays.items():
        wanted[name].check_bound(name, array, lengths)
    return lengths
