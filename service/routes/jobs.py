"""Intake jobs of the caller's tenant."""

from __future__ import annotations

from typing import Any

from auth.permissions import Permission
from service.operations import jobs
from service.pages import linked, paging
from service.parsing import Blueprint
from service.schemas import PageSchema
from service.schemas.jobs import JobSchema
from service.security import current_platform, current_scope, requires

bp = Blueprint("jobs", __name__, url_prefix="/jobs", description="Intakes of uploaded models.")


@bp.get("")
@requires(Permission.MODELS_WRITE)
@bp.arguments(PageSchema, location="query")
@bp.response(200, JobSchema(many=True))
def list_jobs(query: dict[str, Any]) -> Any:
    """List the tenant's jobs, newest first, a page at a time."""
    return linked(jobs.list_jobs(current_platform(), current_scope(), **paging(query)))


@bp.get("/<string:job_id>")
@requires(Permission.MODELS_WRITE)
@bp.response(200, JobSchema)
def show_job(job_id: str) -> jobs.JobView:
    """Show one job with its log."""
    return jobs.show_job(current_platform(), current_scope(), job_id)


@bp.delete("/<string:job_id>")
@requires(Permission.MODELS_WRITE)
@bp.response(202, JobSchema)
def cancel_job(job_id: str) -> jobs.JobView:
    """Cancel a job: one that waits ends at once, one that is worked on soon."""
    return jobs.cancel_job(current_platform(), current_scope(), job_id)
