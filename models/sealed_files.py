"""Files in memory that nobody can change: what is opened is what was hashed."""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from models.errors import FormatRefused

CHUNK_BYTES: Final = 16 * 1024**2
READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
SEALS: Final = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL

Given = bytes | int


@dataclass(frozen=True, slots=True)
class SealedFile:
    """The bytes of a file in sealed memory, with their digest."""

    descriptor: int
    size: int
    digest: str

    def reader(self) -> io.BufferedReader:
        """The bytes from the start, read by whoever opened this."""
        # Opened anew, to read only, and with an offset of its own.
        return io.BufferedReader(io.FileIO(f"/proc/self/fd/{self.descriptor}"))

    def read(self) -> bytes:
        """All of them."""
        return b"".join(_pieces(self.descriptor))


def open_regular(path: Path) -> int:
    """A descriptor of a regular file, the one that was looked at; raises FormatRefused."""
    try:
        descriptor = os.open(path, READ)
    except OSError as error:
        raise FormatRefused(f"{path} cannot be opened: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FormatRefused(f"{path} is not a regular file")
    return descriptor


@contextmanager
def sealed(source: Given | None, most: int) -> Iterator[SealedFile]:
    """A copy of a file in memory that nobody can change, hashed after it was sealed."""
    descriptor = os.memfd_create("model", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        size = 0
        for piece in _pieces(source):
            size += len(piece)
            if size > most:
                raise FormatRefused(f"it has more than {most} bytes")
            _write(descriptor, piece)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS)
        digest = hashlib.sha256()
        for piece in _pieces(descriptor):
            digest.update(piece)
        yield SealedFile(descriptor, size, digest.hexdigest())
    finally:
        os.close(descriptor)


def _pieces(source: Given | None) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
    elif source is not None:
        offset = 0
        while piece := os.pread(source, CHUNK_BYTES, offset):
            offset += len(piece)
            yield piece


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
