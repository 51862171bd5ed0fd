"""One connection to a host, shared by the threads of a worker.

Whoever waits for an answer reads for all: the first to wait takes what arrives and wakes those it
is for; when it has its own, the next takes over. So a call alone costs no change of threads.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from models.errors import FrameMalformed
from models.hosting import frames
from models.hosting.frames import Answer
from models.hosting.page import Page, Running
from models.hosting.payloads import Buffer
from models.hosting.streams import Inbox, Outbox, StreamEnded

PAUSE_SECONDS: Final = 0.001
Arrived = tuple[Answer, Buffer]


class Lost(Exception):
    """Raised when the connection has ended before the answer; `started` says whether it ran."""

    def __init__(self, *, started: bool) -> None:
        self.started = started
        super().__init__("the connection to the host has ended")


class Expired(Exception):
    """Raised when there is no answer at the deadline; `call` is the call's number."""

    def __init__(self, call: int) -> None:
        self.call = call
        super().__init__("there is no answer at the deadline")


@dataclass(frozen=True, slots=True)
class Expected:
    """What an answer must look like: so many rows, and if it is known so many values in each."""

    rows: int = 0
    width: int | None = None


@dataclass(eq=False, slots=True)
class _Call:
    expected: Expected
    deadline: float
    began: float = field(default_factory=time.monotonic)
    arrived: Arrived | None = None
    wake: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.wake.acquire()

    def rouse(self) -> None:
        if self.wake.locked():
            self.wake.release()


class Channel:
    """Calls over one connection; `host` and `number` name it to the parent and on the page."""

    def __init__(self, sock: socket.socket, page: Page, *, host: int, number: int) -> None:
        self.host = host
        self.number = number
        self.is_broken = False
        self._socket = sock
        self._page = page
        self._inbox = Inbox(sock, frames.ANSWER.size, self._read_header)
        self._outbox = Outbox(sock)
        self._readable, self._writable = select.poll(), select.poll()
        self._readable.register(sock, select.POLLIN)
        self._writable.register(sock, select.POLLOUT)
        self._lock = threading.Lock()  # of what follows; never held while waiting
        self._sending = threading.Lock()
        self._last = 0
        self._users = 0
        self._is_read = self._is_disposed = False
        self._calls: dict[int, _Call] = {}  # sent, not answered
        self._abandoned: dict[int, _Call] = {}  # of which nobody waits for the answer any more
        self._heard = time.monotonic()
        self._ran: Running | None = None  # the batch in which the host ended
        self._blamed = False

    def request(
        self,
        frame: Callable[[int], list[Buffer]],
        expected: Expected,
        *,
        deadline: float,
        descriptors: tuple[int, ...] = (),
    ) -> Arrived:
        """Send the frame of a call and wait for its answer; raises Lost or Expired."""
        number, call = self._enter(expected, deadline)
        try:
            self._send(number, frame(number), descriptors, deadline)
            return self._await(number, call, deadline)
        finally:
            self._leave(number)

    def running(self, call: int) -> Running | None:
        """The batch under way, if this call is in it and nobody has its answer."""
        with self._lock:
            running = None if self._is_disposed else self._page.running()
        return running if running and (self.number, call) in running.calls else None

    def is_silent(self, deadlines: int) -> bool:
        """Whether no answer at all has come for so many times what the longest call may take."""
        with self._lock:
            due = (*self._calls.values(), *self._abandoned.values())
        if not due:
            return False
        longest = max(call.deadline - call.began for call in due)
        first = min(call.began for call in due)
        return time.monotonic() - max(self._heard, first) > deadlines * longest

    def await_end(self, seconds: float) -> bool:
        """Read until the connection ends; False if it has not after so long."""
        deadline = time.monotonic() + seconds
        try:
            with self._used():
                while not self.is_broken and time.monotonic() < deadline:
                    self._read_in_turn(deadline)
        except Lost:
            return True
        return self.is_broken

    def blame(self) -> bytes | None:
        """The version in whose batch the host ended; told once, to the batch's first caller."""
        with self._lock:
            if self._ran is None or self._blamed or not self._ran.calls:
                return None
            connection, call = self._ran.calls[0]
            if connection != self.number or call not in {**self._calls, **self._abandoned}:
                return None
            self._blamed = True
            return self._ran.version

    def close(self) -> None:
        """End the connection; threads that wait see it lost."""
        self._break()
        self._dispose_if_unused()

    def abandon(self) -> None:
        """Close this process's copy of a connection that belongs to the one it was forked from."""
        self.is_broken = self._is_disposed = True
        self._socket.close()
        self._page.close()

    @contextmanager
    def _used(self) -> Iterator[None]:
        with self._lock:
            if self.is_broken:
                raise Lost(started=False)
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
            if self.is_broken:
                self._dispose_if_unused()

    def _dispose_if_unused(self) -> None:
        # A descriptor that is closed under a thread that waits on it may become somebody else's.
        with self._lock:
            if self._users == 0 and not self._is_disposed:
                self._is_disposed = True
                self._socket.close()
                self._page.close()

    def _enter(self, expected: Expected, deadline: float) -> tuple[int, _Call]:
        call = _Call(expected, deadline)
        with self._lock:
            if self.is_broken:
                raise Lost(started=False)
            self._users += 1
            self._last += 1
            self._calls[self._last] = call
            return self._last, call

    def _leave(self, number: int) -> None:
        """Forget an answered call, remember one that may be answered yet, and let others read."""
        with self._lock:
            call = self._calls.pop(number, None)
            if call is not None and call.arrived is None:
                self._abandoned[number] = call
            if not self._is_read:
                self._rouse_one()
            self._users -= 1
        if self.is_broken:
            self._dispose_if_unused()

    def _send(
        self, number: int, frame: list[Buffer], descriptors: tuple[int, ...], deadline: float
    ) -> None:
        if not self._sending.acquire(timeout=_left(deadline)):
            raise Expired(number)
        try:
            self._outbox.send(frame, descriptors)
            while not self._outbox.is_empty:
                if not self._writable.poll(_left(deadline) * 1000):
                    self._break()  # what follows half a frame would be taken for its rest
                    raise Expired(number)
                self._outbox.flush()
        except StreamEnded:
            pass  # an answer may have been sent before the end: the reading tells
        finally:
            self._sending.release()

    def _await(self, number: int, call: _Call, deadline: float) -> Arrived:
        while call.arrived is None:
            if self.is_broken:
                raise Lost(started=self._had_started(number))
            if self._lead():
                while call.arrived is None and not self.is_broken and time.monotonic() < deadline:
                    self._read_some(deadline)
                self._resign()
            else:
                call.wake.acquire(timeout=_left(deadline))
            if call.arrived is None and not self.is_broken and time.monotonic() >= deadline:
                raise Expired(number)
        return call.arrived

    def _had_started(self, number: int) -> bool:
        return self._ran is not None and (self.number, number) in self._ran.calls

    def _lead(self) -> bool:
        with self._lock:
            leads = not self._is_read
            self._is_read = True
            return leads

    def _resign(self) -> None:
        with self._lock:
            self._is_read = False
            self._rouse_one()

    def _rouse_one(self) -> None:
        for call in self._calls.values():
            if call.arrived is None:
                call.rouse()
                return

    def _read_in_turn(self, deadline: float) -> None:
        if self._lead():
            self._read_some(deadline)
            self._resign()
        else:  # who reads sees the end as well
            time.sleep(PAUSE_SECONDS)

    def _read_some(self, deadline: float) -> None:
        if not self._readable.poll(_left(deadline) * 1000):
            return
        try:
            for answer, payload in self._inbox.receive():
                self._deliver(answer, payload)
        except BlockingIOError:
            return
        except (StreamEnded, FrameMalformed):
            self._break()

    def _read_header(self, header: Buffer) -> Answer:
        """Check an answer against what was asked before anything is allocated for it."""
        answer = frames.read_answer(header)
        with self._lock:
            call = self._calls.get(answer.call) or self._abandoned.get(answer.call)
        if call is None or call.arrived is not None:
            raise FrameMalformed("an answer that was not asked for")
        if answer.status == frames.ANSWERED:
            if answer.rows != call.expected.rows or answer.rows == 0:
                raise FrameMalformed("an answer to other rows than were asked")
            if call.expected.width not in (None, answer.width):
                raise FrameMalformed("an answer of another width than the model has")
        return answer

    def _deliver(self, answer: Answer, payload: Buffer) -> None:
        with self._lock:
            self._heard = time.monotonic()
            call = self._calls.get(answer.call)
            if call is None:  # who waited has just given up
                self._abandoned.pop(answer.call, None)
            else:
                call.arrived = answer, payload
                call.rouse()

    def _break(self) -> None:
        with self._lock:
            if self.is_broken:
                return
            self._ran = self._page.running()
            self.is_broken = True
            for call in self._calls.values():
                call.rouse()
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())
