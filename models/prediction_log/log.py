"""The log of one worker: a bounded queue, and a thread that makes files of what is in it.

A prediction waits for none of this. What does not fit is dropped and counted, what fails in the
thread is counted there, and a store that hangs holds up the thread alone. Whoever kills the worker
loses what is in memory: at most what came within the last minute.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from numpy.typing import NDArray

from models.prediction_log.excerpts import Call, Excerpt, Key, Offer, Sampler
from models.prediction_log.terms import LogRule
from models.prediction_log.writing import Batch, Count
from models.tables import Features, row_count
from models.versions import Version

MOST_BYTES: Final = 32 * 1024**2  # of all that waits in one worker
MOST_TENANT_BYTES: Final = MOST_BYTES // 4
LOOK_SECONDS: Final = 0.25  # a thread that looks by itself costs less than one that is woken
FILE_ROWS: Final = 20_000
FILE_BYTES: Final = 4 * 1024**2
FILE_SECONDS: Final = 60.0
STOP_SECONDS: Final = 5.0
REMEMBERED: Final = 1_000

Write = Callable[[list[Batch]], None]


class PredictionLog:
    """Takes what is offered and has it written, some time; its thread begins with the first."""

    def __init__(
        self,
        write: Write,
        count: Count,
        *,
        sampler: Sampler | None = None,
        file_seconds: float = FILE_SECONDS,
    ) -> None:
        self._write = write
        self._count = count
        self._sampler = sampler or Sampler()
        self._file_seconds = file_seconds
        self._kept: dict[tuple[LogRule, str], tuple[int, ...]] = {}
        self._waiting: deque[Excerpt] = deque()
        self._bytes: Counter[str] = Counter()  # by tenant, of what waits and what is being written
        self._total = 0
        self._changed = threading.Condition()
        self._flushing = False
        self._stopped = False
        self._thread: threading.Thread | None = None

    def offer(
        self,
        rule: LogRule,
        version: Version,
        call: Call,
        features: Features,
        answers: Mapping[str, NDArray[Any]],
    ) -> None:
        """Log some of the rows, by chance; returns at once and never raises."""
        try:
            self._offer(rule, version, call, features, answers)
        except Exception:  # noqa: BLE001  an answer is not lost for the sake of its record
            self._count("failed", row_count(features) * len(answers))

    @property
    def waiting_bytes(self) -> int:
        """How much memory waits to be written, or is being written."""
        return self._total

    def flush(self, seconds: float = STOP_SECONDS) -> bool:
        """Have everything written now; says whether that was done in time."""
        with self._changed:
            if not self._total:
                return True
            self._flushing = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._total, seconds)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Write what waits, if the store takes it in time, and end the thread."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(seconds)

    def _offer(
        self,
        rule: LogRule,
        version: Version,
        call: Call,
        features: Features,
        answers: Mapping[str, NDArray[Any]],
    ) -> None:
        drawn = self._sampler.draw(row_count(features), rule.terms.sample)
        if not len(drawn):
            return
        offer = Offer(rule, version, call, features, self._kept_columns(rule, version))
        for method, answer in answers.items():
            self._count("offered", len(drawn))
            positions = self._sampler.thin(drawn, offer.most_rows(answer))
            # Nothing is copied that would be dropped.
            has_room = len(positions) > 0 and self._has_room(rule.tenant_id, 0)
            taken = self._take(offer.cut(positions, method, answer)) if has_room else 0
            if taken < len(drawn):
                self._count("full", len(drawn) - taken)

    def _take(self, cut: Excerpt) -> int:
        """Put an excerpt into the queue; how many of its rows there was room for."""
        tenant = cut.rule.tenant_id
        with self._changed:
            if not self._has_room(tenant, cut.size):
                return 0
            self._begin()
            self._waiting.append(cut)
            self._bytes[tenant] += cut.size
            self._total += cut.size
        return cut.rows

    def _has_room(self, tenant_id: str, size: int) -> bool:
        fits = self._bytes[tenant_id] + size <= MOST_TENANT_BYTES
        return fits and self._total + size <= MOST_BYTES and not self._stopped

    def _kept_columns(self, rule: LogRule, version: Version) -> tuple[int, ...]:
        key = (rule, version.id)
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= REMEMBERED:
                self._kept.clear()
            found = self._kept[key] = rule.terms.kept_columns(version.signature)
        return found

    def _begin(self) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
            thread.start()
            self._thread = thread

    def _run(self) -> None:
        shelf = _Shelf(self._file_seconds)
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._flushing or self._stopped, LOOK_SECONDS)
                while self._waiting:
                    shelf.add(self._waiting.popleft())
                everything = self._flushing or self._stopped
                stopped = self._stopped
            due = shelf.take(everything=everything)
            if due:
                self._write(due)
                self._release(due)
            if stopped:
                return

    def _release(self, written: list[Batch]) -> None:
        with self._changed:
            for batch in written:
                tenant = batch.first.rule.tenant_id
                self._bytes[tenant] -= batch.size
                self._total -= batch.size
                if not self._bytes[tenant]:
                    del self._bytes[tenant]
            self._flushing = self._flushing and self._total > 0
            self._changed.notify_all()


class _Shelf:
    """Excerpts sorted by the file that they will be in; held by the thread alone."""

    def __init__(self, file_seconds: float) -> None:
        self._file_seconds = file_seconds
        self._parts: defaultdict[Key, list[Excerpt]] = defaultdict(list)
        self._sizes: Counter[Key] = Counter()
        self._rows: Counter[Key] = Counter()
        self._since: dict[Key, float] = {}

    def add(self, cut: Excerpt) -> None:
        """Put an excerpt where it belongs."""
        self._since.setdefault(cut.key, time.monotonic())
        self._parts[cut.key].append(cut)
        self._sizes[cut.key] += cut.size
        self._rows[cut.key] += cut.rows

    def take(self, *, everything: bool) -> list[Batch]:
        """The batches that are large or old enough, or all of them."""
        now = time.monotonic()
        due = [key for key in self._since if everything or self._is_due(key, now)]
        return [self._batch(key) for key in due]

    def _is_due(self, key: Key, now: float) -> bool:
        large = self._sizes[key] >= FILE_BYTES or self._rows[key] >= FILE_ROWS
        return large or now - self._since[key] >= self._file_seconds

    def _batch(self, key: Key) -> Batch:
        del self._since[key], self._sizes[key], self._rows[key]
        return Batch(tuple(self._parts.pop(key)))
