"""A narrow door for expensive work, so that it cannot crowd out the rest of the process."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from auth.errors import HashingBusy

T = TypeVar("T")
LOWEST_PRIORITY: Final = 19


class Gate:
    """Runs work on few threads of the lowest priority and lets only so many callers wait.

    Threads do not survive a fork, so a process makes its own gate.
    """

    def __init__(self, *, threads: int, queue: int) -> None:
        self._places = threading.BoundedSemaphore(threads + queue)
        self._rounds = (threads + queue) / threads
        self._seconds = 0.0
        self._pool = ThreadPoolExecutor(threads, "hashing", initializer=_step_back)

    def run(self, work: Callable[[], T]) -> T:
        """Return what `work` returns; raises HashingBusy at once when the queue is full."""
        if not self._places.acquire(blocking=False):
            raise HashingBusy(max(1, math.ceil(self._rounds * self._seconds)))
        try:
            future = self._pool.submit(self._timed, work)
        except BaseException:
            self._places.release()
            raise
        return future.result()

    def close(self) -> None:
        """Finish what waits and end the threads."""
        self._pool.shutdown()

    def _timed(self, work: Callable[[], T]) -> T:
        started = time.perf_counter()
        try:
            return work()
        finally:
            self._seconds = time.perf_counter() - started
            # Here and not in the caller: the next call must find the place that this one left.
            self._places.release()


def _step_back() -> None:
    try:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)
    except (AttributeError, OSError):
        return  # only Linux has a priority per thread; elsewhere the pool's size alone protects
