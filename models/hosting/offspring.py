"""Children of the parent: forked, confined, heard through a pipe, and ended."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final, NoReturn

from models.hosting import kernel, sandbox
from models.hosting.confinement import Confinement

log = logging.getLogger(__name__)

HEARD_BYTES: Final = 64 * 1024
SPOKEN_SECONDS: Final = 10.0
MOST_LINES: Final = 10  # of each process in SPOKEN_SECONDS; what is more is not heard
MOST_LINE_BYTES: Final = 200
CONFINED_TOO_LITTLE: Final = 77  # the exit code of a child that could not enter the sandbox


@dataclass(eq=False)
class Offspring:
    """A running child, and why it was condemned, if it was."""

    pid: int
    ended: int  # a descriptor that is readable when it has ended
    voice: int  # its standard output and error
    born: float = field(default_factory=time.monotonic)
    condemned: str = ""
    _lines: int = 0
    _since: float = 0.0

    @property
    def age(self) -> float:
        """Seconds since its birth."""
        return time.monotonic() - self.born

    def kill(self, reason: str) -> None:
        """End it now; the first reason is the one on record."""
        self.condemned = self.condemned or reason
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.ended, signal.SIGKILL)

    def bury(self) -> str:
        """Collect it when it has ended, release its descriptors, and return its fate."""
        self.listen()
        _, status = os.waitpid(self.pid, 0)
        os.close(self.ended)
        os.close(self.voice)
        return self.condemned or fate_of(os.waitstatus_to_exitcode(status))

    def listen(self) -> bool:
        """Log what it has written as opaque text, bounded; False when it has closed its voice."""
        try:
            heard = os.read(self.voice, HEARD_BYTES)
        except BlockingIOError:
            return True
        now = time.monotonic()
        if now - self._since > SPOKEN_SECONDS:
            self._since, self._lines = now, 0
        for line in heard.splitlines()[: MOST_LINES - self._lines]:
            self._lines += 1
            log.warning("process %d of a model wrote %a", self.pid, line[:MOST_LINE_BYTES])
        return bool(heard)


def fate_of(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"it ended with code {code}"
    names = {signal.SIGSEGV: "an invalid memory access", signal.SIGSYS: "a forbidden system call"}
    number = signal.Signals(-code)
    return f"it was ended by {number.name}" + (f" ({names[number]})" if number in names else "")


def spawn(work: Callable[[], object], confinement: Confinement) -> Offspring:
    """Fork a child that enters the sandbox and works; its confinement's `log` is set here."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    # Until the child has shed its parent's handlers no signal may run one of them there.
    held = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            _live(work, confinement, writer, parent)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
    os.close(writer)
    return Offspring(pid, os.pidfd_open(pid), reader)


def _live(
    work: Callable[[], object], confinement: Confinement, voice: int, parent: int
) -> NoReturn:
    code = CONFINED_TOO_LITTLE
    try:
        _be_born(parent)
        sandbox.enter(replace(confinement, log=voice))
        code = 1
        work()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException as error:  # noqa: BLE001 - nothing may unwind into the parent's frames
        with suppress(OSError):
            os.write(2, f"{type(error).__name__}: {error}\n".encode(errors="replace"))
    finally:
        os._exit(code)


def _be_born(parent: int) -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
