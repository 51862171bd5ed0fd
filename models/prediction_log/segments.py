"""The index of prediction logs: which segments there are, of whom, and until when."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from models.errors import LogNotFound
from models.prediction_log.terms import LogRule
from models.records import LogSegmentRow
from models.register.entries import find_model
from models.register.version_keys import TenantScope

DAY_SECONDS: Final = 86_400
ANNOUNCED: Final = ""  # the digest of what is not stored yet
ANNOUNCED_SECONDS: Final = 3600.0
PREFIX: Final = "seg_"
SEGMENT_ID: Final = re.compile(r"seg_[0-9a-f]{28}")
TIME_DIGITS: Final = 12  # of Unix milliseconds, in hexadecimal: identifiers sort by their making


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """One file of a log: rows that one version answered by one method.

    `bytes` are those of the Parquet file, `digest` its SHA-256; times are Unix seconds.
    """

    id: str
    tenant_id: str
    model_id: str
    log_id: str
    version: int
    method: str
    day: str
    rows: int
    bytes: int
    digest: str
    first_at: float
    last_at: float
    created_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class Kept:
    """How much a log holds; `oldest_at` is absent of an empty one."""

    segments: int
    rows: int
    bytes: int
    oldest_at: float | None


def new_segment_id(now: float) -> str:
    """An identifier that no other segment has; of two, the later made is the greater."""
    return f"{PREFIX}{int(now * 1000):0{TIME_DIGITS}x}{secrets.token_hex(8)}"


def is_segment_id(text: str) -> bool:
    """Whether a text may be the identifier of a segment; any other is not asked a database for."""
    return SEGMENT_ID.fullmatch(text) is not None


def day_of(at: float) -> str:
    """The day in UTC that the bounds of a day count by."""
    return datetime.fromtimestamp(at, UTC).date().isoformat()


class Segments:
    """Keeps the index; what has expired is not shown, whether or not it is still there."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def has_room(self, session: Session, rule: LogRule, *, rows: int) -> bool:
        """Whether so many more rows are within what a day may have."""
        used = self._used(session, (*_of(rule), LogSegmentRow.day == day_of(self._clock())))
        terms = rule.terms
        return used.rows + rows <= terms.rows_per_day and used.bytes < terms.bytes_per_day

    def announce(self, session: Session, segment: Segment) -> None:
        """Enter a segment before it is stored; unless it is shown then, it expires soon."""
        values = {field.name: getattr(segment, field.name) for field in fields(Segment)}
        values |= {"digest": ANNOUNCED, "expires_at": segment.created_at + ANNOUNCED_SECONDS}
        session.add(LogSegmentRow(**values))
        session.flush()

    def show(self, session: Session, segment: Segment) -> bool:
        """Show a segment that is stored; False if it is not announced any more."""
        announced = update(LogSegmentRow).where(
            LogSegmentRow.id == segment.id, LogSegmentRow.expires_at > 0
        )
        members = ("bytes", "digest", "expires_at")
        values = {name: getattr(segment, name) for name in members}
        return bool(session.scalar(announced.values(values).returning(LogSegmentRow.id)))

    def page(
        self,
        session: Session,
        scope: TenantScope,
        name: str,
        *,
        after: str | None = None,
        since: float | None = None,
        until: float | None = None,
        limit: int = 100,
    ) -> tuple[Segment, ...]:
        """Segments of a model, oldest first; those with rows from one time to another."""
        query = self._shown(session, scope, name)
        if after is not None:
            query = query.where(LogSegmentRow.id > after)
        if since is not None:
            query = query.where(LogSegmentRow.last_at >= since)
        if until is not None:
            query = query.where(LogSegmentRow.first_at < until)
        rows = session.scalars(query.order_by(LogSegmentRow.id).limit(limit))
        return tuple(map(_view, rows))

    def find(self, session: Session, scope: TenantScope, name: str, segment_id: str) -> Segment:
        """One segment; raises LogNotFound."""
        query = self._shown(session, scope, name).where(LogSegmentRow.id == segment_id)
        row = session.scalars(query).one_or_none() if is_segment_id(segment_id) else None
        if row is None:
            raise LogNotFound(name, segment_id)
        return _view(row)

    def kept(self, session: Session, rule: LogRule) -> Kept:
        """How much a log holds."""
        return self._used(session, (*_of(rule), *self._visible()))

    def expired(self, session: Session, *, limit: int) -> tuple[Segment, ...]:
        """Segments whose time is over, whosever they are."""
        query = select(LogSegmentRow).where(LogSegmentRow.expires_at <= self._clock())
        return tuple(map(_view, session.scalars(query.limit(limit))))

    def forget(self, session: Session, segments: Iterable[Segment]) -> None:
        """Take segments out of the index, with their files removed already."""
        ids = [segment.id for segment in segments]
        session.execute(delete(LogSegmentRow).where(LogSegmentRow.id.in_(ids)))

    def end(self, session: Session, rule: LogRule) -> None:
        """Let all of a log expire at once; what removes expired files removes them."""
        session.execute(update(LogSegmentRow).where(*_of(rule)).values(expires_at=0.0))

    def retain(self, session: Session, rule: LogRule) -> None:
        """Keep what is there as long as the terms say now."""
        span = rule.terms.retention_days * DAY_SECONDS
        shown = (*_of(rule), LogSegmentRow.digest != ANNOUNCED)
        until = LogSegmentRow.last_at + span
        session.execute(update(LogSegmentRow).where(*shown).values(expires_at=until))

    def _shown(self, session: Session, scope: TenantScope, name: str) -> Any:
        model = find_model(session, scope, name)
        return select(LogSegmentRow).where(
            LogSegmentRow.model_id == model.id,
            LogSegmentRow.tenant_id == scope.tenant_id,
            *self._visible(),
        )

    def _visible(self) -> tuple[Any, ...]:
        return LogSegmentRow.digest != ANNOUNCED, LogSegmentRow.expires_at > self._clock()

    def _used(self, session: Session, conditions: tuple[Any, ...]) -> Kept:
        query = select(
            func.count(),
            func.coalesce(func.sum(LogSegmentRow.rows), 0),
            func.coalesce(func.sum(LogSegmentRow.bytes), 0),
            func.min(LogSegmentRow.first_at),
        )
        segments, rows, size, oldest = session.execute(query.where(*conditions)).one()
        return Kept(segments, int(rows), int(size), oldest)


def _of(rule: LogRule) -> tuple[Any, ...]:
    return (
        LogSegmentRow.model_id == rule.model_id,
        LogSegmentRow.log_id == rule.id,
        LogSegmentRow.tenant_id == rule.tenant_id,
    )


def _view(row: LogSegmentRow) -> Segment:
    return Segment(**{field.name: getattr(row, field.name) for field in fields(Segment)})
