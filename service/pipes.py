"""A pipe as the file that a server sends: it takes no more than the client fetches.

granian keeps what it is given of a streamed answer, however slow the client is; a file it reads
only as the client takes it. So an answer in pieces goes to it as a file that is a pipe.
"""

from __future__ import annotations

import array
import asyncio
import fcntl
import os
import termios
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

PAUSE_SECONDS: Final = 0.002
PIPE_BYTES: Final = 256 * 1024


class Pipe:
    """Written from one event loop, and read by whoever opens its path."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        with suppress(OSError):  # it goes faster so, where a user may have such pipes
            fcntl.fcntl(self._writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._is_opened = False

    @property
    def path(self) -> str:
        """The name under which this process may open it."""
        return f"/proc/self/fd/{self._reader}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._writer)
        self._forget_reader()

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
            os.close(self._reader)

    def _unread(self) -> int:
        count = array.array("i", [0])
        fcntl.ioctl(self._reader, termios.FIONREAD, count)
        return count[0]
