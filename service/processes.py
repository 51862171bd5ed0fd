"""Child processes that are kept alive, replaced without a gap, and never outlive their parent."""

from __future__ import annotations

import ctypes
import errno
import gc
import logging
import os
import select
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NoReturn, Protocol

log = logging.getLogger(__name__)

PR_SET_PDEATHSIG: Final = 1
START_SECONDS: Final = 60.0
QUICK_DEATH_SECONDS: Final = 10.0
FIRST_BACKOFF_SECONDS: Final = 0.1
LONGEST_BACKOFF_SECONDS: Final = 5.0
MOST_DEATHS_BEFORE_SERVING: Final = 5
REFUSED: Final = 78  # EX_CONFIG of sysexits.h: not to be started again as things are

Run = Callable[[int], None]


@dataclass(eq=False)
class Child:
    """A running process; `ready` is the pipe on which it says that it serves."""

    pid: int
    ready: int
    leads_group: bool
    born: float = field(default_factory=time.monotonic)
    serves: bool = False
    deadline: float | None = None

    def signal(self, number: int) -> None:
        """Send a signal; killing reaches everything that the child started."""
        with suppress(ProcessLookupError):
            if self.leads_group and number == signal.SIGKILL:
                os.killpg(self.pid, number)
            else:
                os.kill(self.pid, number)

    def poll(self) -> None:
        """Note whether the child has said that it serves."""
        with suppress(BlockingIOError):
            self.serves = self.serves or bool(os.read(self.ready, 1))

    def bury(self) -> None:
        """Release what is left when the process has ended, stragglers of its group included."""
        if self.leads_group:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        os.close(self.ready)


def fork(run: Run, *, leads_group: bool) -> Child:
    """Start a child that calls `run` with the writing end of its readiness pipe, and exits.

    Signals are held back until the child has shed its parent's handlers: one that arrives
    between the two would otherwise be swallowed by a handler that means another process.
    """
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    parent = os.getpid()
    held = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            _be_born(parent, leads_group)
            os.close(reader)
            _live(run, writer)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
    os.close(writer)
    return Child(pid, reader, leads_group)


def _be_born(parent: int, leads_group: bool) -> None:
    # The collector writes to whatever it visits: a worker would soon have copied a third of what
    # it shares with its parent, and stand still for 70 ms at each full collection.
    gc.freeze()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    if leads_group:
        os.setsid()
    die_with_parent(parent)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _live(run: Run, ready: int) -> NoReturn:
    code = 1
    try:
        run(ready)
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:  # noqa: BLE001 - nothing may unwind into the parent's frames
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, however that ends (Linux).

    It survives execve. The parent may have ended before the call, so look once more after it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


class Signals:
    """The signals that a process waits for, in the order of their arrival."""

    def __init__(self, numbers: Iterable[signal.Signals]) -> None:
        self._pending: deque[int] = deque()
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        # The handler, not the byte in the pipe, records the signal: a full pipe loses bytes.
        self._before = {
            number: signal.signal(number, lambda received, _frame: self._pending.append(received))
            for number in numbers
        }

    def wait(self, descriptors: Iterable[int], seconds: float | None) -> list[int]:
        """Return the signals received, at the latest when a descriptor is readable."""
        milliseconds = None if seconds is None else max(0.0, seconds) * 1000
        poller = select.poll()
        for descriptor in (self._reader, *descriptors):
            poller.register(descriptor, select.POLLIN)
        if not self._pending:
            poller.poll(milliseconds)
        with suppress(BlockingIOError):
            os.read(self._reader, 4096)
        received = list(self._pending)
        self._pending.clear()
        return received

    def close(self) -> None:
        """Put back the handlers that were there before."""
        signal.set_wakeup_fd(-1)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._reader)
        os.close(self._writer)


class Post:
    """A place that one child holds at a time; a successor takes over only when it serves."""

    def __init__(self, name: str, start: Callable[[], Child], *, drain_seconds: float) -> None:
        self.name = name
        self.start = start
        self.drain_seconds = drain_seconds
        self.holder: Child | None = None
        self.successor: Child | None = None
        self.leaving: list[Child] = []
        self.stopping = False
        self.last_code: int | None = None
        self._quick_deaths = 0
        self._start_at: float | None = 0.0

    @property
    def serves(self) -> bool:
        """Whether the holder has said that it serves."""
        return self.holder is not None and self.holder.serves

    @property
    def is_hopeless(self) -> bool:
        """Whether what this post starts refuses to serve, or dies each time before it does.

        Only for a first start: what has served before is started again for ever.
        """
        return self.last_code == REFUSED or self._quick_deaths >= MOST_DEATHS_BEFORE_SERVING

    @property
    def children(self) -> list[Child]:
        """Every process of this post."""
        return [*filter(None, (self.holder, self.successor)), *self.leaving]

    @property
    def listens_to(self) -> list[int]:
        """The readiness pipes that have not spoken."""
        return [child.ready for child in self.children if not child.serves]

    def replace(self) -> None:
        """Start a successor; one that is still starting is given up for a newer."""
        if self.stopping:
            return
        if self.successor is not None:
            self._dismiss(self.successor, grace=0.0)
        self.successor = self.start()

    def stop(self) -> None:
        """Ask every child to finish its work and end."""
        self.stopping = True
        self._start_at = None
        for child in list(self.children):
            if child.deadline is None:
                self._dismiss(child, grace=self.drain_seconds)
        self.holder = self.successor = None

    def kill(self) -> None:
        """End every child now."""
        for child in self.children:
            child.signal(signal.SIGKILL)

    def tick(self) -> float | None:
        """Do what is due; return the seconds until something else is."""
        now = time.monotonic()
        for child in self.children:
            if not child.serves:
                child.poll()
        if self._start_at is not None and now >= self._start_at:
            self.holder, self._start_at = self.start(), None
        if self.successor is not None and self.successor.serves:
            self._promote()
        self._kill_overdue(now)
        return self._until_next(now)

    def ended(self, pid: int, status: int) -> None:
        """Note that a process of this post has ended, and arrange what follows."""
        child = next((c for c in self.children if c.pid == pid), None)
        if child is None:
            return
        child.bury()
        code = self.last_code = os.waitstatus_to_exitcode(status)
        if child in self.leaving:
            self.leaving.remove(child)
        elif child is self.successor:
            self.successor = None
            log.error("%s: the new process ended with %d before it served", self.name, code)
        else:
            self.holder = None
            self._start_again(child, code)

    def _start_again(self, child: Child, code: int) -> None:
        lived = time.monotonic() - child.born
        self._quick_deaths = self._quick_deaths + 1 if lived < QUICK_DEATH_SECONDS else 0
        exponent = min(self._quick_deaths, 10) - 1
        pause = min(FIRST_BACKOFF_SECONDS * 2.0**exponent, LONGEST_BACKOFF_SECONDS)
        pause = 0.0 if self._quick_deaths <= 1 else pause
        if code != REFUSED:  # then it has said why
            log.error(
                "%s: process %d ended with %d, again in %.1f s", self.name, child.pid, code, pause
            )
        self._start_at = time.monotonic() + pause

    def _promote(self) -> None:
        assert self.successor is not None
        if self.holder is not None:
            self._dismiss(self.holder, grace=self.drain_seconds)
        self.holder, self.successor, self._start_at = self.successor, None, None
        log.info("%s: process %d has taken over", self.name, self.holder.pid)

    def _dismiss(self, child: Child, *, grace: float) -> None:
        child.signal(signal.SIGTERM if grace else signal.SIGKILL)
        child.deadline = time.monotonic() + grace
        self.leaving.append(child)

    def _kill_overdue(self, now: float) -> None:
        for child in self.children:
            starting = not child.serves and child.deadline is None
            if now >= (child.born + START_SECONDS if starting else child.deadline or now + 1):
                log.error("%s: process %d is overdue and killed", self.name, child.pid)
                child.signal(signal.SIGKILL)

    def _until_next(self, now: float) -> float | None:
        due = [child.deadline for child in self.children if child.deadline is not None]
        due += [child.born + START_SECONDS for child in self.children if not child.serves]
        due += [self._start_at] if self._start_at is not None else []
        return max(0.05, min(due) - now) if due else None


class Keeper(Protocol):
    """Whatever has children, and is told when one has ended."""

    @property
    def children(self) -> list[Child]:
        """Its processes."""
        ...

    def ended(self, pid: int, status: int) -> None:
        """Note that one of them has ended."""
        ...


def reap(posts: Iterable[Keeper]) -> None:
    """Collect every ended child and tell the post that it held."""
    for post in posts:
        for child in post.children:
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                post.ended(pid, status)


def still_open(lifeline: int) -> bool:
    """Whether the process that holds the other end of this pipe is alive."""
    try:
        return os.read(lifeline, 1) != b""
    except OSError as error:
        return error.errno in (errno.EAGAIN, errno.EINTR)
