"""Where an upload waits while it arrives: on disk, and readable by this process alone.

A body is sealed under a random key that is never written down, in a file without a name. A crash
leaves nothing of it, and a disk that is read or copied holds no plaintext.
"""

from __future__ import annotations

import asyncio
import errno
import io
import os
import tempfile
import threading
from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Final, cast

from auth.scope import Scope
from config.sealed_stream import KEY_BYTES, Sealed, SealedReader, SealedWriter, Unsealed
from service.errors import StorageFull, TooBusy
from service.lanes import LanesFull, Turns

UPLOAD: Final = "sallyport.upload"  # in the environ, where no header can reach
CONTINUE: Final = 100  # what the head of an upload is answered that may arrive
PURPOSE: Final = "upload spool"
READ_BYTES: Final = 256 * 1024
PATIENCE_SECONDS: Final = 2.0  # for a place: some answers of moderate size
RETRY_SECONDS: Final = 1.0
IN_MEMORY_BYTES: Final = 1024 * 1024
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, slots=True)
class Admission:
    """Whose upload may arrive, and at most how large."""

    scope: Scope
    most_bytes: int


class Spool:
    """A body on disk that can be written once and then read; `close` gives the room back."""

    body: Final = None  # there is none in memory

    def __init__(self, folder: Path, *, least_free: int) -> None:
        self.size = 0
        self._key = os.urandom(KEY_BYTES)
        self._folder = folder
        self._least_free = least_free
        self._finished = False

    @cached_property
    def _file(self) -> BinaryIO:
        """The file, once anything is written: of what stays in memory there is none."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return cast(BinaryIO, tempfile.TemporaryFile(dir=self._folder))

    @cached_property
    def _writer(self) -> SealedWriter:
        return SealedWriter(self._file, self._key, purpose=PURPOSE)

    def write(self, data: bytes | bytearray) -> None:
        """Append data; raises StorageFull before the disk is so full that others suffer."""
        with refusing_full():
            require_room(self._file.fileno(), self._least_free + len(data))
            self._writer.write(bytes(data))
        self.size += len(data)

    def read(self) -> BinaryIO:
        """End the writing, and return the body from its beginning."""
        self._finish()
        self._file.seek(0)
        reader = SealedReader(self._file, (self._key,), purpose=PURPOSE)
        return cast(BinaryIO, io.BufferedReader(Unsealed(reader, self.size), READ_BYTES))

    def sealed(self) -> Sealed:
        """End the writing, and return what opens the body in another process."""
        self._finish()
        return Sealed(self._file.fileno(), self._key, self.size, PURPOSE)

    def another(self) -> Spool:
        """A further one in the same place, whose room whoever asked for it gives back."""
        return Spool(self._folder, least_free=self._least_free)

    def close(self) -> None:
        """Give the room back."""
        if "_file" in vars(self):
            with suppress(OSError):  # what it still held could not be written: nobody needs it
                self._file.close()

    def _finish(self) -> None:
        with refusing_full():
            if not self._finished:
                self._writer.finish()
                self._finished = True
            self._file.flush()


class Held:
    """A body in memory, which is written to a spool when another process is to read it."""

    def __init__(self, body: bytes, spool: Spool) -> None:
        self.body = body
        self._spool = spool

    def sealed(self) -> Sealed:
        """What opens it in another process."""
        if not self._spool.size:
            self._spool.write(self.body)
        return self._spool.sealed()


class Answers:
    """What is answered to a file: in memory, and on the disk once that is more than a little."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._pieces: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        """Append data; raises StorageFull."""
        self._size += len(data)
        self._pieces.append(data)
        if self._spool.size or self._size > IN_MEMORY_BYTES:
            self._spool.write(b"".join(self._pieces))
            self._pieces.clear()

    def whole(self) -> bytes | None:
        """All of it, unless it is on the disk."""
        return None if self._spool.size else b"".join(self._pieces)

    @property
    def spool(self) -> Spool:
        """Where it is on the disk."""
        return self._spool


@dataclass(slots=True)
class Upload:
    """A body that is announced, then admitted by the application, and at last complete.

    The application sees such a request twice: when its head has arrived, to refuse it or to
    answer 100 with an admission, and when its body has and is the `spool`. A small file of a known
    caller's it sees once, as the `body`, with a spool that is empty. `seen` is the last
    change there was before it decided: unless another one concerns the caller, whoever was
    admitted still is. `gone` is set when the client has left.
    """

    declared: int | None
    seen: int = -1
    admission: Admission | None = None
    complete: bool = False
    spool: Spool | None = None
    body: bytes | None = None
    gone: threading.Event = field(default_factory=threading.Event)


class Spools:
    """How many uploads may be on their way at once; to be used from one event loop alone.

    Who comes when all places are taken waits a little: a place is free again only when the last
    byte of an answer has been sent, and a client that asks again at once comes before that.
    """

    def __init__(
        self,
        folder: Path,
        *,
        most: int,
        most_each: int,
        least_free: int,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._folder = folder
        self._least_free = least_free
        self._patience = patience
        self._turns = Turns(places=most, most_each=most_each, waiting=most, waiting_each=most_each)

    @property
    def count(self) -> int:
        """How many are on their way; those that wait have nothing here yet."""
        return self._turns.crowd.busy

    async def place(self, lane: Hashable) -> AbstractContextManager[Spool]:
        """Wait for this lane's turn; what is returned is to be entered, and has the spool.

        Raises TooBusy if too many wait already, or if the turn does not come soon.
        """
        try:
            async with asyncio.timeout(self._patience):
                await self._turns.take(lane)
        except (LanesFull, TimeoutError):
            raise TooBusy("too many uploads are on their way", RETRY_SECONDS) from None
        return self._spool(lane)

    @contextmanager
    def _spool(self, lane: Hashable) -> Iterator[Spool]:
        try:
            with closing(Spool(self._folder, least_free=self._least_free)) as spool:
                yield spool
        finally:
            self._turns.give_back(lane)


@contextmanager
def refusing_full() -> Iterator[None]:
    """Turn what the system says of a full disk into StorageFull."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise StorageFull from error
        raise


def require_room(where: int | Path, size: int) -> None:
    """Raise StorageFull unless the disk of the file or folder has so many bytes free."""
    status = os.statvfs(where)
    if status.f_bavail * status.f_frsize < size:
        raise StorageFull
