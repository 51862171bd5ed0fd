"""Writes what was collected: a file in the store first, then its entry in the index."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

import structlog

from config.database import Database
from config.sealing import Sealer
from models.errors import StoreUnavailable
from models.prediction_log.excerpts import Excerpt
from models.prediction_log.files import LogFiles
from models.prediction_log.parquet import write_segment
from models.prediction_log.segments import DAY_SECONDS, Segment, Segments, day_of, new_segment_id
from models.prediction_log.settings import LogSettings
from models.prediction_log.terms import LogRule

log = structlog.get_logger("sallyport.prediction_log")

# What becomes of the rows that are offered: written, or dropped because memory is `full`, because
# the day's bound is reached, because store or database `failed`, or because the log is `gone`.
Outcome = Literal["offered", "written", "full", "bound", "failed", "gone"]
Count = Callable[[Outcome, int], None]


@dataclass(frozen=True, slots=True)
class Batch:
    """Excerpts that make one file: of one log, version and method."""

    excerpts: tuple[Excerpt, ...]

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return sum(excerpt.rows for excerpt in self.excerpts)

    @property
    def size(self) -> int:
        """How much memory it takes."""
        return sum(excerpt.size for excerpt in self.excerpts)

    @property
    def first(self) -> Excerpt:
        """Any of its excerpts: they have log, version and method in common."""
        return self.excerpts[0]


@dataclass(frozen=True, slots=True)
class _Work:
    """A batch, the segment that it becomes, and what seals that."""

    batch: Batch
    segment: Segment
    sealer: Sealer


class SegmentWriter:
    """Makes segments of batches; whatever fails loses the rows concerned, and is counted.

    A segment is announced in the index, then stored, then shown. One that was announced by a
    process that ended is found by its expiry, with its file if there is one.
    """

    def __init__(
        self,
        database: Database,
        settings: LogSettings,
        segments: Segments,
        files: LogFiles,
        count: Count,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._settings = settings
        self._segments = segments
        self._files = files
        self._count = count
        self._clock = clock

    def write(self, batches: Sequence[Batch]) -> None:
        """Write batches, each to a file of its own; never raises."""
        stored, failed = [], []
        for work in self._announce(batches):
            segment = self._store(work)
            if segment is None:
                failed.append(work)
            else:
                stored.append(replace(work, segment=segment))
        self._show(stored, failed)

    def _announce(self, batches: Sequence[Batch]) -> list[_Work]:
        """Enter the batches that are wanted still and that the day has room for."""
        works: list[_Work] = []
        refused: list[tuple[Batch, Outcome]] = []
        try:
            with self._database.write() as session:
                for batch in batches:
                    kept = self._settings.kept(session, batch.first.rule, lock=True)
                    if kept is None:
                        refused.append((batch, "gone"))
                    elif not self._segments.has_room(session, kept.rule, rows=batch.rows):
                        refused.append((batch, "bound"))
                    else:
                        segment = self._segment(batch, kept.rule)
                        self._segments.announce(session, segment)
                        works.append(_Work(batch, segment, kept.sealer))
        except Exception as error:  # noqa: BLE001  nobody waits who could be told
            self._fail(batches, error)
            return []
        for batch, outcome in refused:
            self._count(outcome, batch.rows)
        return works

    def _store(self, work: _Work) -> Segment | None:
        try:
            content = write_segment(work.batch.excerpts)
            digest = hashlib.sha256(content).hexdigest()
            segment = replace(work.segment, bytes=len(content), digest=digest)
            self._files.put(segment, content, work.sealer)
        except Exception as error:  # noqa: BLE001  as above
            self._fail([work.batch], error)
            return None
        return segment

    def _show(self, stored: Sequence[_Work], failed: Sequence[_Work]) -> None:
        """Show what is stored, and take back what is not."""
        if not stored and not failed:
            return
        try:
            with self._database.write() as session:
                self._segments.forget(session, [work.segment for work in failed])
                shown = [self._segments.show(session, work.segment) for work in stored]
        except Exception as error:  # noqa: BLE001  as above; they expire as announced
            self._fail([work.batch for work in stored], error)
            return
        for work, there in zip(stored, shown, strict=True):
            self._count("written" if there else "gone", work.batch.rows)
            if not there:
                self._remove(work.segment)

    def _segment(self, batch: Batch, rule: LogRule) -> Segment:
        first, now = batch.first, self._clock()
        times = [excerpt.call.at for excerpt in batch.excerpts]
        return Segment(
            id=new_segment_id(now),
            tenant_id=rule.tenant_id,
            model_id=rule.model_id,
            log_id=rule.id,
            version=first.version.number,
            method=first.method,
            day=day_of(now),
            rows=batch.rows,
            bytes=0,
            digest="",
            first_at=min(times),
            last_at=max(times),
            created_at=now,
            expires_at=max(times) + rule.terms.retention_days * DAY_SECONDS,
        )

    def _fail(self, batches: Sequence[Batch], error: Exception) -> None:
        # Its name and no more: an error of the database may quote what was to be written.
        log.warning("rows of a prediction log were lost", reason=type(error).__name__)
        for batch in batches:
            self._count("failed", batch.rows)

    def _remove(self, segment: Segment) -> None:
        with suppress(StoreUnavailable):  # it is noise: its key is gone
            self._files.delete(segment)
