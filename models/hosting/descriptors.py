"""Open files on their way to another process, beside the bytes of a socket."""

from __future__ import annotations

import array
import socket
from collections.abc import Iterable
from typing import Final

DESCRIPTOR_BYTES: Final = array.array("i").itemsize


def descriptors_in(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    """The descriptors that a message brought."""
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % DESCRIPTOR_BYTES])
    return found.tolist()


def descriptors_out(descriptors: Iterable[int]) -> list[tuple[int, int, array.array[int]]]:
    """What brings descriptors with a message; nothing if there are none."""
    numbers = array.array("i", descriptors)
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)] if numbers else []
