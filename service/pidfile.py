"""Which process serves an instance: a file that its supervisor holds locked while it runs."""

from __future__ import annotations

import fcntl
import os
import signal
from contextlib import suppress
from typing import Final

from config.settings import Settings

PID_FILE: Final = "serve.pid"
SCHEDULES_DUE: Final = "schedules.due"  # a file whose being there tells the supervisor


def signal_reload(settings: Settings) -> bool:
    """Have the supervisor of this instance reload its programs; False if none runs."""
    pid = serving_pid(settings)
    if pid is None:
        return False
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGHUP)
        return True
    return False


def serving_pid(settings: Settings) -> int | None:
    """Return the process id of the supervisor that serves this instance, if one does."""
    try:
        descriptor = os.open(settings.state / PID_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        # Locked before it is written: to signal 0 would be to signal one's own process group.
        return read_pid(descriptor) or None
    finally:
        os.close(descriptor)
    return None


def read_pid(descriptor: int) -> int:
    """The process id that the file names, or 0."""
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else 0
