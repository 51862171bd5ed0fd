"""Who holds a lease: a process by a name that no other ever has, and whether it still runs."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from config.counters.places import started


def this_process() -> str:
    """The name of this process: where it runs, its number there, and when it was started."""
    return f"{_place()}:{os.getpid()}:{started(os.getpid())}"


def is_gone(holder: str) -> bool:
    """Say whether a process is known to run no more; of other machines nothing is known."""
    place, _, rest = holder.rpartition(":")[0].rpartition(":")
    if place != _place() or not rest.isdigit():
        return False
    return f"{place}:{rest}:{started(int(rest))}" != holder


@cache
def _place() -> str:
    """This start of this machine, and the name space in which processes have their numbers."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
