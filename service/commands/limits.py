"""manage.py limits"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from auth.plans import LIMITS, MOST, PLANS
from service.commands.operator import Operator
from service.commands.output import json_option, show, tenant_option
from service.operations import plans as operations


@click.group()
def limits() -> None:
    """How much a tenant may use: its plan, and what was set besides."""


@limits.command("show")
@tenant_option
@json_option
@click.pass_obj
def show_(operator: Operator, tenant: str, *, as_json: bool) -> None:
    """Show the limits in force for a tenant."""
    show(operations.show_limits(operator.platform, operator.scope(tenant)), as_json=as_json)


def limit_options(view: Callable[..., Any]) -> Callable[..., Any]:
    """Add one option for each limit that there is."""
    for name, limit in reversed(list(LIMITS.items())):
        option = f"--{name.replace('_', '-')}"
        number = click.IntRange(1, MOST)
        view = click.option(option, name, type=number, metavar="N", help=limit.meaning)(view)
    return view


@limits.command("set")
@tenant_option
@click.option("--model", help="Set the limits of this model only.")
@click.option("--plan", type=click.Choice(PLANS), help="Move the tenant to another plan.")
@limit_options
@click.option(
    "--reset",
    multiple=True,
    metavar="NAME",
    type=click.Choice([name.replace("_", "-") for name in LIMITS]),
    help="Go back to the plan's limit; may be repeated.",
)
@json_option
@click.pass_obj
def set_(
    operator: Operator,
    /,
    tenant: str,
    model: str | None,
    plan: str | None,
    reset: tuple[str, ...],
    *,
    as_json: bool,
    **numbers: int | None,
) -> None:
    """Set limits of a tenant, or of one model; every worker follows at once."""
    values = {name: number for name, number in numbers.items() if number is not None}
    removed = dict.fromkeys(name.replace("-", "_") for name in reset)
    _refuse_contradictions(values.keys() & removed.keys(), model, plan)
    if not (values or removed or plan):
        raise click.UsageError("Give at least one limit, --reset NAME or --plan.")
    scope = operator.scope(tenant)
    if plan:
        result = operations.set_plan(operator.platform, scope, plan)
    if values or removed:
        result = operations.set_limits(
            operator.platform, scope, values={**values, **removed}, model=model
        )
    show(result, as_json=as_json)


def _refuse_contradictions(twice: set[str], model: str | None, plan: str | None) -> None:
    if twice:
        raise click.UsageError(f"{', '.join(sorted(twice))}: either set it or --reset it.")
    if model is not None and plan is not None:
        raise click.UsageError("A plan is the tenant's: give --plan without --model.")
