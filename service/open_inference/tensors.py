"""Input tensors: bytes or cells of a stated shape and type, checked before they become arrays."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.errors import InputRefused
from models.requests.faults import INEXACT, ROUNDED, kind_of
from models.tables import LARGEST_INTEGER, Matrix
from service.open_inference.datatypes import Datatype, decode_text, decode_texts

MOST_DIMENSIONS: Final = 8
MOST_NAME: Final = 200  # as long as a column's name may be
Kinds = frozenset[type]
TRUTH: Final[Kinds] = frozenset({bool})
INTEGER: Final[Kinds] = frozenset({int})
REAL: Final[Kinds] = frozenset({int, float, type(None)})
TEXT: Final[Kinds] = frozenset({str, bytes, type(None)})


@dataclass(frozen=True, slots=True, eq=False)
class InputTensor:
    """One input as it was sent.

    `values` has the tensor's shape, and the datatype's dtype or objects that are each `str` or
    None; `where` is the tensor's path in the request.
    """

    name: str
    datatype: Datatype
    values: NDArray[Any]
    where: str

    @property
    def shape(self) -> tuple[int, ...]:
        """How many elements there are in each dimension."""
        return self.values.shape

    def numbers(self) -> Matrix:
        """The elements as float64, in the tensor's shape; raises InputRefused for texts.

        Aligned FP64 is returned as it is, without a copy. An integer that a float64 cannot tell
        from its neighbours is refused, as everywhere.
        """
        values = self.values
        if self.datatype.is_text:
            raise InputRefused(f"{self.where}/datatype", "BYTES, where the model takes numbers")
        if self.datatype.name == "BF16":
            values = (values.astype(np.uint32) << 16).view(np.float32)
        if values.dtype.kind in "iu" and values.dtype.itemsize == 8:
            self._refuse_large(values)
        with np.errstate(invalid="ignore"):  # a signalling NaN is a NaN
            return np.require(values, dtype=np.float64, requirements=["C", "A"])

    def texts(self) -> NDArray[Any]:
        """The elements as objects, each `str` or None; raises InputRefused for numbers."""
        if not self.datatype.is_text:
            name = self.datatype.name
            raise InputRefused(f"{self.where}/datatype", f"{name}, where the model takes BYTES")
        return self.values

    def _refuse_large(self, values: NDArray[Any]) -> None:
        large = values > LARGEST_INTEGER
        if values.dtype.kind == "i":
            large |= values < -LARGEST_INTEGER
        if large.any():
            raise InputRefused(f"{self.where}/data/{int(np.argmax(large))}", INEXACT)


def read_raw(
    name: str, datatype: Datatype, shape: Sequence[int], data: bytes | memoryview, where: str
) -> InputTensor:
    """A tensor from its binary form, without a copy of numbers; raises InputRefused."""
    count = check_shape(shape, where)
    if datatype.size is None:
        texts = decode_texts(data, count, f"{where}/data")
        return InputTensor(name, datatype, texts.reshape(shape), where)
    if count * datatype.size != len(data):
        raise InputRefused(
            f"{where}/shape",
            f"{count} elements of {datatype.name} are {count * datatype.size} bytes, "
            f"where {len(data)} are given",
        )
    values = np.frombuffer(data, dtype=datatype.dtype).reshape(shape)
    return InputTensor(name, datatype, values, where)


def read_cells(
    name: str, datatype: Datatype, shape: Sequence[int], data: object, where: str
) -> InputTensor:
    """A tensor from a list of its elements, nested like its shape or flat; raises InputRefused.

    A null is a missing value: NaN among floating-point numbers, None among texts.
    """
    count = check_shape(shape, where)
    cells = _flat(data, tuple(shape), f"{where}/data")
    if len(cells) != count:
        problem = f"{len(cells)} elements, where the shape {list(shape)} has {count}"
        raise InputRefused(f"{where}/data", problem)
    values = _read_values(datatype, cells, f"{where}/data")
    return InputTensor(name, datatype, values.reshape(shape), where)


def check_name(name: object, where: str) -> str:
    """The name of a tensor; raises InputRefused."""
    if not isinstance(name, str) or not 1 <= len(name) <= MOST_NAME:
        raise InputRefused(f"{where}/name", f"not a text of 1 to {MOST_NAME} characters")
    return name


def check_shape(shape: object, where: str) -> int:
    """How many elements a shape has; raises InputRefused unless it is a list of sizes."""
    where = f"{where}/shape"
    if not isinstance(shape, Sequence) or isinstance(shape, str | bytes):
        raise InputRefused(where, "not a list of the sizes of the dimensions")
    if not 1 <= len(shape) <= MOST_DIMENSIONS:
        raise InputRefused(where, f"not 1 to {MOST_DIMENSIONS} dimensions")
    for index, size in enumerate(shape):
        if type(size) is not int:
            raise InputRefused(f"{where}/{index}", "not an integer")
        if size < 0:
            raise InputRefused(f"{where}/{index}", "negative; what is sent has a size")
    return math.prod(shape)  # never wraps around: these are Python's integers


def _flat(data: object, shape: tuple[int, ...], where: str) -> Sequence[Any]:
    """The elements in row-major order; lists within must be nested exactly like the shape."""
    if type(data) is not list:
        raise InputRefused(where, f"not a list but {kind_of(data)}")
    cells: list[Any] = data
    if not cells or type(cells[0]) is not list:
        return cells
    level: list[Any] = [cells]
    for size in shape:
        if set(map(type, level)) != {list} or set(map(len, level)) != {size}:
            raise InputRefused(where, f"neither flat nor nested like the shape {list(shape)}")
        level = list(chain.from_iterable(level))
    return level


def _read_values(datatype: Datatype, cells: Sequence[Any], where: str) -> NDArray[Any]:
    if datatype.name in ("FP16", "BF16"):
        problem = f"{datatype.name} is taken in binary form alone, which JSON has no place for"
        raise InputRefused(where, problem)
    if datatype.is_text:
        return _read_texts(cells, where)
    if datatype.is_float:
        return _read_reals(datatype, cells, where)
    return _read_integers(datatype, cells, where)


def _read_texts(cells: Sequence[Any], where: str) -> NDArray[Any]:
    kinds = _refuse_others(cells, TEXT, "a string", where)
    texts = np.empty(len(cells), dtype=object)
    if bytes in kinds:
        cells = [
            decode_text(cell, f"{where}/{index}") if type(cell) is bytes else cell
            for index, cell in enumerate(cells)
        ]
    texts[:] = cells
    return texts


def _read_reals(datatype: Datatype, cells: Sequence[Any], where: str) -> NDArray[Any]:
    kinds = _refuse_others(cells, REAL, "a number", where)
    with np.errstate(over="ignore"):  # what is infinite is refused with its place
        values = _packed(cells, kinds).astype(datatype.dtype, copy=False)
    exactly = 2 ** (np.finfo(datatype.dtype).nmant + 1)  # and not every integer beyond
    if int in kinds and np.nanmax(np.abs(values), initial=0.0) >= exactly:
        _refuse_inexact(cells, values, where)
    return values


def _packed(cells: Sequence[Any], kinds: set[type]) -> NDArray[np.float64]:
    if type(None) in kinds:
        return np.array(cells, dtype=np.float64)
    values = np.empty(len(cells))
    struct.pack_into(f"{len(cells)}d", values.data, 0, *cells)  # twice as fast as numpy
    return values


def _read_integers(datatype: Datatype, cells: Sequence[Any], where: str) -> NDArray[Any]:
    if datatype.name == "BOOL":
        _refuse_others(cells, TRUTH, "true or false", where)
        return np.array(cells, dtype=np.bool_)
    _refuse_others(cells, INTEGER, "an integer", where)
    bounds = np.iinfo(datatype.dtype)
    if cells and not bounds.min <= min(cells) <= max(cells) <= bounds.max:
        index = next(i for i, cell in enumerate(cells) if not bounds.min <= cell <= bounds.max)
        raise InputRefused(f"{where}/{index}", f"beyond what {datatype.name} holds")
    return np.array(cells, dtype=datatype.dtype)


def _refuse_others(cells: Sequence[Any], kinds: Kinds, wanted: str, where: str) -> set[type]:
    """The types that there are; raises InputRefused at the first cell of another."""
    found = set(map(type, cells))
    if not found <= kinds:
        index = next(index for index, cell in enumerate(cells) if type(cell) not in kinds)
        raise InputRefused(f"{where}/{index}", f"not {wanted} but {kind_of(cells[index])}")
    return found


def _refuse_inexact(cells: Sequence[Any], values: NDArray[Any], where: str) -> None:
    """Raise InputRefused at the first integer that the datatype does not hold as it was written."""
    for index, (cell, value) in enumerate(zip(cells, values.tolist(), strict=True)):
        if type(cell) is not int:
            continue
        if abs(cell) > LARGEST_INTEGER:
            raise InputRefused(f"{where}/{index}", f"{INEXACT}; {ROUNDED}")
        if cell != value:
            problem = f"an integer that {values.dtype.itemsize * 8} bits of a float do not hold"
            raise InputRefused(f"{where}/{index}", f"{problem}; send FP64, or {ROUNDED}")
