"""Resource limits: what a process may use up, however it tries."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Final

from models.hosting import kernel
from models.hosting.confinement import Confinement

PAGE_BYTES: Final = resource.getpagesize()
MOST_THREADS: Final = 64
STATISTICS: Final = Path("/proc/self/statm")
TOTAL_PAGES, DATA_PAGES = 0, 5  # columns of it
LEAST_LIKELY_SPARED: Final = b"1000"


def limit(confinement: Confinement) -> None:
    """Bound memory, files, processes and time for ever; raises OSError."""
    _be_killed_first()
    pages = [int(word) for word in STATISTICS.read_text().split()]
    grown = confinement.memory_bytes
    limits = {
        # Address space bounds everything; data bounds what is written to, also after a process
        # gave back the address space that it shares with its parent.
        resource.RLIMIT_AS: pages[TOTAL_PAGES] * PAGE_BYTES + grown,
        resource.RLIMIT_DATA: pages[DATA_PAGES] * PAGE_BYTES + grown,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_NOFILE: max((*confinement.keep, confinement.most_descriptors - 1)) + 1,
        # Threads count as processes, and root's are not counted: it becomes somebody else next.
        resource.RLIMIT_NPROC: MOST_THREADS if confinement.threads else 0,
    }
    if confinement.cpu_seconds is not None:
        limits[resource.RLIMIT_CPU] = confinement.cpu_seconds
    for kind, most in limits.items():
        _, hard = resource.getrlimit(kind)
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (bound, bound))
    os.nice(confinement.niceness)


def _be_killed_first() -> None:
    """When the machine's memory ends, a host goes before the platform does."""
    # Who has changed user since it was executed does not own its own entries in /proc else.
    kernel.prctl(kernel.PR_SET_DUMPABLE, 1)
    with open("/proc/self/oom_score_adj", "wb", buffering=0) as score:  # noqa: PTH123
        score.write(LEAST_LIKELY_SPARED)
