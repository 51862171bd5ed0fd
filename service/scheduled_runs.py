"""The supervisor's child that runs what is scheduled, while there is anything to run.

A worker that sees something due leaves a file. The child is a command of its own, which yields to
all that answers calls, and ends with the supervisor.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from config.settings import Settings
from service.pidfile import SCHEDULES_DUE
from service.processes import Child, fork

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 5.0
NICENESS: Final = 15  # as that of trainings in the sandbox
STOP_SECONDS: Final = 10.0


class ScheduledRuns:
    """At most one child at a time; it is treated as a post is, but starts only when it is due."""

    def __init__(self, settings: Settings, argv: tuple[str, ...], environment: Mapping[str, str]):
        self._mark = settings.state / SCHEDULES_DUE
        self._argv = argv
        self._environment = environment
        self._child: Child | None = None
        self._next_look = 0.0
        self._stopping = False

    @property
    def children(self) -> list[Child]:
        """The child, if there is one."""
        return [] if self._child is None else [self._child]

    def tick(self) -> float | None:
        """Start what is due, end what is overdue; return the seconds until the next look."""
        now = time.monotonic()
        if self._child is not None:
            deadline = self._child.deadline
            if deadline is not None and now >= deadline:
                self._child.signal(signal.SIGKILL)
            return None if deadline is None else max(0.05, deadline - now)
        if self._stopping:
            return None
        if now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            self._start_if_due()
        return max(0.05, self._next_look - now)

    def stop(self) -> None:
        """Start nothing more, and ask the child to end: what it has found out is kept."""
        self._stopping = True
        if self._child is not None:
            self._child.signal(signal.SIGTERM)
            self._child.deadline = time.monotonic() + STOP_SECONDS

    def kill(self) -> None:
        """End the child now."""
        if self._child is not None:
            self._child.signal(signal.SIGKILL)

    def ended(self, pid: int, status: int) -> None:
        """Note that the child has ended."""
        if self._child is None or self._child.pid != pid:
            return
        self._child.bury()
        self._child = None
        code = os.waitstatus_to_exitcode(status)
        if code and not self._stopping:
            log.error("schedules: process %d ended with %d", pid, code)

    def _start_if_due(self) -> None:
        try:
            self._mark.unlink()
        except FileNotFoundError:
            return
        self._child = fork(partial(_become, self._argv, self._environment), leads_group=True)
        log.info("schedules: process %d runs what is due", self._child.pid)


def command_of(settings: Settings, root: Path) -> tuple[str, ...]:
    """The command that runs what is due."""
    program = str(root / "manage.py")
    return (sys.executable, program, "--instance", str(settings.instance), "schedules", "run")


def _become(argv: tuple[str, ...], environment: Mapping[str, str], _ready: int) -> None:
    os.nice(NICENESS)
    os.execve(argv[0], argv, dict(environment))  # noqa: S606 - that there is no shell is the point
