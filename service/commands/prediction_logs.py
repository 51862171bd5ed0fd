"""manage.py models log"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from models.prediction_log.terms import BOUNDS, LogTerms
from service.commands.operator import Operator
from service.commands.output import (
    advancing,
    json_option,
    listing,
    show,
    tenant_option,
    yes_option,
)
from service.operations import log_exports
from service.operations import prediction_logs as operations

SEGMENTS = ("id", "version", "method", "rows", "bytes", "first_at", "last_at", "expires_at")
TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])
DEFAULTS = LogTerms(sample=1.0)
model_option = click.option("--model", required=True, help="The model's name.")
since_option = click.option("--since", type=TIME, help="Rows of this time (UTC) or later.")
until_option = click.option("--until", type=TIME, help="Rows of before this time (UTC).")


@click.group("log")
def log() -> None:
    """What is logged of a model's predictions: a sample, sealed, for a time."""


@log.command("show")
@model_option
@tenant_option
@json_option
@click.pass_obj
def show_(operator: Operator, model: str, tenant: str, *, as_json: bool) -> None:
    """Show what is logged of a model, and how much that is."""
    show(operations.show_log(operator.platform, operator.scope(tenant), model), as_json=as_json)


@log.command("set")
@model_option
@tenant_option
@click.option("--sample", type=float, required=True, help="Share of rows, above 0, at most 1.")
@click.option("--pause", is_flag=True, help="Log nothing for now; keep what there is.")
@click.option("--no-inputs", is_flag=True, help="Keep what was answered, not what was sent.")
@click.option("--column", "columns", multiple=True, help="Keep this input, and no unnamed one.")
@click.option(
    "--retention-days",
    type=click.IntRange(*BOUNDS["retention_days"]),
    default=DEFAULTS.retention_days,
    show_default=True,
)
@click.option(
    "--rows-per-day",
    type=click.IntRange(*BOUNDS["rows_per_day"]),
    default=DEFAULTS.rows_per_day,
    show_default=True,
)
@click.option(
    "--bytes-per-day",
    type=click.IntRange(*BOUNDS["bytes_per_day"]),
    default=DEFAULTS.bytes_per_day,
    show_default=True,
)
@json_option
@click.pass_obj
def set_(
    operator: Operator,
    model: str,
    tenant: str,
    *,
    sample: float,
    pause: bool,
    no_inputs: bool,
    columns: tuple[str, ...],
    retention_days: int,
    rows_per_day: int,
    bytes_per_day: int,
    as_json: bool,
) -> None:
    """Log a sample of a model's predictions from now on."""
    terms = LogTerms(
        sample=sample,
        enabled=not pause,
        inputs=not no_inputs,
        columns=columns or None,
        retention_days=retention_days,
        rows_per_day=rows_per_day,
        bytes_per_day=bytes_per_day,
    )
    scope = operator.scope(tenant)
    show(operations.set_log(operator.platform, scope, model, terms), as_json=as_json)


@log.command("delete")
@model_option
@tenant_option
@yes_option
@json_option
@click.pass_obj
def delete(operator: Operator, model: str, tenant: str, *, yes: bool, as_json: bool) -> None:
    """End a model's log and destroy what it holds."""
    scope = operator.scope(tenant)
    held = operations.show_log(operator.platform, scope, model)
    if not yes:
        click.confirm(f"Destroy the {held.rows} rows logged of {model!r}?", abort=True)
    operations.delete_log(operator.platform, scope, model)
    show({"model": model, "destroyed_rows": held.rows}, as_json=as_json)


@log.command("segments")
@model_option
@tenant_option
@since_option
@until_option
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@json_option
@click.pass_obj
def segments(
    operator: Operator,
    model: str,
    tenant: str,
    *,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """List the files of a model's log, oldest first."""
    page = operations.list_segments(
        operator.platform,
        operator.scope(tenant),
        model,
        since=_unix(since),
        until=_unix(until),
        limit=limit,
    )
    listing(page.items, SEGMENTS, as_json=as_json)


@log.command("export")
@model_option
@tenant_option
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    required=True,
    help="A .parquet or .csv file, or a folder of files by version and method.",
)
@since_option
@until_option
@click.option("--version", type=click.IntRange(1), help="Rows of this version alone.")
@click.option("--method", help="Rows of this method alone.")
@json_option
@click.pass_obj
def export(
    operator: Operator,
    model: str,
    tenant: str,
    *,
    output: Path,
    since: datetime | None,
    until: datetime | None,
    version: int | None,
    method: str | None,
    as_json: bool,
) -> None:
    """Write what was logged of a model to files, unsealed; that is put on record."""
    wanted = log_exports.Wanted(
        since=_unix(since), until=_unix(until), version=version, method=method
    )
    platform, scope = operator.platform, operator.scope(tenant)
    with advancing("exporting") as progress:
        made = log_exports.export_log(platform, scope, model, output, wanted, progress=progress)
    show(made, as_json=as_json)


def _unix(at: datetime | None) -> float | None:
    return None if at is None else at.replace(tzinfo=UTC).timestamp()
