"""What the nursery has borne: heard through a pipe, watched, and ended."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

log = logging.getLogger(__name__)

HEARD_BYTES: Final = 64 * 1024
SPOKEN_SECONDS: Final = 10.0
MOST_LINES: Final = 10  # of each process in SPOKEN_SECONDS; what is more is not heard
MOST_LINE_BYTES: Final = 200


@dataclass(eq=False)
class Offspring:
    """A running host or workshop, and why it was condemned, if it was."""

    pid: int
    ended: int  # a descriptor that is readable when it has ended
    voice: int  # its standard output and error
    collect: Callable[[int], int]  # takes an ended child's number, and returns its status
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
        status = self.collect(self.pid)
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
