"""Memory that was freed, and is kept by the C library for another time.

A large body passes several threads: granian's, the event loop's, and that of whoever answers. Each
would have a heap of its own, and keep the end of it. So a program has one heap for all of them
(service/supervisor.py), and what is free in it goes back to the system from time to time. glibc
can be told to give large pieces back at once, but each of them is then of pages that are new. Nor
does it give back by itself what is likely to be needed again soon.
"""

from __future__ import annotations

import ctypes

_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc; others keep less


def give_back() -> None:
    """Return every page to the system that holds nothing; some milliseconds after large bodies."""
    if _trim is not None:
        _trim(0)
