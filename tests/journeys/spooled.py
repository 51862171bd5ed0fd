"""What arrives at a platform: where it lies meanwhile, and how much memory it takes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.journeys.platform import Running


def servers(platform: Running) -> list[psutil.Process]:
    """Every process that may handle what was uploaded."""
    found: list[psutil.Process] = psutil.Process(platform.process.pid).children(recursive=True)
    return found


def spools(platform: Running) -> list[Path]:
    """The files without a name that arrive in the uploads folder."""
    return [found for process in servers(platform) for found in _spools_of(process)]


def _spools_of(process: psutil.Process) -> list[Path]:
    found = []
    with suppress(FileNotFoundError):  # it has ended
        for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
            with suppress(OSError):
                if "/uploads/" in str(descriptor.readlink()):
                    found.append(descriptor)
    return found


@contextmanager
def watched(processes: list[psutil.Process]) -> Iterator[list[int]]:
    """The most memory that any of the processes gains during the block."""
    before = [process.memory_info().rss for process in processes]
    most, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            now = [process.memory_info().rss for process in processes]
            most[0] = max(most[0], *(a - b for a, b in zip(now, before, strict=True)))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield most
    finally:
        over.set()
        thread.join()
