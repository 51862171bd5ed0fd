"""manage.py models"""

from __future__ import annotations

import click

from service.commands.imports import import_
from service.commands.operator import Operator
from service.commands.output import json_option, listing, show, tenant_option
from service.operations import models as operations

COLUMNS = ("name", "default", "champion", "versions")


@click.group()
def models() -> None:
    """Models of a tenant: immutable versions, one of them the champion."""


models.add_command(import_)


@models.command("list")
@tenant_option
@json_option
@click.pass_obj
def list_(operator: Operator, tenant: str, *, as_json: bool) -> None:
    """List the models of a tenant."""
    found = operations.list_models(operator.platform, operator.scope(tenant))
    listing(found, COLUMNS, as_json=as_json)


@models.command("show")
@click.argument("name")
@tenant_option
@click.option("--manifests", is_flag=True, help="Print every version's signed manifest (JSON).")
@json_option
@click.pass_obj
def show_(operator: Operator, name: str, tenant: str, *, manifests: bool, as_json: bool) -> None:
    """Show one model: its versions, what its champion takes and gives."""
    scope = operator.scope(tenant)
    if manifests:
        listing(operations.show_manifests(operator.platform, scope, name), (), as_json=True)
    else:
        show(operations.show_model(operator.platform, scope, name), as_json=as_json)


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
