"""Writes what was collected: a file in the store first, then its entry in the index."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import starmap, zip_longest
from typing import Literal

import structlog
from sqlalchemy.orm import Session

from config.database import Database
from config.sealing import Sealer
from models.errors import StoreUnavailable
from models.prediction_log.excerpts import Excerpt
from models.prediction_log.files import LogFiles
from models.prediction_log.parquet import write_segment
from models.prediction_log.segments import Segment, Segments, day_of, expiry, new_segment_id
from models.prediction_log.settings import LogSettings

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
class _Stored:
    batch: Batch
    segment: Segment


class SegmentWriter:
    """Makes segments of batches; whatever fails loses the rows concerned, and is counted."""

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
        stored = [each for each in starmap(self._store, self._admit(batches)) if each is not None]
        if stored:
            self._enter(stored)

    def _admit(self, batches: Sequence[Batch]) -> list[tuple[Batch, Sealer]]:
        """The batches that are wanted still, each with what seals it."""
        found: list[tuple[Batch, Sealer]] = []
        refused: list[tuple[Batch, Outcome]] = []
        try:
            with self._database.read() as session:
                for batch in batches:
                    kept = self._settings.kept(session, batch.first.rule)
                    if kept is None:
                        refused.append((batch, "gone"))
                    elif not self._segments.has_room(session, kept.rule, rows=batch.rows, size=0):
                        refused.append((batch, "bound"))
                    else:
                        found.append((batch, kept.sealer))
        except Exception as error:  # noqa: BLE001  nobody waits who could be told
            self._fail(batches, error)
            return []
        for batch, outcome in refused:
            self._count(outcome, batch.rows)
        return found

    def _store(self, batch: Batch, sealer: Sealer) -> _Stored | None:
        try:
            content = write_segment(batch.excerpts)
            segment = self._segment(batch, content)
            self._files.put(segment, content, sealer)
        except Exception as error:  # noqa: BLE001  as above
            self._fail([batch], error)
            return None
        return _Stored(batch, segment)

    def _enter(self, stored: Sequence[_Stored]) -> None:
        """Show what is stored, unless its log has gone or a day has become full meanwhile."""
        try:
            with self._database.write() as session:
                outcomes = [self._add(session, each) for each in stored]
        except Exception as error:  # noqa: BLE001  as above
            self._fail([each.batch for each in stored], error)
            outcomes = []
        for each, outcome in zip_longest(stored, outcomes):
            if outcome is not None:
                self._count(outcome, each.batch.rows)
            if outcome != "written":
                self._remove(each.segment)

    def _add(self, session: Session, stored: _Stored) -> Outcome:
        """Enter one segment, on the terms that are in force by now."""
        kept = self._settings.kept(session, stored.batch.first.rule)
        if kept is None:
            return "gone"
        segment = stored.segment
        if not self._segments.has_room(session, kept.rule, rows=segment.rows, size=segment.bytes):
            return "bound"
        self._segments.add(session, replace(segment, expires_at=expiry(segment, kept.rule)))
        return "written"

    def _segment(self, batch: Batch, content: bytes) -> Segment:
        first, now = batch.first, self._clock()
        times = [excerpt.call.at for excerpt in batch.excerpts]
        return Segment(
            id=new_segment_id(now),
            tenant_id=first.rule.tenant_id,
            model_id=first.rule.model_id,
            log_id=first.rule.id,
            version=first.version.number,
            method=first.method,
            day=day_of(now),
            rows=batch.rows,
            bytes=len(content),
            digest=hashlib.sha256(content).hexdigest(),
            first_at=min(times),
            last_at=max(times),
            created_at=now,
            expires_at=now,
        )

    def _fail(self, batches: Sequence[Batch], error: Exception) -> None:
        # Its name and no more: an error of the database may quote what was to be written.
        log.warning("rows of a prediction log were lost", reason=type(error).__name__)
        for batch in batches:
            self._count("failed", batch.rows)

    def _remove(self, segment: Segment) -> None:
        with suppress(StoreUnavailable):  # then the upkeep finds it
            self._files.delete(segment)
