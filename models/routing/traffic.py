"""What a worker has seen of the versions that a route divides calls between.

Only models with a route are observed. Times go into buckets that grow by a quarter each, so that
a percentile read off them is at most that much too high; windows of ten seconds keep the numbers
recent, and their sums over all workers exact.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from models.routes import Bounds

WINDOW_SECONDS: Final = 10
FIRST_BUCKET_SECONDS: Final = 1e-5
GROWTH: Final = 1.25
BUCKETS: Final = 90  # the last one ends beyond an hour
AGREEMENT: Final = 1e-6  # relative: how far apart numbers may be that still agree

Role = Literal["live", "shadow"]


@dataclass(slots=True)
class Tally:
    """What was counted of one version; seconds are those of its answers."""

    requests: int = 0
    errors: int = 0
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * BUCKETS)
    rows_compared: int = 0
    rows_agreeing: int = 0
    dropped: int = 0

    def add(self, other: Tally) -> None:
        """Count what another has counted."""
        for name in ("requests", "errors", "seconds", "rows_compared", "rows_agreeing", "dropped"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.buckets = [a + b for a, b in zip(self.buckets, other.buckets, strict=True)]

    def percentile(self, share: float) -> float | None:
        """The seconds within which a share of the answers came, rounded up to a bucket's end."""
        left = share * sum(self.buckets)
        for index, count in enumerate(self.buckets):
            left -= count
            if count and left <= 0:
                return float(FIRST_BUCKET_SECONDS * GROWTH ** (index + 1))
        return None

    @property
    def error_rate(self) -> float:
        """The share of calls that failed."""
        return self.errors / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class RouteKey:
    """A route of a model; one that is changed begins to count anew."""

    model_id: str
    revision: int  # Unix milliseconds of its making


@dataclass(frozen=True, slots=True)
class Seen:
    """Whose tally of which ten seconds."""

    route: RouteKey
    version_id: str
    role: Role
    window: int  # Unix time of its beginning


class Traffic:
    """Counts in memory, for one worker; `recent` is what is to be written down."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = Lock()
        self._tallies: dict[Seen, Tally] = {}

    def answered(
        self, route: RouteKey, version_id: str, role: Role, seconds: float, *, failed: bool
    ) -> None:
        """Count one call of a version."""
        with self._lock:
            tally = self._tally(route, version_id, role)
            tally.requests += 1
            if failed:
                tally.errors += 1
            else:
                tally.seconds += seconds
                tally.buckets[_bucket(seconds)] += 1

    def compared(self, route: RouteKey, version_id: str, rows: int, agreeing: int) -> None:
        """Count rows that a shadow has answered too."""
        with self._lock:
            tally = self._tally(route, version_id, "shadow")
            tally.rows_compared += rows
            tally.rows_agreeing += agreeing

    def dropped(self, route: RouteKey, version_id: str) -> None:
        """Count a call that a shadow was not asked about, since it is too slow to follow."""
        with self._lock:
            self._tally(route, version_id, "shadow").dropped += 1

    def recent(self) -> list[tuple[Seen, Tally]]:
        """Every tally of this window and the one before; older ones are forgotten."""
        oldest = self._window() - WINDOW_SECONDS
        with self._lock:
            for seen in [seen for seen in self._tallies if seen.window < oldest]:
                del self._tallies[seen]
            return [(seen, _copy(tally)) for seen, tally in self._tallies.items()]

    def _tally(self, route: RouteKey, version_id: str, role: Role) -> Tally:
        seen = Seen(route, version_id, role, self._window())
        return self._tallies.setdefault(seen, Tally())

    def _window(self) -> int:
        return int(self._clock()) // WINDOW_SECONDS * WINDOW_SECONDS


def breach(bounds: Bounds, tally: Tally, first: Tally) -> str | None:
    """Say how a version has left its bounds, compared with the first of the split, if it has."""
    if tally.requests < bounds.least_requests:
        return None
    if bounds.error_rate is not None and tally.error_rate > bounds.error_rate:
        return (
            f"{tally.errors} of {tally.requests} calls failed, the bound is {bounds.error_rate:.2%}"
        )
    p95 = tally.percentile(0.95)
    if p95 is None:
        return None
    if bounds.p95_seconds is not None and p95 > bounds.p95_seconds * GROWTH:
        return f"95 % of its answers took up to {p95:.3g} s, the bound is {bounds.p95_seconds:g} s"
    return _slower(bounds, p95, first.percentile(0.95))


def _slower(bounds: Bounds, p95: float, first: float | None) -> str | None:
    """Compare percentiles, each of which may be read a quarter too high."""
    if bounds.p95_ratio is None or first is None or p95 <= bounds.p95_ratio * first * GROWTH:
        return None
    return (
        f"95 % of its answers took up to {p95:.3g} s, of the first version's {first:.3g} s, "
        f"the bound is {bounds.p95_ratio:g} times that"
    )


def agreeing_rows(own: NDArray[Any], other: NDArray[Any]) -> int:
    """How many rows two versions answer alike: equal labels, or numbers that hardly differ."""
    if own.shape != other.shape or (own.dtype.kind == "f") != (other.dtype.kind == "f"):
        return 0
    if own.dtype.kind == "f":
        same = np.isclose(own, other, rtol=AGREEMENT, atol=0.0, equal_nan=True)
    else:
        same = np.asarray(own == other)
    return int(np.count_nonzero(same.reshape(len(own), -1).all(axis=1)))


def _bucket(seconds: float) -> int:
    if seconds <= FIRST_BUCKET_SECONDS:
        return 0
    return min(BUCKETS - 1, int(math.log(seconds / FIRST_BUCKET_SECONDS, GROWTH)))


def _copy(tally: Tally) -> Tally:
    copy = Tally()
    copy.add(tally)
    return copy
