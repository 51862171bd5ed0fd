"""Trainings as those see them who asked for them: listed, shown, cancelled, and their reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from auth.permissions import Permission
from auth.rows import Page
from auth.scope import Scope
from models.errors import JobNotFound, ReportNotFound
from models.jobs import Entry, Job
from models.names import Reference
from service.bootstrap import Platform
from service.operations.recording import recorded
from service.operations.version_files import read_file

PROGRESS: Final = ("phase", "done", "total", "note", "seconds")


@dataclass(frozen=True, kw_only=True, slots=True)
class ProgressView:
    """How far a training is: its phase, steps of it, and how long it has taken in all."""

    phase: str
    done: int
    total: int
    note: str
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingView:
    """A training: how far it has come, what columns are taken for, what leads, what became of it.

    `report` are the lines on data that was refused.
    """

    id: str
    model: str
    state: str
    progress: ProgressView | None
    columns: tuple[Mapping[str, Any], ...]
    leaderboard: tuple[Mapping[str, Any], ...]
    digest: str
    size: int
    promote: bool
    version: int | None
    problem: str | None
    report: tuple[str, ...]
    created_by: str
    created_at: float
    updated_at: float
    log: tuple[Entry, ...]


def list_trainings(
    platform: Platform, scope: Scope, *, cursor: str | None = None, limit: int = 100
) -> Page[TrainingView]:
    """A page of the tenant's trainings of models that the scope may train, newest first."""
    with platform.database.read() as session:
        page = platform.trainings.list(session, scope, after=cursor, limit=limit)
    allowed = (job for job in page.items if scope.allows(Permission.TRAINING, job.model))
    return Page(tuple(map(view, allowed)), page.next)


def show_training(platform: Platform, scope: Scope, job_id: str) -> TrainingView:
    """One training; raises JobNotFound."""
    return view(find(platform, scope, job_id))


def cancel_training(platform: Platform, scope: Scope, job_id: str) -> TrainingView:
    """End a training that waits, or ask whoever works on it to end it; one that ended stays so."""
    job = find(platform, scope, job_id)
    if job.has_ended:
        return view(job)
    permission = Permission.TRAINING
    with recorded(platform, scope, permission, "training.cancel", job_id, model=job.model) as act:
        cancelled = platform.trainings.cancel(act.session, scope, job_id)
        if cancelled.has_ended:
            platform.training_results.forget(act.session, job_id)
    if cancelled.has_ended:
        platform.uploads.delete(cancelled.place)
        platform.telemetry.trainings.labels(str(cancelled.state)).inc()
    return view(cancelled)


def read_of_training(platform: Platform, scope: Scope, job_id: str, role: str) -> bytes:
    """What is told of the version that a training has become; raises ReportNotFound."""
    job = find(platform, scope, job_id)
    if job.version is None:
        raise ReportNotFound(f"the training {job_id}")
    return _read(platform, scope, job.model, job.version, role)


def read_of_version(
    platform: Platform, scope: Scope, model: str, version: Reference, role: str
) -> bytes:
    """What is told of a version that was trained here; raises ReportNotFound."""
    scope.require(Permission.MODELS_READ, model)
    return _read(platform, scope, model, version, role)


def find(platform: Platform, scope: Scope, job_id: str) -> Job:
    """A training of the tenant of a model that the scope may train; raises JobNotFound."""
    with platform.database.read() as session:
        job = platform.trainings.show(session, scope, job_id)
    if not scope.allows(Permission.TRAINING, job.model):
        raise JobNotFound(job_id)
    return job


def view(job: Job) -> TrainingView:
    """The training as whoever asked for it may see it."""
    said = job.progress
    is_told = all(name in said for name in PROGRESS)
    return TrainingView(
        id=job.id,
        model=job.model,
        state=job.state,
        progress=ProgressView(**{name: said[name] for name in PROGRESS}) if is_told else None,
        columns=tuple(said.get("columns", ())),
        leaderboard=tuple(said.get("leaderboard", ())),
        digest=job.digest,
        size=job.size,
        promote=job.training.promote,
        version=job.version,
        problem=job.problem or None,
        report=tuple(said.get("report", ())),
        created_by=job.created_by,
        created_at=job.created_at,
        updated_at=job.updated_at,
        log=job.log,
    )


def _read(platform: Platform, scope: Scope, model: str, version: Reference, role: str) -> bytes:
    with platform.database.read() as session:
        found = platform.registry.find(session, scope, model, version).kept()
    content = read_file(platform, found, role)
    if content is None:
        raise ReportNotFound(f"version {found.number} of {model!r}")
    return content
