"""The protocol's element types: their names, and what they are in numpy and on the wire."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.errors import InputRefused

LENGTH: Final = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Datatype:
    """An element type; `dtype` is one element in binary form, little-endian.

    BYTES has elements of any length, which are texts here and objects in numpy. BF16 is the upper
    half of an FP32, which numpy has no type for: its dtype is that of the bits.
    """

    name: str
    dtype: np.dtype[Any]

    @property
    def size(self) -> int | None:
        """How many bytes one element has; None where each has its own length."""
        return None if self.is_text else self.dtype.itemsize

    @property
    def is_text(self) -> bool:
        """Whether the elements are texts."""
        return self.dtype.kind == "O"

    @property
    def is_float(self) -> bool:
        """Whether the elements are floating-point numbers, NaN among them."""
        return self.dtype.kind == "f" or self.name == "BF16"


_DTYPES: Final = {
    "BOOL": "?",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "BF16": "<u2",
    "FP32": "<f4",
    "FP64": "<f8",
    "BYTES": "O",
}
DATATYPES: Final = {name: Datatype(name, np.dtype(dtype)) for name, dtype in _DTYPES.items()}
# By the kinds of numpy that answers have.
OF_KINDS: Final = {
    "f": DATATYPES["FP64"],
    "i": DATATYPES["INT64"],
    "u": DATATYPES["INT64"],
    "b": DATATYPES["BOOL"],
    "U": DATATYPES["BYTES"],
    "O": DATATYPES["BYTES"],
}


def datatype_of(name: object, where: str) -> Datatype:
    """The datatype of this name; raises InputRefused."""
    found = DATATYPES.get(name) if isinstance(name, str) else None
    if found is None:
        raise InputRefused(f"{where}/datatype", f"none of {', '.join(DATATYPES)}")
    return found


def decode_texts(data: bytes | memoryview, count: int, where: str) -> NDArray[Any]:
    """The texts of a BYTES tensor, each a little-endian length and so many bytes of UTF-8.

    Raises InputRefused unless there are exactly `count`, and nothing after them.
    """
    if count * LENGTH.size > len(data):  # before anything is allocated for them
        raise InputRefused(where, f"{len(data)} bytes cannot hold {count} elements")
    texts = np.empty(count, dtype=object)
    at = 0
    for index in range(count):
        start = at + LENGTH.size
        if start > len(data):
            raise InputRefused(where, f"ends before the length of element {index}")
        at = start + LENGTH.unpack_from(data, start - LENGTH.size)[0]
        if at > len(data):
            raise InputRefused(where, f"ends within element {index}")
        texts[index] = decode_text(data[start:at], f"{where}/{index}")
    if at != len(data):
        raise InputRefused(where, f"{len(data) - at} bytes after the last of {count} elements")
    return texts


def decode_text(data: bytes | memoryview, where: str) -> str:
    """One element as text; raises InputRefused."""
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise InputRefused(where, "not UTF-8, which the model's texts are") from error


def encode_texts(texts: Iterable[str]) -> bytes:
    """The binary form of a BYTES tensor."""
    parts: list[bytes] = []
    for text in texts:
        encoded = text.encode()
        parts += (LENGTH.pack(len(encoded)), encoded)
    return b"".join(parts)
