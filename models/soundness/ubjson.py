"""Universal Binary JSON, as XGBoost writes it: read into plain values, typed arrays as numpy's."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from models.errors import FormatRefused

MOST_DEPTH: Final = 64
MOST_VALUES: Final = 50_000_000
NUMBERS: Final[dict[bytes, np.dtype[Any]]] = {
    b"i": np.dtype(">i1"),
    b"U": np.dtype(">u1"),
    b"I": np.dtype(">i2"),
    b"l": np.dtype(">i4"),
    b"L": np.dtype(">i8"),
    b"d": np.dtype(">f4"),
    b"D": np.dtype(">f8"),
}
LENGTHS: Final = frozenset(b"iUIlL")
CONSTANTS: Final[dict[bytes, Any]] = {b"T": True, b"F": False, b"Z": None}


def read_ubjson(data: bytes) -> Any:
    """Read one value that ends with the bytes; raises FormatRefused for anything else."""
    reader = _Reader(data)
    try:
        value = reader.value(reader.take(1), 0)
    except (struct.error, UnicodeDecodeError, ValueError) as error:
        raise FormatRefused("its binary JSON is broken") from error
    if reader.at != len(data):
        raise FormatRefused("something follows its binary JSON")
    return value


class _Reader:
    """Reads from the front; never beyond the end, never deeper or more than is bounded."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.values = 0

    def take(self, count: int) -> bytes:
        if not 0 <= count <= len(self.data) - self.at:
            raise FormatRefused("its binary JSON is cut off")
        self.at += count
        return self.data[self.at - count : self.at]

    def value(self, marker: bytes, depth: int) -> Any:
        self.values += 1
        if depth > MOST_DEPTH or self.values > MOST_VALUES:
            raise FormatRefused("its binary JSON is nested too deep, or too long")
        if marker in CONSTANTS:
            return CONSTANTS[marker]
        if marker in NUMBERS:
            return self._numbers(marker, 1)[0]
        nested: dict[bytes, Callable[[int], Any]] = {b"{": self._object, b"[": self._array}
        if marker in nested:
            return nested[marker](depth + 1)
        if marker in (b"S", b"H"):
            return self._text()
        raise FormatRefused(f"its binary JSON has a marker {marker!r}")

    def _numbers(self, marker: bytes, count: int) -> Any:
        dtype = NUMBERS[marker]
        numbers = np.frombuffer(self.take(count * dtype.itemsize), dtype)
        return numbers.astype(dtype.newbyteorder("=")) if count != 1 else numbers.tolist()

    def _length(self) -> int:
        marker = self.take(1)
        if marker[0] not in LENGTHS:
            raise FormatRefused("its binary JSON has a length that is no number")
        return int(self._numbers(marker, 1)[0])

    def _text(self) -> str:
        return self.take(self._length()).decode()

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self.take(1) != b"}":
            self.at -= 1
            name = self._text()
            if name in found:
                raise FormatRefused(f"its binary JSON has {name[:40]!r} twice")
            found[name] = self.value(self.take(1), depth)
        return found

    def _array(self, depth: int) -> Any:
        kind = self._announced(b"$")
        length = self._announced(b"#")
        if kind is not None:
            if kind not in NUMBERS or length is None:
                raise FormatRefused("its binary JSON has an array of a kind that is not taken")
            return np.asarray(self._numbers(kind, length)).reshape(length)
        found: list[Any] = []
        while len(found) != length:
            marker = self.take(1)
            if length is None and marker == b"]":
                break
            found.append(self.value(marker, depth))
        return found

    def _announced(self, mark: bytes) -> Any:
        """The type or length of an array's values, where its beginning names it."""
        if self.take(1) != mark:
            self.at -= 1
            return None
        return self.take(1) if mark == b"$" else self._length()
