"""manage.py audit"""

from __future__ import annotations

from itertools import islice

import click

from auth.names import PLATFORM_TENANT
from auth.rows import everything
from service.commands.operator import Operator
from service.commands.output import advancing, json_option, listing, show
from service.operations import audit as operations

COLUMNS = ("sequence", "at", "actor", "action", "subject", "outcome", "details")
PAGE = 1000
MOST = 10**9


@click.group()
def audit() -> None:
    """The record of every change, a chain in which any later alteration shows."""


@audit.command("list")
@click.option("--tenant", "-t", help="One tenant; all without it.")
@click.option("--limit", type=click.IntRange(1, MOST), default=50, show_default=True)
@json_option
@click.pass_obj
def list_(operator: Operator, tenant: str | None, limit: int, *, as_json: bool) -> None:
    """List the newest records."""
    scope = operator.scope(tenant or PLATFORM_TENANT)
    records = everything(
        lambda cursor: operations.list_records(
            operator.platform,
            scope,
            cursor=cursor,
            limit=min(limit, PAGE - 1),
            every_tenant=tenant is None,
        )
    )
    listing(islice(records, limit), COLUMNS, as_json=as_json)


@audit.command()
@click.option("--head", metavar="COUNT:LINK", help="A head noted earlier, outside this machine.")
@json_option
@click.pass_obj
def verify(operator: Operator, head: str | None, *, as_json: bool) -> None:
    """Check every record, and print the head to note where nobody on this machine can write."""
    platform, scope = operator.platform, operator.scope()
    with advancing("verifying") as tell:
        found = operations.verify(platform, scope, noted=head, progress=tell)
    show({"records": found.count, "head": str(found)}, as_json=as_json)
