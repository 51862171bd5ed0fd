"""The stored form of a compiled model: named arrays, and nothing that could run.

    magic 8 bytes | header length, 4 bytes little-endian | header, JSON | the arrays' bytes

The header lists name, dtype and shape in the order of the bytes. A reader allocates nothing that
the header asks for before the sizes are compared with the bytes that are there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from models.errors import ArraysMalformed

MAGIC: Final = b"SLYARRY1"
PREFIX_BYTES: Final = len(MAGIC) + 4
MOST_HEADER_BYTES: Final = 1024 * 1024  # some 30,000 arrays: committees have many parts
MOST_DIMENSIONS: Final = 4
NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
DTYPE: Final = re.compile(r"<f8|<f4|<i8|<i4|\|u1|\|b1|<U[1-9][0-9]{0,3}")
LAST_CODE_POINT: Final = 0x10FFFF
SURROGATES: Final = (0xD800, 0xDFFF)

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def pack_arrays(arrays: Arrays) -> bytes:
    """Write arrays in their stored form; raises ArraysMalformed for what would not be read."""
    header, parts = [], []
    for name, array in arrays.items():
        dtype = array.dtype.newbyteorder("<")
        if not DTYPE.fullmatch(dtype.str):
            raise ArraysMalformed(f"{name} has the dtype {array.dtype}")
        entry = [name, dtype.str, list(array.shape)]
        _check_content(_read_entry(entry), np.ascontiguousarray(array, dtype).reshape(-1))
        header.append(entry)
        parts.append(np.ascontiguousarray(array, dtype).tobytes())
    text = orjson.dumps(header)
    if len(text) > MOST_HEADER_BYTES:
        raise ArraysMalformed(f"there are too many of them, {len(header)}")
    return b"".join([MAGIC, len(text).to_bytes(4, "little"), text, *parts])


def unpack_arrays(data: bytes) -> dict[str, NDArray[Any]]:
    """Read what `pack_arrays` wrote; raises ArraysMalformed for anything else."""
    entries, offset = _read_header(data)
    arrays = {}
    if offset + sum(entry.size for entry in entries) != len(data):
        raise ArraysMalformed("the sizes in the header are not those of the content")
    for entry in entries:
        count = math.prod(entry.shape)
        flat = np.frombuffer(data, entry.dtype, count, offset)
        _check_content(entry, flat)
        arrays[entry.name] = flat.reshape(entry.shape).copy()  # aligned, as BLAS wants it
        offset += entry.size
    return arrays


def _read_header(data: bytes) -> tuple[list[_Entry], int]:
    if data[: len(MAGIC)] != MAGIC or len(data) < PREFIX_BYTES:
        raise ArraysMalformed("they do not start with the format's mark")
    length = int.from_bytes(data[len(MAGIC) : PREFIX_BYTES], "little")
    end = PREFIX_BYTES + length
    if length > MOST_HEADER_BYTES or end > len(data):
        raise ArraysMalformed("the header is cut off or too long")
    try:
        entries = orjson.loads(data[PREFIX_BYTES:end])
    except orjson.JSONDecodeError as error:
        raise ArraysMalformed("the header is no JSON") from error
    if type(entries) is not list or not entries:
        raise ArraysMalformed("the header is no list")
    read = [_read_entry(entry) for entry in entries]
    if len({entry.name for entry in read}) != len(read):
        raise ArraysMalformed("a name occurs twice")
    return read, end


def _read_entry(entry: object) -> _Entry:
    match entry:
        case [str(name), str(dtype), list(shape)] if (
            NAME.fullmatch(name) and DTYPE.fullmatch(dtype) and len(shape) <= MOST_DIMENSIONS
        ):
            pass
        case _:
            raise ArraysMalformed("an entry of the header is not name, dtype and shape")
    if not all(type(length) is int and 0 < length < 2**40 for length in shape):
        raise ArraysMalformed(f"{name} has an impossible shape")
    return _Entry(name, np.dtype(dtype), tuple(shape))


def _check_content(entry: _Entry, flat: NDArray[Any]) -> None:
    if entry.dtype.kind == "f" and not np.isfinite(flat).all():
        raise ArraysMalformed(f"{entry.name} has a number that is not finite")
    if entry.dtype.kind == "b" and (flat.view(np.uint8) > 1).any():
        raise ArraysMalformed(f"{entry.name} has a truth value that is neither 0 nor 1")
    if entry.dtype.kind == "U":
        points = flat.view(np.uint32)
        low, high = SURROGATES
        if (points > LAST_CODE_POINT).any() or ((points >= low) & (points <= high)).any():
            raise ArraysMalformed(f"{entry.name} has a text that is no Unicode")
