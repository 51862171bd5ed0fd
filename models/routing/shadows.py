"""Asks a shadow version about calls that were answered already, and compares.

Nobody waits for it: calls lie in a short queue of their tenant's, what does not fit is counted and
dropped, and one thread of the lowest priority takes the tenants in turn, a tenth of its time.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from numpy.typing import NDArray

from config.spans import Attributes, Trace
from models.errors import ModelsError
from models.execution import Executor
from models.routing.traffic import RouteKey, Traffic, agreeing_rows
from models.tables import Features, column_count, row_count
from models.versions import Version

MOST_WAITING: Final = 16  # calls of one tenant
MOST_TENANTS: Final = 64
MOST_CELLS: Final = 4_000_000  # of all calls that wait, which bounds their memory
MOST_CELLS_EACH: Final = MOST_CELLS // 4
LONGEST_SECONDS: Final = 10.0
IDLE_SHARE: Final = 9.0  # rest so many times as long as a call took
LONGEST_REST_SECONDS: Final = 5.0
LOWEST_PRIORITY: Final = 19


@dataclass(frozen=True, slots=True)
class Shadowed:
    """A call, and how it was answered; `tell` hears what the shadow answered, and how soon."""

    route: RouteKey
    shadow: Version
    method: str
    features: Features
    answer: NDArray[Any]
    trace: Trace | None = None  # where it is noted how the shadow did
    tell: Callable[[NDArray[Any], float], None] | None = None

    @property
    def cells(self) -> int:
        """How many values were sent."""
        return row_count(self.features) * column_count(self.features)


class Shadows:
    """Queues by tenant and their thread, which begins with the first call."""

    def __init__(self, executor: Executor, traffic: Traffic) -> None:
        self._executor = executor
        self._traffic = traffic
        self._waiting: OrderedDict[str, deque[Shadowed]] = OrderedDict()  # next in turn first
        self._cells: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self.dropped = 0  # calls that there was no room for

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        with self._changed:
            return sum(map(len, self._waiting.values()))

    def offer(self, call: Shadowed) -> None:
        """Have the shadow answer too, some time; returns at once."""
        with self._changed:
            if not self._has_room(call):
                self.dropped += 1
                self._traffic.dropped(call.route, call.shadow.id)
                return
            self._waiting.setdefault(call.shadow.tenant_id, deque()).append(call)
            self._cells[call.shadow.tenant_id] += call.cells
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="shadows", daemon=True)
                self._thread.start()
            self._changed.notify()

    def stop(self) -> None:
        """End the thread; what waits is not answered any more."""
        self._stopped.set()
        with self._changed:
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join(LONGEST_SECONDS)

    def _run(self) -> None:
        with suppress(OSError):  # Linux gives a thread a priority of its own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)
        while (call := self._next()) is not None:
            started = time.perf_counter()
            self._compare(call, started)
            spent = time.perf_counter() - started
            self._stopped.wait(min(LONGEST_REST_SECONDS, IDLE_SHARE * spent))

    def _next(self) -> Shadowed | None:
        with self._changed:
            while not self._waiting and not self._stopped.is_set():
                self._changed.wait()
            if self._stopped.is_set():
                return None
            tenant, calls = self._waiting.popitem(last=False)
            call = calls.popleft()
            self._cells[tenant] -= call.cells
            if calls:
                self._waiting[tenant] = calls
            else:
                del self._cells[tenant]
            return call

    def _has_room(self, call: Shadowed) -> bool:
        tenant = call.shadow.tenant_id
        if tenant not in self._waiting:
            fits = len(self._waiting) < MOST_TENANTS
        else:
            fits = len(self._waiting[tenant]) < MOST_WAITING
        own, every = self._cells[tenant] + call.cells, self._cells.total() + call.cells
        return fits and own <= MOST_CELLS_EACH and every <= MOST_CELLS

    def _compare(self, call: Shadowed, started: float) -> None:
        whose = (call.route, call.shadow.id)
        try:
            call.shadow.signature.check_method(call.method)
            call.shadow.signature.check(call.features)
            answer = self._executor.answer(
                call.shadow, call.method, call.features, seconds=LONGEST_SECONDS
            )
        except ModelsError:
            self._traffic.answered(*whose, "shadow", 0.0, failed=True)
            self._note(call, time.perf_counter() - started, failed=True)
            return
        seconds = time.perf_counter() - started
        self._traffic.answered(*whose, "shadow", seconds, failed=False)
        self._note(call, seconds, failed=False)
        rows = row_count(call.features)
        self._traffic.compared(*whose, rows, agreeing_rows(call.answer, answer))
        if call.tell is not None:
            call.tell(answer, seconds)

    def _note(self, call: Shadowed, seconds: float, *, failed: bool) -> None:
        if call.trace is not None:
            found: Attributes = {"sallyport.version_id": call.shadow.id, "sallyport.failed": failed}
            call.trace.note("shadow", seconds, found)
