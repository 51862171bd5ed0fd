"""Who is served next: of the callers that wait, each in turn.

One queue for all would belong to whoever sends most. Here every caller has a lane of its own, and
a place that becomes free goes to the next lane's oldest call.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal, TypeVar

T = TypeVar("T")
Pace = Literal["quick", "hashing", "waiting"]  # what a call spends its time with


class LanesFull(Exception):
    """Raised when the caller's lane, or all lanes together, hold as many calls as may wait."""

    def __init__(self) -> None:
        super().__init__("too many requests are waiting")


@dataclass(frozen=True, slots=True)
class Caller:
    """What a call will spend its time with, whose turn it uses, and whether that is proved."""

    pace: Pace
    lane: Hashable
    is_known: bool = False


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many calls wait, how many threads are at work, and how many there are."""

    waiting: int
    busy: int
    threads: int


class Turns:
    """Gives a fixed number of places in turn; to be used from one event loop alone.

    One lane holds at most `most_each` of them.
    """

    def __init__(
        self,
        *,
        places: int,
        most_each: int,
        waiting: int,
        waiting_each: int,
        waited: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        self._places = self._free = places
        self._waited = waited
        self._most_each = most_each
        self._waiting = waiting
        self._waiting_each = waiting_each
        self._count = 0
        self._running: Counter[Hashable] = Counter()
        self._queues: dict[Hashable, deque[asyncio.Future[None]]] = {}
        self._turns: deque[Hashable] = deque()

    @property
    def crowd(self) -> Crowd:
        """How full they are, for whoever watches; also from other threads."""
        return Crowd(self._count, self._places - self._free, self._places)

    @asynccontextmanager
    async def turn(self, lane: Hashable) -> AsyncIterator[None]:
        """Hold a place for the length of the block; raises LanesFull at once."""
        await self.take(lane)
        try:
            yield
        finally:
            self.give_back(lane)

    async def take(self, lane: Hashable) -> None:
        """Wait for a place, to be given back; raises LanesFull at once."""
        if self._may_start(lane):
            self._start(lane)
            return
        mine = asyncio.get_running_loop().create_future()
        self._enqueue(lane, mine)
        since = time.perf_counter()
        try:
            await mine
            self._waited(time.perf_counter() - since)
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self.give_back(lane)  # the turn had come already: somebody else takes it
            else:
                self._give_up(lane, mine)
            raise

    def give_back(self, lane: Hashable) -> None:
        """Leave a place to whose turn it is."""
        self._free += 1
        self._running[lane] -= 1
        if not self._running[lane]:
            del self._running[lane]
        for _ in range(len(self._turns)):
            if not self._free:
                return
            self._next()

    def _may_start(self, lane: Hashable) -> bool:
        return self._free > 0 and self._running[lane] < self._most_each

    def _start(self, lane: Hashable) -> None:
        self._free -= 1
        self._running[lane] += 1

    def _next(self) -> None:
        """Give a place to the oldest call of the next lane, or leave the lane its turn."""
        lane = self._turns.popleft()
        queue = self._queues[lane]
        while queue and self._may_start(lane):
            future = queue.popleft()
            self._count -= 1
            if not future.done():
                self._start(lane)
                future.set_result(None)
                break
        if queue:
            self._turns.append(lane)
        else:
            del self._queues[lane]

    def _give_up(self, lane: Hashable, future: asyncio.Future[None]) -> None:
        """Wait no longer, so that others may wait in this place."""
        queue = self._queues.get(lane)
        if queue is None or future not in queue:  # its turn has come and gone
            return
        queue.remove(future)
        self._count -= 1
        if not queue:
            del self._queues[lane]
            self._turns.remove(lane)

    def _enqueue(self, lane: Hashable, future: asyncio.Future[None]) -> None:
        queue = self._queues.get(lane)
        if self._count >= self._waiting or (queue and len(queue) >= self._waiting_each):
            raise LanesFull
        if queue is None:
            queue = self._queues[lane] = deque()
            self._turns.append(lane)
        queue.append(future)
        self._count += 1


class Lanes:
    """Runs calls in a fixed number of threads; to be used from one event loop alone.

    Of several threads one lane never holds the last, so that slow calls of one caller do not stop
    the others.
    """

    def __init__(
        self,
        name: str,
        *,
        threads: int,
        waiting: int,
        waiting_each: int,
        waited: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._turns = Turns(
            places=threads,
            most_each=max(1, threads - 1),
            waiting=waiting,
            waiting_each=waiting_each,
            waited=waited,
        )

    @property
    def crowd(self) -> Crowd:
        """How full they are, for whoever watches; also from other threads."""
        return self._turns.crowd

    async def run(
        self, lane: Hashable, work: Callable[[], T], *, left: Callable[[], None] = lambda: None
    ) -> T:
        """Return what `work` returns, when it is this lane's turn; raises LanesFull at once.

        Work that has begun is finished, and holds its thread until then, though nobody waits for
        it any more: whoever called and hung up again and again would else have all threads.
        `left` is called once, when the call holds nothing here any more.
        """
        try:
            await self._turns.take(lane)
        except BaseException:
            left()
            raise
        begun = asyncio.get_running_loop().run_in_executor(self._pool, work)

        def leave(_done: object) -> None:
            self._turns.give_back(lane)
            left()

        begun.add_done_callback(leave)
        return await asyncio.shield(begun)
