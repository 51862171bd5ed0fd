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
    return asyncio.get_running_loop().run_in_executor(None, pipe.path.read_bytes)


@pytest.mark.parametrize("pieces", [[b"x"], [b"x" * 128, LARGE], [LARGE, b"", LARGE]])
def test_what_is_written_is_read(tmp_path: Path, pieces: list[bytes]) -> None:
    async def send() -> bytes:
        with Pipe(tmp_path) as pipe:
            reading = read_in(pipe)
            for piece in pieces:
                await pipe.write(piece)
        return await reading

    for _ in range(20):
        assert asyncio.run(send()) == b"".join(pieces)


def test_nothing_more_is_written_than_fits_until_somebody_reads(tmp_path: Path) -> None:
    async def send() -> int:
        with Pipe(tmp_path) as pipe:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await pipe.write(LARGE)
            with pipe.path.open("rb", buffering=0) as reader:
                os.set_blocking(reader.fileno(), False)
                return len(reader.read(len(LARGE)) or b"")

    assert asyncio.run(send()) <= PIPE_BYTES


def test_who_stops_reading_ends_the_writing(tmp_path: Path) -> None:
    async def send() -> None:
        loop = asyncio.get_running_loop()
        with Pipe(tmp_path) as pipe:

            def read_some() -> None:
                with pipe.path.open("rb", buffering=0) as reader:
                    reader.read(10)

            leaving = loop.run_in_executor(None, read_some)
            try:
                await pipe.write(LARGE * 4)
            finally:
                await leaving

    with pytest.raises(BrokenPipeError):
        asyncio.run(send())


def test_neither_a_descriptor_nor_a_name_is_left(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with pytest.raises(ZeroDivisionError), Pipe(tmp_path):
        raise ZeroDivisionError
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    assert not list(tmp_path.iterdir())


def test_a_pipe_has_no_name_once_it_is_opened(tmp_path: Path) -> None:
    async def send() -> bytes:
        with Pipe(tmp_path) as pipe:
            reading = read_in(pipe)
            await pipe.write(b"x")
            assert not list(tmp_path.iterdir())
        return await reading

    assert asyncio.run(send()) == b"x"


def test_what_is_opened_too_late_is_nobody_elses(tmp_path: Path) -> None:
    with Pipe(tmp_path) as late:
        pass
    others = [Pipe(tmp_path) for _ in range(8)]

    with pytest.raises(FileNotFoundError):
        late.path.open("rb")
    for other in others:
        other.__exit__(None, None, None)
