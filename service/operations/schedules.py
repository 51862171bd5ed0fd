"""Trainings that are run again and again by the platform itself, as `manage.py train` runs one.

A web worker only sees that something is due, and leaves a mark; the supervisor then starts a
command beside the workers, with what is left of the machine.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from auth.errors import AuthError
from auth.permissions import Permission
from auth.rows import everything
from auth.scope import Scope
from auth.tenants import Tenant
from config.holders import this_process
from models.errors import DriftUnknown, LogNotFound, ModelNotFound, ModelsError, ScheduleRefused
from models.schedules import Outcome, Schedule
from models.training.spec import Spec, read_spec
from service.bootstrap import Platform
from service.errors import ServiceError
from service.operations.drift import Period, show_drift
from service.operations.recording import recorded
from service.operations.tenants import operator_scope
from service.pidfile import SCHEDULES_DUE

LEASE_SECONDS: Final = 120.0
RENEW_SECONDS: Final = 30.0
VERDICTS: Final = ("none", "moderate", "severe")

log = structlog.get_logger("sallyport.schedules")


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training came to; a `version` if it was registered."""

    version: int | None
    note: str


# Trains by a spec, whose paths are relative to the folder; raises what keeps it from a model.
Train = Callable[[Platform, Scope, Spec, Path], Trained]


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleView:
    """A scheduled training as it is shown."""

    model: str
    every_seconds: float
    when_drift: str | None
    next_at: float
    last_at: float | None
    last_outcome: str | None
    last_note: str | None
    last_version: int | None
    failures: int
    target: str
    folder: str
    created_by: str
    created_at: float


@dataclass(frozen=True, slots=True)
class Run:
    """What became of one schedule that was due."""

    tenant: str
    model: str
    outcome: Outcome
    version: int | None
    note: str


def set_schedule(
    platform: Platform,
    scope: Scope,
    spec: Spec,
    folder: Path,
    *,
    every_seconds: float,
    when_drift: str = "",
) -> ScheduleView:
    """Train by this spec so often, or only then if the log has drifted; raises ScheduleRefused."""
    if not spec.data.path and not spec.data.sql:
        remedy = "add data.path, or data.sql with data.database"
        raise ScheduleRefused("the spec does not say where the table is", remedy)
    with _changing(platform, scope, "training.schedule.set", spec.model) as act:
        found = platform.schedules.set(
            act.session,
            scope,
            spec.model,
            spec.as_json(),
            folder=str(folder),
            every_seconds=every_seconds,
            when_drift=when_drift,
            created_by=str(scope.principal),
        )
        act.details |= {"every_seconds": every_seconds, "when_drift": when_drift or None}
    return _view(found)


def list_schedules(platform: Platform, scope: Scope) -> list[ScheduleView]:
    """The schedules of the tenant for models that the scope may train, by model."""
    with platform.database.read() as session:
        found = platform.schedules.list(session, scope)
    return [_view(each) for each in found if scope.allows(Permission.TRAINING, each.model)]


def remove_schedule(platform: Platform, scope: Scope, model: str) -> ScheduleView:
    """End a schedule; raises ScheduleNotFound."""
    with _changing(platform, scope, "training.schedule.delete", model) as act:
        return _view(platform.schedules.delete(act.session, scope, model))


def run_due(platform: Platform, train: Train) -> Iterator[Run]:
    """Run all that is due and that nobody else runs, one after the other."""
    holder = this_process()
    with platform.database.read() as session:
        due = platform.schedules.due(session)
    for schedule in due:
        with platform.database.write() as session:
            is_ours = platform.schedules.take(
                session, schedule, holder=holder, seconds=LEASE_SECONDS
            )
        if is_ours:
            yield _run(platform, schedule, holder, train)


def announce_due(platform: Platform) -> None:
    """Leave a mark for the supervisor if something is due; it looks at no database."""
    with platform.database.read() as session:
        is_due = bool(platform.schedules.due(session))
    if is_due:
        (platform.settings.state / SCHEDULES_DUE).touch(mode=0o600)


def _run(platform: Platform, schedule: Schedule, holder: str, train: Train) -> Run:
    with platform.database.read() as session:
        tenant = _tenant_of(platform, session, schedule)
    with _held(platform, schedule, holder):
        outcome, made = _outcome(platform, tenant, schedule, train)
    _end(platform, schedule, holder, outcome, made)
    return Run(tenant.name, schedule.model, outcome, made.version, made.note)


def _outcome(
    platform: Platform, tenant: Tenant, schedule: Schedule, train: Train
) -> tuple[Outcome, Trained]:
    try:
        if tenant.state != "active":
            return "skipped", Trained(None, f"the tenant is {tenant.state}")
        return _attempt(platform, operator_scope(platform, tenant.name), schedule, train)
    except (ModelsError, AuthError, ServiceError, OSError) as error:
        return "failed", Trained(None, str(error))
    except Exception as error:  # whatever it was, the next schedule has its turn
        log.exception("a scheduled training failed", model=schedule.model)
        return "failed", Trained(None, type(error).__name__)


def _attempt(
    platform: Platform, scope: Scope, schedule: Schedule, train: Train
) -> tuple[Outcome, Trained]:
    found = _drift(platform, scope, schedule) if schedule.when_drift else None
    if found is not None and VERDICTS.index(found) < VERDICTS.index(schedule.when_drift):
        return "skipped", Trained(None, f"the drift is {found}, and not {schedule.when_drift}")
    made = train(platform, scope, read_spec(schedule.spec), Path(schedule.folder))
    return "trained", made


def _drift(platform: Platform, scope: Scope, schedule: Schedule) -> str | None:
    """The drift since the last time, or of as long; None where it cannot be known.

    Then it is trained all the same: the model is new, or not one of which that is on record.
    """
    since = platform.clock() - schedule.every_seconds
    period = Period(since=min(since, schedule.last_at or since))
    try:
        return show_drift(platform, scope, schedule.model, period=period).verdict
    except (DriftUnknown, LogNotFound, ModelNotFound) as error:
        log.info("a drift is not known", model=schedule.model, reason=str(error))
        return None


def _end(
    platform: Platform, schedule: Schedule, holder: str, outcome: Outcome, made: Trained
) -> None:
    with platform.database.write() as session:
        platform.schedules.end(
            session, schedule, outcome, made.note, holder=holder, version=made.version
        )
        platform.audit.append(
            session,
            actor="schedule",
            tenant_id=schedule.tenant_id,
            action="training.schedule.run",
            subject=schedule.model,
            outcome="refused" if outcome == "failed" else "done",
            details={"outcome": outcome, "version": made.version, "note": made.note[:255]},
        )


def _tenant_of(platform: Platform, session: Session, schedule: Schedule) -> Tenant:
    every = everything(lambda after: platform.tenants.list(session, after=after))
    return next(tenant for tenant in every if tenant.id == schedule.tenant_id)


@contextmanager
def _held(platform: Platform, schedule: Schedule, holder: str) -> Iterator[None]:
    """Keep the schedule from everybody else while the block runs."""
    done = threading.Event()

    def renew() -> None:
        while not done.wait(RENEW_SECONDS):
            try:
                with platform.database.write() as session:
                    platform.schedules.renew(
                        session, schedule, holder=holder, seconds=LEASE_SECONDS
                    )
            except OperationalError:
                log.warning("a lease could not be renewed", model=schedule.model)

    keeper = threading.Thread(target=renew, name="schedule", daemon=True)
    keeper.start()
    try:
        yield
    except BaseException:  # an interrupt: it is due as before
        with platform.database.write() as session:
            platform.schedules.release(session, schedule, holder=holder)
        raise
    finally:
        done.set()
        keeper.join()


def _changing(platform: Platform, scope: Scope, action: str, model: str) -> Any:
    scope.require(Permission.MODELS_WRITE, model)
    return recorded(platform, scope, Permission.TRAINING, action, model, model=model)


def _view(found: Schedule) -> ScheduleView:
    return ScheduleView(
        model=found.model,
        every_seconds=found.every_seconds,
        when_drift=found.when_drift or None,
        next_at=found.next_at,
        last_at=found.last_at,
        last_outcome=found.last_outcome or None,
        last_note=found.last_note or None,
        last_version=found.last_version,
        failures=found.failures,
        target=str(found.spec.get("target", "")),
        folder=found.folder,
        created_by=found.created_by,
        created_at=found.created_at,
    )
