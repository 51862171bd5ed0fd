"""Streams of events that stay open: how many there may be, and how each is asked for what is new.

A stream holds no thread. Now and then one thread asks all of them, and what there is is sent.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Final

import orjson

from service.errors import TooBusy

MOST: Final = 64  # of a process
MOST_EACH: Final = 8
RETRY_SECONDS: Final = 5.0
HEARTBEAT: Final = b":\n\n"


class Streams:
    """Counts what is open in a process; of one tenant only so many.

    `what` is said of those that are too many.
    """

    def __init__(
        self,
        *,
        most: int = MOST,
        most_each: int = MOST_EACH,
        what: str = "streams of events are open",
    ) -> None:
        self._what = what
        self._most = most
        self._most_each = most_each
        self._lock = threading.Lock()
        self._open: Counter[Hashable] = Counter()

    @property
    def count(self) -> int:
        """How many are open."""
        return self._open.total()

    def open(self, tenant: Hashable) -> Callable[[], None]:
        """Take a place, which is given back by a call; raises TooBusy."""
        with self._lock:
            if self._open[tenant] >= self._most_each:
                raise TooBusy(f"too many of your {self._what}", RETRY_SECONDS)
            if self._open.total() >= self._most:
                raise TooBusy(f"too many {self._what}", RETRY_SECONDS)
            self._open[tenant] += 1

        def close() -> None:
            with self._lock:
                self._open[tenant] -= 1
                if not self._open[tenant]:
                    del self._open[tenant]

        return close


def event(kind: str, number: int, said: object) -> bytes:
    """One event as the HTML standard has them; JSON has no line ends of its own."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (number, kind.encode(), orjson.dumps(said))


def retry(seconds: float) -> bytes:
    """What tells a client after how long it is to connect again."""
    return b"retry: %d\n\n" % round(seconds * 1000)
