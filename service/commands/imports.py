"""manage.py models import"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from models.formats import FORMATS
from models.stages import Stage
from service.commands.operator import Operator
from service.commands.output import json_option, progress, show, tenant_option
from service.operations import imports as operations
from service.operations.uploads import PICKLED, Wishes, read_digest

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("import")
@click.argument("name")
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@tenant_option
@click.option(
    "--format",
    "form",
    type=click.Choice([*FORMATS, *PICKLED]),
    help="What the file is; by default its bytes tell, of joblib and pickle its suffix too.",
)
@click.option("--rows", type=FILE, help="Rows to try the model on: JSON, CSV, Parquet or npy.")
@click.option("--expect", type=FILE, help="The answers that it should give to them.")
@click.option("--promote", is_flag=True, help="Make the new version the champion.")
@click.option("--alias", help="Point this alias at the new version.")
@click.option("--note", default="", help="Why; kept with the move of an alias.")
@click.option("--accept-version", is_flag=True, help="Take a file of another library version.")
@click.option("--sha256", help="The SHA-256 that the file must have.")
@json_option
@click.pass_obj
def import_(
    operator: Operator,
    name: str,
    file: Path,
    tenant: str,
    *,
    form: str | None,
    rows: Path | None,
    expect: Path | None,
    promote: bool,
    alias: str | None,
    note: str,
    accept_version: bool,
    sha256: str | None,
    as_json: bool,
) -> None:
    """Import FILE, or an MLflow model folder, as the next version of the model NAME.

    It is opened in the sandbox as an upload is.
    """
    if expect is not None and rows is None:
        raise click.UsageError("--expect: answers need the rows that they are to; give --rows")
    wishes = Wishes(
        format=form or "",
        promote=promote,
        alias=alias,
        note=note,
        version_policy="accept" if accept_version else "refuse",
        digest=None if sha256 is None else read_digest(sha256),
    )
    imported = _run(operator, tenant, name, file, wishes, rows, expect)
    contents = imported.version.manifest.contents
    made: dict[str, Any] = {
        "model": imported.version.model,
        "version": imported.version.number,
        "estimator": contents.estimator,
        "engine": contents.engine,
        "engine_reason": contents.engine_reason,
        "source_digest": contents.source_digest,
        "outcome": imported.outcome,
    }
    if imported.told:
        made["mlflow"] = dict(imported.told)
    show(made, as_json=as_json)


def _run(
    operator: Operator,
    tenant: str,
    name: str,
    file: Path,
    wishes: Wishes,
    rows: Path | None,
    answers: Path | None,
) -> operations.Imported:
    platform, scope = operator.platform, operator.scope(tenant)
    stages = list(Stage)
    with progress("Importing") as bar:
        task = bar.add_task("importing", total=len(stages))

        def tell(stage: Stage, note: str) -> None:
            bar.update(task, completed=stages.index(stage) + 1, description=f"{stage}: {note}")

        return operations.import_model(
            platform, scope, name, file, wishes, rows=rows, answers=answers, progress=tell
        )
