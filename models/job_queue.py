"""Who works on which upload; jobs of each kind have a queue of their own.

A job is worked on under a lease. Whoever holds it renews it; when it runs out, or its holder is
seen to be gone, anybody may take the job over. The number of attempts fences: a holder that was
thought dead finds that the number moved on, and changes nothing any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, cast

import orjson
from sqlalchemy import CursorResult, case, delete, func, select, update
from sqlalchemy.orm import Session

from config import holders
from models.errors import JobNotFound, LeaseLost
from models.jobs import (
    OPEN,
    OPEN_INTAKES,
    OPEN_TRAININGS,
    Job,
    JobPage,
    Kind,
    Order,
    State,
    TrainingOrder,
    read_job,
    write_end,
    write_log,
    write_progress,
)
from models.records import JobRow
from models.register.version_keys import TenantScope

CANDIDATES: Final = 1000
CLAIMS: Final = 0x53414C4C59434C4D  # the number of the lock among those of a PostgreSQL database


class Jobs:
    """Keeps the jobs of one kind of every tenant, and hands them out to be worked on."""

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        *,
        kind: Kind = "intake",
        is_gone: Callable[[str], bool] = holders.is_gone,
    ) -> None:
        self._clock = clock
        self._kind = kind
        self._is_gone = is_gone
        self._open = (JobRow.kind == kind) & JobRow.state.in_(OPEN)
        # Whether any has not ended, which nearly always says no, and is asked all the time.
        self.any_open = select(JobRow.id).where(self._open).limit(1)

    def add(
        self,
        session: Session,
        scope: TenantScope,
        job_id: str,
        order: Order | TrainingOrder,
        *,
        created_by: str,
        principal_id: str,
    ) -> Job:
        """Put an upload that is complete in line."""
        now = self._clock()
        row = JobRow(
            id=job_id,
            tenant_id=scope.tenant_id,
            model=order.model,
            state=State.RECEIVED,
            format=order.format,
            options=orjson.dumps(order.as_json()).decode(),
            log="[]",
            source_digest=order.digest,
            size=sum(part.size for part in order.parts.values()),
            created_by=created_by,
            principal_id=principal_id,
            created_at=now,
            updated_at=now,
            holder="",
            lease_until=0.0,
            attempts=0,
            problem="",
            cancel=False,
            kind=self._kind,
            progress="",
            revision=0,
        )
        session.add(row)
        write_log(row, now, State.RECEIVED, f"{row.size} bytes")
        session.flush()
        return read_job(row)

    def open_of(self, session: Session, scope: TenantScope) -> int:
        """How many jobs of the tenant have not ended."""
        mine = select(func.count()).where(JobRow.tenant_id == scope.tenant_id, self._open)
        return session.scalar(mine) or 0

    def open_by_state(self, session: Session) -> dict[str, int]:
        """How many jobs of all tenants have not ended, by how far they are."""
        counts = select(JobRow.state, func.count()).where(self._open)
        found = {str(state): int(n) for state, n in session.execute(counts.group_by(JobRow.state))}
        states = OPEN_INTAKES if self._kind == "intake" else OPEN_TRAININGS
        return dict.fromkeys(map(str, states), 0) | found

    def show(self, session: Session, scope: TenantScope, job_id: str) -> Job:
        """One job of the tenant; raises JobNotFound."""
        return read_job(self._find(session, scope, job_id))

    def list(
        self, session: Session, scope: TenantScope, *, after: str | None = None, limit: int = 100
    ) -> JobPage:
        """The tenant's jobs, newest first, following the one named `after`."""
        own = JobRow.tenant_id == scope.tenant_id, JobRow.kind == self._kind
        mine = select(JobRow).where(*own)
        if after is not None:
            mine = mine.where(JobRow.id < after)
        rows = session.scalars(mine.order_by(JobRow.id.desc()).limit(limit + 1)).all()
        shown = tuple(read_job(row) for row in rows[:limit])
        return JobPage(shown, shown[-1].id if len(rows) > limit else None)

    def idle(self, session: Session, scope: TenantScope) -> tuple[Job, ...]:
        """The tenant's open jobs that nobody works on, oldest first."""
        mine = select(JobRow).where(JobRow.tenant_id == scope.tenant_id, self._open)
        now = self._clock()
        return tuple(
            read_job(row)
            for row in session.scalars(mine.order_by(JobRow.id))
            if self._is_idle(row, now)
        )

    def cancel(self, session: Session, scope: TenantScope, job_id: str) -> Job:
        """End a job that waits at once, and ask whoever works on one to end it."""
        row = self._find(session, scope, job_id, lock=True)
        if row.state in OPEN:
            row.cancel = True
            if row.lease_until <= self._clock():
                write_end(row, self._clock(), State.CANCELLED, "cancelled before it began")
        return read_job(row)

    def waits(self, session: Session, *, most: int) -> bool:
        """Whether there is a job to claim where a tenant may have `most` worked on at once."""
        now = self._clock()
        if self._next(session, now, most):
            return True
        return any(self._is_gone(holder) for _, holder in self._leased(session, now))

    def claim(self, session: Session, *, holder: str, seconds: float, most: int) -> Job | None:
        """Lease the next job that nobody works on: of the tenant that is worked for least.

        No tenant has more than `most` of its jobs worked on at once, so that slow ones of one
        tenant do not keep everybody else's waiting.
        """
        _one_after_another(session)
        now = self._clock()
        for job_id, its_holder in self._leased(session, now):
            if self._is_gone(its_holder):
                dead = update(JobRow).where(JobRow.id == job_id, JobRow.holder == its_holder)
                session.execute(dead.values(lease_until=0.0, holder=""))
        for job_id in self._next(session, now, most):
            if self._lease(session, job_id, holder=holder, now=now, seconds=seconds):
                return read_job(session.scalars(select(JobRow).where(JobRow.id == job_id)).one())
        return None

    def take(
        self, session: Session, scope: TenantScope, job_id: str, *, holder: str, seconds: float
    ) -> Job | None:
        """Lease one job of the tenant; None if somebody works on it, or it has ended."""
        row = self._find(session, scope, job_id, lock=True)
        now = self._clock()
        if self._is_idle(row, now):  # one that was given back may be put off, but not for this
            row.lease_until = 0.0
            session.flush()
        if not self._lease(session, job_id, holder=holder, now=now, seconds=seconds):
            return None
        session.refresh(row)
        return read_job(row)

    def renew(self, session: Session, job: Job, *, seconds: float) -> bool:
        """Hold on to a job, and say whether to go on with it; raises LeaseLost."""
        row = self._held(session, job)
        row.lease_until = self._clock() + seconds
        return not row.cancel

    def tell(self, session: Session, job: Job, stage: State, note: str) -> None:
        """Write down how far a job has come; raises LeaseLost."""
        row = self._held(session, job)
        row.state = stage
        write_log(row, self._clock(), stage, note)

    def progressed(self, session: Session, job: Job, said: Mapping[str, Any]) -> None:
        """Write down how far a training is; raises LeaseLost."""
        write_progress(self._held(session, job), self._clock(), said)

    def end(
        self, session: Session, job: Job, state: State, note: str, *, version: int | None = None
    ) -> Job:
        """Write down what became of a job; raises LeaseLost."""
        row = self._held(session, job)
        row.version_number = version
        write_end(row, self._clock(), state, note)
        return read_job(row)

    def registered(self, session: Session, job: Job, version: int) -> None:
        """Write down that a job has become a version; raises LeaseLost."""
        self._held(session, job).version_number = version

    def give_back(
        self, session: Session, job: Job, note: str, *, counts: bool, seconds: float = 0.0
    ) -> None:
        """Let somebody begin the job anew, after some seconds; raises LeaseLost."""
        row = self._held(session, job)
        row.lease_until = self._clock() + seconds if seconds else 0.0
        row.holder = ""
        row.attempts = row.attempts if counts else row.attempts - 1
        row.state = State.RECEIVED
        write_log(row, self._clock(), State.RECEIVED, note)

    def purge(self, session: Session, *, before: float) -> int:
        """Forget jobs of every kind that ended before a time; returns how many."""
        ended = JobRow.state.not_in(OPEN), JobRow.updated_at < before
        return _changes(session, delete(JobRow).where(*ended))

    def expire(self, session: Session, *, before: float, note: str) -> int:
        """End open jobs that nobody has worked on since a time; returns how many."""
        idle = self._open, JobRow.updated_at < before, JobRow.lease_until <= self._clock()
        rows = session.scalars(select(JobRow).where(*idle).with_for_update()).all()
        for row in rows:
            write_end(row, self._clock(), State.CANCELLED, note)
        return len(rows)

    def unfinished(self, session: Session, tenant_id: str, job_ids: Iterable[str]) -> set[str]:
        """Those of the tenant's jobs, of every kind, whose uploads are still needed."""
        wanted = select(JobRow.id).where(
            JobRow.tenant_id == tenant_id, JobRow.id.in_(tuple(job_ids)), JobRow.state.in_(OPEN)
        )
        return set(session.scalars(wanted))

    def delete_tenant(self, session: Session, scope: TenantScope) -> None:
        """Remove every job of the tenant, of every kind."""
        session.execute(delete(JobRow).where(JobRow.tenant_id == scope.tenant_id))

    def _leased(self, session: Session, now: float) -> tuple[tuple[str, str], ...]:
        leased = select(JobRow.id, JobRow.holder).where(
            self._open, JobRow.lease_until > now, JobRow.holder != ""
        )
        return tuple((job_id, holder) for job_id, holder in session.execute(leased))

    def _held(self, session: Session, job: Job) -> JobRow:
        mine = select(JobRow).where(JobRow.id == job.id, JobRow.attempts == job.attempts)
        mine = mine.where(JobRow.state.in_(OPEN)).with_for_update()
        row = session.scalars(mine.execution_options(populate_existing=True)).one_or_none()
        if row is None:
            raise LeaseLost(job.id)
        return row

    def _next(self, session: Session, now: float, most: int) -> tuple[str, ...]:
        """Jobs that may be claimed, in the order of their tenants' turns."""
        turn = self._turns(session, now)
        at_most = [tenant for tenant, (count, _) in turn.items() if count >= most]
        waiting = (
            select(JobRow.id, JobRow.tenant_id)
            .where(self._open, JobRow.lease_until <= now)
            .where(JobRow.tenant_id.not_in(at_most))
            .order_by(JobRow.id)
            .limit(CANDIDATES)
        )
        candidates = session.execute(waiting).all()
        in_turn = sorted(candidates, key=lambda row: turn.get(row[1], (0, 0.0)))
        return tuple(job_id for job_id, _tenant in in_turn)

    def _turns(self, session: Session, now: float) -> dict[str, tuple[int, float]]:
        """How many jobs of each tenant are worked on, and when one last was."""
        leased = self._open & (JobRow.lease_until > now) & (JobRow.holder != "")
        working = func.sum(case((leased, 1), else_=0))
        begun = select(JobRow.tenant_id, working, func.max(JobRow.updated_at))
        begun = begun.where(JobRow.kind == self._kind, JobRow.attempts > 0)
        begun = begun.group_by(JobRow.tenant_id)
        return {tenant: (int(count), last) for tenant, count, last in session.execute(begun)}

    def _is_idle(self, row: JobRow, now: float) -> bool:
        """Whether nobody works on a job."""
        return row.lease_until <= now or not row.holder or self._is_gone(row.holder)

    def _lease(
        self, session: Session, job_id: str, *, holder: str, now: float, seconds: float
    ) -> bool:
        """Take an open job that nobody holds; whether it was there to take."""
        taken = (
            update(JobRow)
            .where(JobRow.id == job_id, self._open, JobRow.lease_until <= now)
            .values(
                holder=holder,
                lease_until=now + seconds,
                attempts=JobRow.attempts + 1,
                updated_at=now,
            )
        )
        return _changes(session, taken) > 0

    def _find(
        self, session: Session, scope: TenantScope, job_id: str, *, lock: bool = False
    ) -> JobRow:
        own = JobRow.tenant_id == scope.tenant_id, JobRow.kind == self._kind
        mine = select(JobRow).where(*own, JobRow.id == job_id)
        row = session.scalars(mine.with_for_update() if lock else mine).one_or_none()
        if row is None:
            raise JobNotFound(job_id)
        return row


def _one_after_another(session: Session) -> None:
    """Let no two transactions count a tenant's jobs and add to them at once.

    SQLite needs nothing more than BEGIN IMMEDIATE; PostgreSQL would let both count the same.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(CLAIMS))).all()


def _changes(session: Session, statement: Any) -> int:
    return cast("CursorResult[Any]", session.execute(statement)).rowcount
