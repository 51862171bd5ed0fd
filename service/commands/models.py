"""manage.py models"""

from __future__ import annotations

from pathlib import Path

import click

from models.intake import Stage
from service.commands.operator import Operator
from service.commands.output import json_option, listing, progress, show, tenant_option
from service.operations import models as operations

COLUMNS = ("name", "default", "champion", "versions")


@click.group()
def models() -> None:
    """Models of a tenant: immutable versions, one of them the champion."""


@models.command("import")
@click.argument("name")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@tenant_option
@click.option("--promote", is_flag=True, help="Make the new version the champion.")
@click.option("--accept-version", is_flag=True, help="Take a file of another library version.")
@json_option
@click.pass_obj
def import_(
    operator: Operator,
    name: str,
    file: Path,
    tenant: str,
    *,
    promote: bool,
    accept_version: bool,
    as_json: bool,
) -> None:
    """Import a joblib or skops FILE that you trust as the next version of the model NAME.

    Opening a joblib file runs what its author put in: import only files you made or vouch for.
    """
    platform, scope = operator.platform, operator.scope(tenant)
    stages = list(Stage)
    with progress("Importing") as bar:
        task = bar.add_task("importing", total=len(stages))

        def tell(stage: Stage, note: str) -> None:
            bar.update(task, completed=stages.index(stage) + 1, description=f"{stage}: {note}")

        version = operations.import_model(
            platform,
            scope,
            name,
            file,
            promote=promote,
            accept_version=accept_version,
            progress=tell,
        )
    contents = version.manifest.contents
    imported = {
        "model": version.model,
        "version": version.number,
        "estimator": contents.estimator,
        "engine": contents.engine,
        "engine_reason": contents.engine_reason,
        "source_digest": contents.source_digest,
    }
    show(imported, as_json=as_json)


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
