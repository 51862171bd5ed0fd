"""A body of JSON and the binary tensors after it (Triton's binary tensor data extension)."""

from __future__ import annotations

import re
from typing import Final

from models.errors import InputRefused

HEADER_LENGTH: Final = "Inference-Header-Content-Length"
INTEGER: Final = re.compile(r"-?[0-9]{1,18}")
PARAMETER: Final = "binary_data_size"


class Parts:
    """The binary tensors of a request, taken in the order of its inputs, never copied."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def take(self, size: object, where: str) -> memoryview:
        """The next so many bytes; raises InputRefused if there are not as many."""
        left = len(self._data) - self._at
        if type(size) is not int or size < 0:
            raise InputRefused(f"{where}/parameters/{PARAMETER}", "not an integer from 0")
        if size > left:
            problem = f"{size} bytes, where {left} are left of the binary data"
            raise InputRefused(f"{where}/parameters/{PARAMETER}", problem)
        self._at += size
        return self._data[self._at - size : self._at]

    def finish(self) -> None:
        """Raise InputRefused if something is left."""
        left = len(self._data) - self._at
        if left:
            problem = f"unexpected additional input data: {left} bytes after the last input"
            raise InputRefused("", problem)


def split(body: bytes, header_length: str | None) -> tuple[bytes, Parts]:
    """The JSON and the binary tensors of a body; raises InputRefused.

    The header says how long the JSON is, in the body as it is once decoded; without it all is JSON.
    """
    if header_length is None:
        return body, Parts(memoryview(b""))
    length = read_length(header_length)
    if length > len(body):
        raise InputRefused("", f"{HEADER_LENGTH} is {length}, where the body has {len(body)} bytes")
    return body[:length], Parts(memoryview(body)[length:])


def read_length(header_length: str) -> int:
    """The number in the header; raises InputRefused."""
    if not INTEGER.fullmatch(header_length):
        raise InputRefused("", f"{HEADER_LENGTH} is not an integer")
    length = int(header_length)
    if length < 0:
        raise InputRefused("", f"{HEADER_LENGTH} is negative")
    return length
