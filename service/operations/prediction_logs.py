"""Prediction logs: asked for, read on record, and removed when their time is over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Final

import structlog
from sqlalchemy.orm import Session

from auth.permissions import Permission
from auth.rows import Page
from auth.scope import Scope
from models.errors import LogNotFound, StoreUnavailable
from models.prediction_log.segments import Segment, is_segment_id
from models.prediction_log.settings import KeptLog, LogSetting
from models.prediction_log.terms import LogTerms
from service.bootstrap import Platform
from service.errors import InputMalformed
from service.operations.recording import recorded

EXPIRED_AT_ONCE: Final = 100
log = structlog.get_logger("sallyport.prediction_log")


@dataclass(frozen=True, kw_only=True, slots=True)
class LogView:
    """The terms of a model's log, and how much it holds."""

    model: str
    enabled: bool
    sample: float
    inputs: bool
    columns: tuple[str, ...] | None
    retention_days: int
    rows_per_day: int
    bytes_per_day: int
    created_by: str
    created_at: float
    segments: int
    rows: int
    bytes: int
    oldest_at: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentView:
    """One file of a log, in a listing."""

    id: str
    model: str
    version: int
    method: str
    rows: int
    bytes: int
    digest: str
    first_at: float
    last_at: float
    created_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """The Parquet file of a segment."""

    segment: SegmentView
    content: bytes


def show_log(platform: Platform, scope: Scope, name: str) -> LogView:
    """A model's log; raises ModelNotFound or LogNotFound."""
    scope.require(Permission.MODELS_READ, name)
    with platform.database.read() as session:
        setting = platform.prediction_logs.settings.show(session, scope, name)
        return _view(platform, session, name, setting)


def set_log(platform: Platform, scope: Scope, name: str, terms: LogTerms) -> LogView:
    """Log a model's predictions on these terms, which hold for what is logged already too."""
    logs = platform.prediction_logs
    with _changing(platform, scope, "models.log.set", name) as act:
        by = str(scope.principal)
        setting = logs.settings.set(act.session, scope, name, terms, created_by=by)
        logs.segments.retain(act.session, setting.rule)
        act.details |= _terms(setting)
        return _view(platform, act.session, name, setting)


def delete_log(platform: Platform, scope: Scope, name: str) -> None:
    """End a model's log, and destroy the key of what it holds; raises LogNotFound."""
    with _changing(platform, scope, "models.log.delete", name) as act:
        end_log(platform, act.session, scope, name)
    platform.database.forget_deleted()


def end_log(platform: Platform, session: Session, scope: Scope, name: str) -> None:
    """Destroy a log within a transaction; its files are noise, and go when the upkeep comes by."""
    rule = platform.prediction_logs.settings.delete(session, scope, name)
    platform.prediction_logs.segments.end(session, rule)


def end_any_log(platform: Platform, session: Session, scope: Scope, name: str) -> None:
    """Destroy the log of a model that is to go, if it has one."""
    try:
        end_log(platform, session, scope, name)
    except LogNotFound:
        return


def list_segments(
    platform: Platform,
    scope: Scope,
    name: str,
    *,
    cursor: str | None = None,
    limit: int = 100,
    since: float | None = None,
    until: float | None = None,
) -> Page[SegmentView]:
    """A page of a log's segments, oldest first; raises LogNotFound."""
    scope.require(Permission.PREDICTIONS_READ, name)
    if cursor is not None and not is_segment_id(cursor):
        raise InputMalformed({"/cursor": "not one that a page gave"})
    logs = platform.prediction_logs
    with platform.database.read() as session:
        logs.settings.show(session, scope, name)
        found = logs.segments.page(
            session, scope, name, after=cursor, since=since, until=until, limit=limit + 1
        )
    views = tuple(_segment(name, segment) for segment in found[:limit])
    return Page(views, views[-1].id if len(found) > limit else None)


def read_segment(platform: Platform, scope: Scope, name: str, segment_id: str) -> SegmentFile:
    """One segment as it was written; who read it is put on record before it is given away."""
    scope.require(Permission.PREDICTIONS_READ, name)
    with platform.database.read() as session:
        segment, kept = find_segment(platform, session, scope, name, segment_id)
    content = platform.prediction_logs.files.open(segment, kept.sealer)
    record_reading(platform, scope, name, {"segment": segment.id, "rows": segment.rows})
    return SegmentFile(_segment(name, segment), content)


def find_segment(
    platform: Platform, session: Session, scope: Scope, name: str, segment_id: str
) -> tuple[Segment, KeptLog]:
    """A segment with what opens it; raises LogNotFound."""
    logs = platform.prediction_logs
    rule = logs.settings.show(session, scope, name).rule
    segment = logs.segments.find(session, scope, name, segment_id)
    kept = logs.settings.kept(session, rule)
    if kept is None or segment.log_id != rule.id:
        raise LogNotFound(name, segment_id)
    return segment, kept


def record_reading(platform: Platform, scope: Scope, name: str, details: dict[str, object]) -> None:
    """Put on record that somebody reads what was logged: no change that a cache must see."""
    with platform.database.write() as session:
        platform.audit.append(
            session,
            actor=str(scope.principal),
            tenant_id=scope.tenant_id,
            action="models.log.read",
            subject=name,
            details=details,
        )


def remove_expired(platform: Platform) -> None:
    """Remove segments whose time is over, of whichever log: the files first, then what led there.

    One that cannot be removed now keeps its entry, and is tried again.
    """
    logs = platform.prediction_logs
    for segments in _expired(platform):
        try:
            for segment in segments:
                logs.files.delete(segment)
        except StoreUnavailable as error:
            log.warning("expired segments are left in the store", reason=error.problem)
            return
        with platform.database.write() as session:
            logs.segments.forget(session, segments)


def _expired(platform: Platform) -> Iterator[tuple[Segment, ...]]:
    while True:
        with platform.database.read() as session:
            found = platform.prediction_logs.segments.expired(session, limit=EXPIRED_AT_ONCE)
        if not found:
            return
        yield found


def _changing(platform: Platform, scope: Scope, action: str, name: str) -> Any:
    return recorded(platform, scope, Permission.MODELS_WRITE, action, name, model=name)


def _terms(setting: LogSetting) -> dict[str, object]:
    terms = setting.rule.terms
    return {field.name: getattr(terms, field.name) for field in fields(LogTerms)}


def _view(platform: Platform, session: Session, name: str, setting: LogSetting) -> LogView:
    kept = platform.prediction_logs.segments.kept(session, setting.rule)
    return LogView(
        model=name,
        **_terms(setting),  # type: ignore[arg-type]
        created_by=setting.created_by,
        created_at=setting.created_at,
        segments=kept.segments,
        rows=kept.rows,
        bytes=kept.bytes,
        oldest_at=kept.oldest_at,
    )


def _segment(name: str, segment: Segment) -> SegmentView:
    own = {field.name for field in fields(SegmentView)} - {"model"}
    return SegmentView(model=name, **{member: getattr(segment, member) for member in own})
