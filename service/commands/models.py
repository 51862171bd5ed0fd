"""manage.py models"""

from __future__ import annotations

import click

from auth.rows import everything
from service.commands import prediction_logs, versions
from service.commands.imports import import_
from service.commands.operator import Operator
from service.commands.output import json_option, listing, plain, show, tenant_option
from service.commands.reports import report
from service.operations import models as operations
from service.operations.versions import show_version

COLUMNS = ("name", "default", "champion", "versions")


@click.group()
def models() -> None:
    """Models of a tenant: immutable versions, one of them the champion."""


for command in (import_, prediction_logs.log, *versions.COMMANDS):
    models.add_command(command)


@models.command("list")
@tenant_option
@json_option
@click.pass_obj
def list_(operator: Operator, tenant: str, *, as_json: bool) -> None:
    """List the models of a tenant."""
    platform, scope = operator.platform, operator.scope(tenant)
    found = everything(
        lambda cursor: operations.list_models(platform, scope, cursor=cursor, limit=1000)
    )
    listing(found, COLUMNS, as_json=as_json)


@models.command("show")
@click.argument("name")
@tenant_option
@click.option("--version", help="Show this version, by number or alias, with its whole report.")
@click.option("--manifests", is_flag=True, help="Print every version's signed manifest (JSON).")
@json_option
@click.pass_obj
def show_(
    operator: Operator,
    name: str,
    tenant: str,
    *,
    version: str | None,
    manifests: bool,
    as_json: bool,
) -> None:
    """Show one model: its versions, what its champion takes and gives."""
    platform, scope = operator.platform, operator.scope(tenant)
    if manifests:
        listing(operations.show_manifests(platform, scope, name), (), as_json=True)
    elif version is None:
        _show(operations.show_model(platform, scope, name), as_json=as_json)
    elif as_json:
        show(show_version(platform, scope, name, version), as_json=True)
    else:
        report(show_version(platform, scope, name, version))


@models.command("set-default")
@click.argument("name")
@tenant_option
@click.option("--version", type=click.IntRange(1), help="Also make this version the champion.")
@json_option
@click.pass_obj
def set_default(
    operator: Operator, name: str, tenant: str, version: int | None, *, as_json: bool
) -> None:
    """Let a model answer requests that name none."""
    scope = operator.scope(tenant)
    show(operations.set_default(operator.platform, scope, name, version), as_json=as_json)


def _show(model: operations.ModelDetail, *, as_json: bool) -> None:
    """Print a model, of its route how it divides the calls."""
    split = model.route["split"] if model.route else []
    shares = {str(arm["version"]): arm["weight"] for arm in split}
    show(model if as_json else plain(model) | {"route": shares}, as_json=as_json)
