"""manage.py usage"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import get_args

import click

from auth.usage import Dimension
from service.commands.operator import Operator
from service.commands.output import json_option, listing
from service.operations import usage as operations

DIMENSIONS = get_args(Dimension)
COLUMNS = ("key", "requests", "rows", "compute_ms")


class Day(click.ParamType[date]):
    """A day as YYYY-MM-DD."""

    name = "day"

    def convert(
        self, value: str | date, param: click.Parameter | None, ctx: click.Context | None
    ) -> date:
        """Read the day, or fail with the form expected."""
        if isinstance(value, date):
            return value
        try:
            return datetime.strptime(value, "%Y-%m-%d").replace(tzinfo=UTC).date()
        except ValueError:
            self.fail(f"{value!r} is no day; give YYYY-MM-DD", param, ctx)


@click.command()
@click.option("--tenant", "-t", help="One tenant; all without it.")
@click.option("--since", type=Day(), metavar="DAY", help="First day (UTC), YYYY-MM-DD.")
@click.option("--until", type=Day(), metavar="DAY", help="Last day (UTC), YYYY-MM-DD.")
@click.option("--by", type=click.Choice(DIMENSIONS), help="Group by; model with --tenant.")
@json_option
@click.pass_obj
def usage(
    operator: Operator,
    tenant: str | None,
    since: date | None,
    until: date | None,
    by: Dimension | None,
    *,
    as_json: bool,
) -> None:
    """Show requests, rows and compute time; of the last 30 days unless told otherwise."""
    if since and until and since > until:
        raise click.UsageError("--since is later than --until.")
    if tenant is None:
        found = operations.show_all_usage(
            operator.platform, operator.scope(), since=since, until=until, by=by or "tenant"
        )
        listing(found, ("tenant", *COLUMNS), as_json=as_json)
        return
    scope = operator.scope(tenant)
    sums = operations.show_usage(
        operator.platform, scope, since=since, until=until, by=by or "model"
    )
    listing(sums, COLUMNS, as_json=as_json)
