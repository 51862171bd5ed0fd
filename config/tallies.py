"""What is counted of one prediction, in all of its metrics at once.

prometheus_client takes 1 µs for a count and 2 µs for a duration, of which a prediction has nine.
A tally adds to the same metrics in 2 µs for all: it knows the places of its numbers, in files of
this process's own beside that library's. They are of its format, so they are summed, and outlive
their process, as all others do.
"""

from __future__ import annotations

import os
import threading
import weakref
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from prometheus_client import Counter, Histogram

from config import metric_files
from config.metric_files import Cells, counter_key, histogram_keys

# What the time of every prediction is spent on.
STAGES: Final = ("authenticate", "decode", "admit", "bind", "compute", "encode")
SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
STAGE_SECONDS: Final = (0.00005, 0.0002, 0.0005, 0.001, 0.0025, 0.01, 0.05, 0.25, 1, 10)


class Kind(NamedTuple):
    """The labels of predictions that are counted together."""

    endpoint: str
    method: str
    status: str
    dialect: str
    engine: str


class Tally(Protocol):
    """Counts predictions of one kind."""

    def add(self, *, rows: int, total: float, spent: Sequence[float]) -> None:
        """Count one of so many rows, and the seconds it took: in all, and in each of STAGES."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """The metrics of predictions; the bounds of buckets are SECONDS and STAGE_SECONDS."""

    requests: Counter
    rows: Counter
    seconds: Histogram
    stage_seconds: Histogram


class LoneTally:
    """Counts in the memory of a process that shares its metrics with none."""

    def __init__(self, metrics: Predictions, kind: Kind) -> None:
        self._requests = metrics.requests.labels(kind.endpoint, kind.method, kind.status)
        self._rows = metrics.rows.labels(kind.engine, kind.dialect)
        self._seconds = metrics.seconds.labels(kind.endpoint, kind.dialect)
        self._stages = [metrics.stage_seconds.labels(kind.dialect, stage) for stage in STAGES]

    def add(self, *, rows: int, total: float, spent: Sequence[float]) -> None:
        """Count one of so many rows, and the seconds it took: in all, and in each of STAGES."""
        self._requests.inc()
        self._rows.inc(rows)
        self._seconds.observe(total)
        for stage, seconds in zip(self._stages, spent, strict=True):
            stage.observe(seconds)


class _Files:
    """Where a process counts, and what its threads take turns by."""

    def __init__(self, folder: Path) -> None:
        self.adding, self.making = threading.Lock(), threading.Lock()
        self.counts = Cells(folder, "counter")
        self.times = Cells(folder, "histogram")

    def duration(
        self, histogram: Histogram, bounds: Sequence[float], **labels: str
    ) -> tuple[int, list[int]]:
        """Where a duration's sum is, and where the counts of its buckets are."""
        total, *buckets = self.times.places(*histogram_keys(histogram, bounds, **labels))
        return total, buckets


class SharedTally:
    """Counts in the files of a process, whose metrics are summed with those of others."""

    def __init__(self, metrics: Predictions, kind: Kind, files: _Files) -> None:
        self._metrics, self._kind = metrics, kind
        self.place(files)

    def place(self, files: _Files) -> None:
        """Count in these from now on."""
        endpoint, method, status, dialect, engine = self._kind
        metrics = self._metrics
        self._adding = files.adding
        self._requests, self._rows = files.counts.places(
            counter_key(metrics.requests, endpoint=endpoint, method=method, status=status),
            counter_key(metrics.rows, engine=engine, dialect=dialect),
        )
        self._total, self._totals = files.duration(
            metrics.seconds, SECONDS, endpoint=endpoint, dialect=dialect
        )
        self._stages = [
            files.duration(metrics.stage_seconds, STAGE_SECONDS, dialect=dialect, stage=stage)
            for stage in STAGES
        ]
        self._counts, self._times = files.counts.numbers, files.times.numbers

    def add(self, *, rows: int, total: float, spent: Sequence[float]) -> None:
        """Count one of so many rows, and the seconds it took: in all, and in each of STAGES."""
        counts, times = self._counts, self._times
        # A thread interrupted between reading a number and writing it would undo what others added.
        # A lock that is free takes 0.1 µs; numbers of each thread's own would outlive the threads.
        # Who sums reads a number as it was or as it is: eight aligned bytes are written at once.
        with self._adding:
            counts[self._requests] += 1.0
            counts[self._rows] += rows
            times[self._total] += total
            times[self._totals[bisect_left(SECONDS, total)]] += 1.0
            for (at, buckets), took in zip(self._stages, spent, strict=True):
                times[at] += took
                times[buckets[bisect_left(STAGE_SECONDS, took)]] += 1.0


class SharedTallies:
    """The tallies of a process that shares its metrics."""

    def __init__(self, folder: Path, metrics: Predictions) -> None:
        self._folder, self._metrics = folder, metrics
        self._made: dict[Kind, SharedTally] = {}
        self._files = _Files(folder)
        myself = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _leave_inherited(myself()))

    def of(self, kind: Kind) -> SharedTally:
        """The tally of a kind, which is made if it is missing."""
        found = self._made.get(kind)
        if found is None:
            with self._files.making:
                found = self._made.get(kind) or SharedTally(self._metrics, kind, self._files)
                self._made[kind] = found
        return found

    def leave_inherited(self) -> None:
        """Count in files of this process, and no more in those of the one it was forked from."""
        self._files = _Files(self._folder)
        if self._made:
            metric_files.join(self._folder)
        for tally in self._made.values():
            tally.place(self._files)


def _leave_inherited(tallies: SharedTallies | None) -> None:
    if tallies is not None:
        tallies.leave_inherited()
