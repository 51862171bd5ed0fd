"""Intake jobs as their uploaders see them: listed, shown, waited for and cancelled."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from auth.permissions import Permission
from auth.rows import Page
from auth.scope import Scope
from models.errors import JobNotFound
from models.jobs import Entry, Job, made_at
from models.uploads import UploadPlace
from service.bootstrap import Platform
from service.operations.recording import recorded

POLL_SECONDS: Final = 0.1
DAY: Final = 86_400.0
ARRIVAL_SECONDS: Final = 3600.0  # an upload that is stored has a job long before


@dataclass(frozen=True, kw_only=True, slots=True)
class JobView:
    """A job: how far it has come, and what became of it."""

    id: str
    model: str
    state: str
    format: str | None
    digest: str
    size: int
    promote: bool
    alias: str | None
    note: str | None
    version: int | None
    problem: str | None
    created_by: str
    created_at: float
    updated_at: float
    log: tuple[Entry, ...]


def list_jobs(
    platform: Platform, scope: Scope, *, cursor: str | None = None, limit: int = 100
) -> Page[JobView]:
    """A page of the tenant's jobs for models that the scope may write, newest first."""
    with platform.database.read() as session:
        page = platform.jobs.list(session, scope, after=cursor, limit=limit)
    allowed = (job for job in page.items if scope.allows(Permission.MODELS_WRITE, job.model))
    return Page(tuple(map(view, allowed)), page.next)


def show_job(platform: Platform, scope: Scope, job_id: str) -> JobView:
    """One job; raises JobNotFound."""
    return view(_find(platform, scope, job_id))


def cancel_job(platform: Platform, scope: Scope, job_id: str) -> JobView:
    """End a job that waits, or ask whoever works on it to end it; one that ended stays so."""
    job = _find(platform, scope, job_id)
    if job.has_ended:
        return view(job)
    with recorded(
        platform, scope, Permission.MODELS_WRITE, "jobs.cancel", job_id, model=job.model
    ) as act:
        cancelled = platform.jobs.cancel(act.session, scope, job_id)
    if cancelled.has_ended:
        platform.uploads.delete(cancelled.place)
    return view(cancelled)


def await_job(platform: Platform, scope: Scope, job_id: str, *, seconds: float) -> JobView:
    """The job when it has ended, or as it is when the time is up."""
    until = time.monotonic() + seconds
    while True:
        job = _find(platform, scope, job_id)
        left = until - time.monotonic()
        if job.has_ended or left <= 0:
            return view(job)
        time.sleep(min(POLL_SECONDS, left))


def tidy(platform: Platform) -> None:
    """Forget jobs that ended long ago, and remove what interrupted uploads left in the store."""
    now, settings = platform.clock(), platform.settings
    old = now - settings.job_days * DAY
    with platform.database.write() as session:
        platform.jobs.purge(session, before=old)
        platform.local_trainings.expire(session, before=old, note="nobody went on with it")
    with platform.database.read() as session:
        tenants = platform.tenants.identifiers(session)
    for tenant_id in tenants:
        kept = platform.uploads.jobs(tenant_id)
        if not kept:
            continue
        with platform.database.read() as session:
            needed = platform.jobs.unfinished(session, tenant_id, kept)
        for job_id in kept - needed:
            if made_at(job_id) < now - ARRIVAL_SECONDS:
                platform.uploads.delete(UploadPlace(tenant_id, job_id))


def view(job: Job) -> JobView:
    """The job as its uploader may see it."""
    return JobView(
        id=job.id,
        model=job.model,
        state=job.state,
        format=job.order.format or None,
        digest=job.digest,
        size=job.size,
        promote=job.order.promote,
        alias=job.order.alias,
        note=job.order.note or None,
        version=job.version,
        problem=job.problem or None,
        created_by=job.created_by,
        created_at=job.created_at,
        updated_at=job.updated_at,
        log=job.log,
    )


def _find(platform: Platform, scope: Scope, job_id: str) -> Job:
    with platform.database.read() as session:
        job = platform.jobs.show(session, scope, job_id)
    if not scope.allows(Permission.MODELS_WRITE, job.model):
        raise JobNotFound(job_id)
    return job
