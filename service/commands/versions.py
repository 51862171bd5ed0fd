"""manage.py models: what is done with versions and their aliases."""

from __future__ import annotations

from typing import Any, cast

import click

from auth.rows import everything
from models.names import CHAMPION
from service.commands.operator import Operator
from service.commands.output import (
    View,
    json_option,
    listing,
    show,
    tenant_option,
    yes_option,
)
from service.operations import aliases, versions
from service.operations import models as operations

VERSIONS = ("version", "state", "pinned", "aliases", "estimator", "engine", "size", "created_at")
ALIASES = ("alias", "version", "previous")

alias_option = click.option("--alias", default=CHAMPION, show_default=True, help="Which alias.")
reason_option = click.option("--reason", default="", help="Why, for the record.")


def of_version(view: View) -> View:
    """Add what every command on one version takes: its model, its number or alias, the tenant."""
    wrapped: Any = click.pass_obj(view)
    for add in (json_option, tenant_option, click.argument("version"), click.argument("name")):
        wrapped = add(wrapped)
    return cast(View, wrapped)


@click.command("versions")
@click.argument("name")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@tenant_option
@json_option
@click.pass_obj
def list_versions(operator: Operator, name: str, tenant: str, *, limit: int, as_json: bool) -> None:
    """List the latest versions of a model, newest first."""
    scope = operator.scope(tenant)
    page = versions.list_versions(operator.platform, scope, name, limit=limit)
    listing(page.items, VERSIONS, as_json=as_json)


@click.command("aliases")
@click.argument("name")
@tenant_option
@json_option
@click.pass_obj
def list_aliases(operator: Operator, name: str, tenant: str, *, as_json: bool) -> None:
    """List the aliases of a model, each with where a rollback would lead."""
    platform, scope = operator.platform, operator.scope(tenant)
    found = everything(
        lambda cursor: aliases.list_aliases(platform, scope, name, cursor=cursor, limit=1000)
    )
    listing(found, ALIASES, as_json=as_json)


@click.command()
@click.argument("name")
@click.argument("version")
@alias_option
@reason_option
@click.option("--override", default="", metavar="REASON", help="Pass by the gate, on record.")
@tenant_option
@json_option
@click.pass_obj
def promote(
    operator: Operator,
    name: str,
    version: str,
    tenant: str,
    *,
    alias: str,
    reason: str,
    override: str,
    as_json: bool,
) -> None:
    """Point an alias at a VERSION, by number or alias, that is shown to open first."""
    scope = operator.scope(tenant)
    move = aliases.promote(
        operator.platform, scope, name, alias, version, reason=reason, override=override
    )
    show(move, as_json=as_json)


@click.command()
@click.argument("name")
@alias_option
@reason_option
@tenant_option
@json_option
@click.pass_obj
def rollback(
    operator: Operator, name: str, tenant: str, *, alias: str, reason: str, as_json: bool
) -> None:
    """Point an alias back where it pointed before."""
    scope = operator.scope(tenant)
    move = aliases.roll_back(operator.platform, scope, name, alias, reason=reason)
    show(move, as_json=as_json)


@click.command()
@of_version
def retire(operator: Operator, name: str, version: str, tenant: str, *, as_json: bool) -> None:
    """Take a VERSION out of service that nothing points at."""
    _change(operator, name, version, tenant, as_json=as_json, state="retired")


@click.command()
@of_version
def activate(operator: Operator, name: str, version: str, tenant: str, *, as_json: bool) -> None:
    """Put a VERSION into service again that was retired or has crashed too often."""
    _change(operator, name, version, tenant, as_json=as_json, state="active")


@click.command()
@of_version
def pin(operator: Operator, name: str, version: str, tenant: str, *, as_json: bool) -> None:
    """Protect a VERSION from deletion."""
    _change(operator, name, version, tenant, as_json=as_json, pinned=True)


@click.command()
@of_version
def unpin(operator: Operator, name: str, version: str, tenant: str, *, as_json: bool) -> None:
    """End the protection of a VERSION."""
    _change(operator, name, version, tenant, as_json=as_json, pinned=False)


@click.command()
@click.argument("name")
@click.option("--version", help="Delete this version, not the whole model.")
@yes_option
@tenant_option
@json_option
@click.pass_obj
def delete(
    operator: Operator, name: str, version: str | None, tenant: str, *, yes: bool, as_json: bool
) -> None:
    """Delete a version, or a model with all of its versions; keys are destroyed."""
    scope = operator.scope(tenant)
    found = versions.show_version(operator.platform, scope, name, version)
    what = f"the model {name!r}" if version is None else f"{name!r} version {found.version}"
    if not yes:
        click.confirm(f"Delete {what}? This cannot be undone", abort=True)
    if version is None:
        show(operations.delete_model(operator.platform, scope, name, confirm=name), as_json=as_json)
    else:
        show(
            versions.delete_version(operator.platform, scope, name, found.version),
            as_json=as_json,
        )


def _change(
    operator: Operator, name: str, version: str, tenant: str, *, as_json: bool, **change: Any
) -> None:
    scope = operator.scope(tenant)
    changed = versions.change_version(operator.platform, scope, name, version, **change)
    show(changed, as_json=as_json)


COMMANDS = (
    activate,
    delete,
    list_aliases,
    list_versions,
    pin,
    promote,
    retire,
    rollback,
    unpin,
)
