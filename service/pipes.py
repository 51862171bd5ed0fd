"""A pipe as the file that a server sends: it takes no more than the client fetches.

granian keeps what it is given of a streamed answer, however slow the client is; a file it reads
only as the client takes it. So an answer in pieces goes to it as a file that is a pipe.

granian opens the file when it comes to it, and does not say when. So a pipe has a name that nobody
can guess and that never names anything else: opened too late, it is not there. A descriptor under
/proc/self/fd may by then be another tenant's answer.
"""

from __future__ import annotations

import array
import asyncio
import fcntl
import os
import secrets
import termios
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

PAUSE_SECONDS: Final = 0.002
PIPE_BYTES: Final = 256 * 1024


class Pipe:
    """Written from one event loop, and read by whoever opens its path; it has that until then."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = folder / secrets.token_hex(16)
        self._reader, self._writer = _both_ends(self.path)
        with suppress(OSError):  # it goes faster so, where a user may have such pipes
            fcntl.fcntl(self._writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._is_opened = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # The name first: who found it and no writer would wait for one for ever.
        self._forget_reader()
        os.close(self._writer)

    async def write(self, data: bytes) -> None:
        """Write all of it, as it is taken; raises BrokenPipeError when nobody reads any more."""
        view = memoryview(data)
        while view:
            try:
                written = os.write(self._writer, view)
            except BlockingIOError:
                await self._room()
                continue
            view = view[written:]
            if not self._is_opened:
                await self._opened(written)

    async def _opened(self, written: int) -> None:
        """Wait until some of the first bytes are read, and leave the reading to who does it."""
        while self._unread() >= written:
            await asyncio.sleep(PAUSE_SECONDS)
        self._forget_reader()

    async def _room(self) -> None:
        loop = asyncio.get_running_loop()
        room = asyncio.Event()
        loop.add_writer(self._writer, room.set)
        try:
            await room.wait()
        finally:
            loop.remove_writer(self._writer)

    def _forget_reader(self) -> None:
        if not self._is_opened:
            self._is_opened = True
            self.path.unlink(missing_ok=True)
            os.close(self._reader)

    def _unread(self) -> int:
        count = array.array("i", [0])
        fcntl.ioctl(self._reader, termios.FIONREAD, count)
        return count[0]


def _both_ends(path: Path) -> tuple[int, int]:
    """Make a pipe of that name, and open it for reading and for writing."""
    os.mkfifo(path, mode=0o600)
    try:
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            return reader, os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            os.close(reader)
            raise
    except OSError:
        path.unlink()
        raise
