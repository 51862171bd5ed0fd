"""One page of memory that a host shares with its parent and its callers: what it runs now.

When a host has ended, this says whose call it ended in, and which calls it had not begun. The host
writes it, so it is believed only within the host's own tenant: a host that lies about it can put
the blame on another version of its own tenant, and nothing else.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

BYTES: Final = mmap.PAGESIZE
# sequence (odd while a batch runs), when the batch began, the version, how many calls
HEAD: Final = struct.Struct("<Qd32sQ")
SEQUENCE: Final = struct.Struct("<Q")
CALL: Final = struct.Struct("<QQ")  # the connection's number, the call's number on it
MOST_CALLS: Final = 128
SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


@dataclass(frozen=True, slots=True)
class Running:
    """A batch under way: since when on the monotonic clock, of which version, for which calls."""

    since: float
    version: bytes
    calls: tuple[tuple[int, int], ...]


class Page:
    """The page, mapped; `descriptor` is what others map it from, while it is open."""

    def __init__(self, descriptor: int, *, writable: bool) -> None:
        access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
        self._memory = mmap.mmap(descriptor, BYTES, access=access)
        self._sequence = 0

    @property
    def sequence(self) -> int:
        """A number that grows when a batch begins and when it ends."""
        return int(SEQUENCE.unpack_from(self._memory)[0])

    def begin(self, version: bytes, calls: Iterable[tuple[int, int]]) -> None:
        """Note a batch before its first instruction; at most MOST_CALLS."""
        listed = list(calls)
        self._sequence += 1
        for at, (connection, call) in enumerate(listed):
            CALL.pack_into(self._memory, HEAD.size + at * CALL.size, connection, call)
        HEAD.pack_into(self._memory, 0, self._sequence, time.monotonic(), version, len(listed))

    def end(self) -> None:
        """Note that the batch is answered."""
        self._sequence += 1
        SEQUENCE.pack_into(self._memory, 0, self._sequence)

    def running(self) -> Running | None:
        """The batch that runs, or ran when the host ended."""
        sequence, since, version, count = HEAD.unpack_from(self._memory)
        if sequence % 2 == 0:
            return None
        words = struct.unpack_from(f"<{2 * min(count, MOST_CALLS)}Q", self._memory, HEAD.size)
        return Running(since, version, tuple(zip(words[::2], words[1::2], strict=True)))

    def close(self) -> None:
        """Unmap it."""
        self._memory.close()


def make_page() -> int:
    """A descriptor of a new page whose size nobody can change, so that no reader faults."""
    descriptor = os.memfd_create("page", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, BYTES)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS)
    return descriptor


def sealed_bytes(parts: Iterable[bytes | memoryview]) -> int:
    """A descriptor of bytes in memory that nobody can change any more."""
    descriptor = os.memfd_create("artefact", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        for part in parts:
            view = memoryview(part)
            while len(view):
                view = view[os.write(descriptor, view) :]
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS | fcntl.F_SEAL_WRITE)
        os.lseek(descriptor, 0, os.SEEK_SET)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
