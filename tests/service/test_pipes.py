"""A pipe that is sent as a file: as fast as it is read, and no faster."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from service.pipes import PIPE_BYTES, Pipe

LARGE = os.urandom(3 * PIPE_BYTES + 7)


def read_in(pipe: Pipe) -> asyncio.Future[bytes]:
    """Read the whole of it in a thread, as a server does."""
    return asyncio.get_running_loop().run_in_executor(None, Path(pipe.path).read_bytes)


@pytest.mark.parametrize("pieces", [[b"x"], [b"x" * 128, LARGE], [LARGE, b"", LARGE]])
def test_what_is_written_is_read(pieces: list[bytes]) -> None:
    async def send() -> bytes:
        with Pipe() as pipe:
            reading = read_in(pipe)
            for piece in pieces:
                await pipe.write(piece)
        return await reading

    for _ in range(20):
        assert asyncio.run(send()) == b"".join(pieces)


def test_nothing_more_is_written_than_fits_until_somebody_reads() -> None:
    async def send() -> int:
        with Pipe() as pipe:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await pipe.write(LARGE)
            with open(pipe.path, "rb", buffering=0) as reader:  # noqa: PTH123
                os.set_blocking(reader.fileno(), False)
                return len(reader.read(len(LARGE)) or b"")

    assert asyncio.run(send()) <= PIPE_BYTES


def test_who_stops_reading_ends_the_writing() -> None:
    async def send() -> None:
        loop = asyncio.get_running_loop()
        with Pipe() as pipe:

            def read_some() -> None:
                with open(pipe.path, "rb", buffering=0) as reader:  # noqa: PTH123
                    reader.read(10)

            leaving = loop.run_in_executor(None, read_some)
            try:
                await pipe.write(LARGE * 4)
            finally:
                await leaving

    with pytest.raises(BrokenPipeError):
        asyncio.run(send())


def test_no_descriptor_is_left() -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with pytest.raises(ZeroDivisionError), Pipe():
        raise ZeroDivisionError
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
