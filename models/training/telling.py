"""What a trainer tells its customer on its way, and how much time it has."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Callable
from typing import Final

import orjson

from models.hosting.messages import Message, send
from models.training import messages as words
from models.training.progress import Progress, Result

# What is kept back of the time for all that follows the search: the last fit, and the report.
RESERVED_SHARE: Final = 0.15
MOST_RESERVED_SECONDS: Final = 120.0


class Telling:
    """Tells a customer how far a training is, not more often than anybody can read."""

    def __init__(
        self, connection: socket.socket, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._next = -math.inf
        self._said: Progress | None = None
        self._held: Progress | None = None
        self._results = 0
        self._bytes = 0

    def tell(self, progress: Progress) -> None:
        """Say it, unless something was said of this phase a moment ago: then the last is held."""
        if self._said is None or progress.phase is not self._said.phase:
            self.flush()
            self._say(progress)
        elif self._clock() >= self._next:
            self._say(progress)
        else:
            self._held = progress

    def flush(self) -> None:
        """Say what was held back."""
        if self._held is not None:
            self._say(self._held)

    def keep(self, result: Result) -> None:
        """Hand on a result; one that is too much to keep is computed anew by the next attempt."""
        body = {"key": result.key, "value": orjson.Fragment(as_json(result.value))}
        size = len(orjson.dumps(body))
        fits = size <= words.MOST_RESULT_BYTES and len(result.key) <= words.MOST_KEY
        if (
            not fits
            or self._results >= words.MOST_RESULTS
            or self._bytes + size > words.MOST_KNOWN_BYTES
        ):
            return
        self._results += 1
        self._bytes += size
        send(self._connection, Message(words.RESULT, body))

    def _say(self, progress: Progress) -> None:
        self._said, self._held = progress, None
        self._next = self._clock() + words.TOLD_SECONDS
        body = {
            "phase": progress.phase.value,
            "done": int(progress.done),
            "total": int(progress.total),
            "note": progress.note[: words.MOST_NOTE],
        }
        send(self._connection, Message(words.TOLD, body))


def remaining(
    budget: float, seconds: float, *, clock: Callable[[], float] = time.monotonic
) -> Callable[[], float]:
    """What says how much time there is to search: `seconds` are all, `budget` is what was wished.

    0 is no budget.
    """
    whole = min(budget or math.inf, seconds)
    until = clock() + whole - min(RESERVED_SHARE * whole, MOST_RESERVED_SECONDS)
    return lambda: max(0.0, until - clock())


def as_json(value: object) -> bytes:
    """As JSON has it: what is no number there is null."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
