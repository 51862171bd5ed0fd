"""What processes use of the machine, as the kernel tells it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
TICKS: Final = os.sysconf("SC_CLK_TCK")
USER_TICKS, SYSTEM_TICKS = 11, 12  # columns of /proc/PID/stat behind the name
RESIDENT, SHARED = 1, 2  # columns of /proc/PID/statm
CGROUP_MEMORY: Final = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True, slots=True)
class Use:
    """Seconds of processor time, and bytes of memory that no file stands behind."""

    cpu_seconds: float
    bytes: int


def use_of(pid: int) -> Use:
    """What a process uses, the memory that it shares with its parent included.

    Raises ProcessLookupError when it has ended.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        pages = Path(f"/proc/{pid}/statm").read_bytes().split()
    except FileNotFoundError as error:
        raise ProcessLookupError(pid) from error
    words = stat.rpartition(b")")[2].split()
    ticks = int(words[USER_TICKS]) + int(words[SYSTEM_TICKS])
    return Use(ticks / TICKS, (int(pages[RESIDENT]) - int(pages[SHARED])) * PAGE_BYTES)


def machine_bytes() -> int:
    """The memory that this machine, or this container, has."""
    installed = os.sysconf("SC_PHYS_PAGES") * PAGE_BYTES
    try:
        allowed = CGROUP_MEMORY.read_text().strip()
    except OSError:
        return installed
    return min(installed, int(allowed)) if allowed.isdecimal() else installed
