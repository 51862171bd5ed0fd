"""manage.py tenants"""

from __future__ import annotations

import click

from auth.plans import DEFAULT_PLAN, PLANS
from auth.rows import everything
from service.commands.operator import Operator
from service.commands.output import json_option, listing, show, yes_option
from service.operations import tenants as operations

COLUMNS = ("name", "state", "plan", "created_at", "id")


@click.group()
def tenants() -> None:
    """Customers of the platform, each walled off from the others."""


@tenants.command()
@click.argument("name")
@click.option("--plan", type=click.Choice(PLANS), default=DEFAULT_PLAN, show_default=True)
@json_option
@click.pass_obj
def create(operator: Operator, name: str, plan: str, *, as_json: bool) -> None:
    """Create a tenant."""
    show(operations.create_tenant(operator.platform, operator.scope(), name, plan), as_json=as_json)


@tenants.command("list")
@json_option
@click.pass_obj
def list_(operator: Operator, *, as_json: bool) -> None:
    """List every tenant."""
    scope = operator.scope()
    items = everything(
        lambda after: operations.list_tenants(operator.platform, scope, after=after, limit=1000)
    )
    listing(items, COLUMNS, as_json=as_json)


@tenants.command("show")
@click.argument("name")
@json_option
@click.pass_obj
def show_(operator: Operator, name: str, *, as_json: bool) -> None:
    """Show one tenant."""
    show(operations.show_tenant(operator.platform, operator.scope(), name), as_json=as_json)


@tenants.command()
@click.argument("name")
@json_option
@click.pass_obj
def suspend(operator: Operator, name: str, *, as_json: bool) -> None:
    """Refuse the tenant's tokens and logins at once."""
    show(operations.suspend_tenant(operator.platform, operator.scope(), name), as_json=as_json)


@tenants.command()
@click.argument("name")
@json_option
@click.pass_obj
def resume(operator: Operator, name: str, *, as_json: bool) -> None:
    """Admit a suspended tenant again."""
    show(operations.resume_tenant(operator.platform, operator.scope(), name), as_json=as_json)


@tenants.command()
@click.argument("name")
@yes_option
@json_option
@click.pass_obj
def delete(operator: Operator, name: str, *, yes: bool, as_json: bool) -> None:
    """Delete a tenant with its accounts, models and data key; its audit records stay."""
    scope = operator.scope()
    operations.show_tenant(operator.platform, scope, name)
    if not yes:
        click.confirm(f"Delete the tenant {name!r}? This cannot be undone", abort=True)
    show(operations.delete_tenant(operator.platform, scope, name), as_json=as_json)
