"""Trainings that are run again and again: when each is due, who works on it, how the last ended."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from models.errors import ScheduleNotFound, ScheduleRefused
from models.names import MODEL_NAME
from models.records import ScheduleRow
from models.register.version_keys import TenantScope

Outcome = Literal["trained", "skipped", "failed"]
LEAST_SECONDS: Final = 60.0
MOST_SECONDS: Final = 366 * 86_400.0
FIRST_RETRY_SECONDS: Final = 900.0  # after a failure; twice that after the next
MOST_DOUBLINGS: Final = 10
MOST_NOTE: Final = 2_000
DRIFTS: Final = ("moderate", "severe")


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """One scheduled training; times are Unix seconds, `failures` those since it last went well."""

    tenant_id: str
    model: str
    spec: dict[str, Any]
    folder: str
    every_seconds: float
    when_drift: str
    next_at: float
    last_at: float | None
    last_outcome: str
    last_note: str
    last_version: int | None
    failures: int
    lease_until: float
    created_by: str
    created_at: float


class Schedules:
    """Keeps at most one for each model; whoever works on one holds it for a while."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def set(
        self,
        session: Session,
        scope: TenantScope,
        model: str,
        spec: dict[str, Any],
        *,
        folder: str,
        every_seconds: float,
        when_drift: str,
        created_by: str,
    ) -> Schedule:
        """Train so often from now on, first after that time; raises ScheduleRefused."""
        if not LEAST_SECONDS <= every_seconds <= MOST_SECONDS:
            problem = f"every {every_seconds:g} s is not from a minute to a year"
            raise ScheduleRefused(problem, "say how often, as 12h or 7d")
        now = self._clock()
        row = self._row(session, scope, model) or ScheduleRow(
            tenant_id=scope.tenant_id,
            model=model,
            last_outcome="",
            last_note="",
            holder="",
            lease_until=0.0,
        )
        row.spec, row.folder = orjson.dumps(spec).decode(), folder
        row.every_seconds, row.when_drift = every_seconds, when_drift
        row.next_at, row.failures = now + every_seconds, 0
        row.created_by, row.created_at = created_by, now
        session.add(row)
        session.flush()
        return _view(row)

    def show(self, session: Session, scope: TenantScope, model: str) -> Schedule:
        """One schedule; raises ScheduleNotFound."""
        row = self._row(session, scope, model)
        if row is None:
            raise ScheduleNotFound(model)
        return _view(row)

    def list(self, session: Session, scope: TenantScope) -> tuple[Schedule, ...]:
        """The tenant's schedules, by model."""
        query = select(ScheduleRow).where(ScheduleRow.tenant_id == scope.tenant_id)
        return tuple(map(_view, session.scalars(query.order_by(ScheduleRow.model))))

    def delete(self, session: Session, scope: TenantScope, model: str) -> Schedule:
        """End a schedule; raises ScheduleNotFound. What is under way goes on."""
        found = self.show(session, scope, model)
        session.execute(delete(ScheduleRow).where(*_key(found)))
        return found

    def delete_tenant(self, session: Session, scope: TenantScope) -> None:
        """End every schedule of the tenant."""
        session.execute(delete(ScheduleRow).where(ScheduleRow.tenant_id == scope.tenant_id))

    def due(self, session: Session) -> tuple[Schedule, ...]:
        """What is due and nobody works on, of any tenant, the longest overdue first."""
        now = self._clock()
        query = select(ScheduleRow).where(ScheduleRow.next_at <= now, ScheduleRow.lease_until < now)
        return tuple(map(_view, session.scalars(query.order_by(ScheduleRow.next_at))))

    def take(self, session: Session, found: Schedule, *, holder: str, seconds: float) -> bool:
        """Hold what is due for so long; False if somebody else has taken it, or it has changed."""
        now = self._clock()
        taken = session.execute(
            update(ScheduleRow)
            .where(
                *_key(found),
                ScheduleRow.lease_until < now,
                ScheduleRow.next_at == found.next_at,
                ScheduleRow.created_at == found.created_at,
            )
            .values(holder=holder, lease_until=now + seconds)
        )
        return bool(taken.rowcount)  # type: ignore[attr-defined]

    def renew(self, session: Session, found: Schedule, *, holder: str, seconds: float) -> bool:
        """Hold it longer; False if it is not held any more."""
        renewed = session.execute(
            update(ScheduleRow)
            .where(*_key(found), ScheduleRow.holder == holder)
            .values(lease_until=self._clock() + seconds)
        )
        return bool(renewed.rowcount)  # type: ignore[attr-defined]

    def release(self, session: Session, found: Schedule, *, holder: str) -> None:
        """Leave it, as due as it was, to whoever looks next."""
        session.execute(
            update(ScheduleRow)
            .where(*_key(found), ScheduleRow.holder == holder)
            .values(holder="", lease_until=0.0)
        )

    def end(
        self,
        session: Session,
        found: Schedule,
        outcome: Outcome,
        note: str,
        *,
        holder: str,
        version: int | None = None,
    ) -> bool:
        """Note how it ended, and when it is due again; False if it is not held any more.

        A failure is tried again soon, and later after each further one, but never more seldom than
        the schedule says. No number of failures ends a schedule.
        """
        now = self._clock()
        failures = found.failures + 1 if outcome == "failed" else 0
        known = {} if version is None else {"last_version": version}
        ended = session.execute(
            update(ScheduleRow)
            .where(*_key(found), ScheduleRow.holder == holder)
            .values(
                last_at=now,
                last_outcome=outcome,
                last_note=note[:MOST_NOTE],
                failures=failures,
                next_at=_next(found, now, failures),
                holder="",
                lease_until=0.0,
                **known,
            )
        )
        return bool(ended.rowcount)  # type: ignore[attr-defined]

    def _row(self, session: Session, scope: TenantScope, model: str) -> ScheduleRow | None:
        if not MODEL_NAME.fullmatch(model):
            return None  # a text that no model has, and that a database may not take
        return session.get(ScheduleRow, (scope.tenant_id, model))


def _next(found: Schedule, now: float, failures: int) -> float:
    every = found.every_seconds
    if failures:
        return now + min(every, FIRST_RETRY_SECONDS * 2.0 ** min(failures - 1, MOST_DOUBLINGS))
    missed = max(0, math.floor((now - found.next_at) / every))
    return found.next_at + (missed + 1) * every


def _key(found: Schedule) -> tuple[Any, ...]:
    return (ScheduleRow.tenant_id == found.tenant_id, ScheduleRow.model == found.model)


def _view(row: ScheduleRow) -> Schedule:
    return Schedule(
        tenant_id=row.tenant_id,
        model=row.model,
        spec=orjson.loads(row.spec),
        folder=row.folder,
        every_seconds=row.every_seconds,
        when_drift=row.when_drift,
        next_at=row.next_at,
        last_at=row.last_at,
        last_outcome=row.last_outcome,
        last_note=row.last_note,
        last_version=row.last_version,
        failures=row.failures,
        lease_until=row.lease_until,
        created_by=row.created_by,
        created_at=row.created_at,
    )
