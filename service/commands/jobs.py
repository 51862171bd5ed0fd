"""manage.py jobs"""

from __future__ import annotations

import click

from auth.rows import everything
from service.commands.operator import Operator
from service.commands.output import json_option, listing, show, tenant_option
from service.operations import jobs as operations

COLUMNS = ("id", "model", "state", "version", "created_by", "created_at", "problem")


@click.group()
def jobs() -> None:
    """Intakes of models that were uploaded over HTTPS."""


@jobs.command("list")
@tenant_option
@json_option
@click.pass_obj
def list_(operator: Operator, tenant: str, *, as_json: bool) -> None:
    """List the jobs of a tenant, newest first."""
    platform, scope = operator.platform, operator.scope(tenant)
    found = everything(
        lambda cursor: operations.list_jobs(platform, scope, cursor=cursor, limit=1000)
    )
    listing(found, COLUMNS, as_json=as_json)


@jobs.command("show")
@click.argument("job")
@tenant_option
@json_option
@click.pass_obj
def show_(operator: Operator, job: str, tenant: str, *, as_json: bool) -> None:
    """Show one job with its log."""
    found = operations.show_job(operator.platform, operator.scope(tenant), job)
    show(found, as_json=as_json)


@jobs.command()
@click.argument("job")
@tenant_option
@json_option
@click.pass_obj
def cancel(operator: Operator, job: str, tenant: str, *, as_json: bool) -> None:
    """Cancel a job: one that waits ends at once, one that is worked on soon."""
    cancelled = operations.cancel_job(operator.platform, operator.scope(tenant), job)
    show(cancelled, as_json=as_json)
