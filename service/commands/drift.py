"""manage.py drift"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from config.prose import printable
from service.commands.operator import Operator
from service.commands.output import json_option, listing, plain, show, tenant_option
from service.operations import drift as operations

TIME: Final = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])
COLUMNS: Final = ("name", "verdict", "psi", "test", "adjusted", "missing", "missing_before")


@click.command()
@click.argument("model")
@tenant_option
@click.option("--since", type=TIME, help="Rows of this time (UTC) or later.")
@click.option("--until", type=TIME, help="Rows of before this time (UTC).")
@click.option("--version", help="Of this version, by number or alias; else of the champion.")
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a page with a figure of each column to this new file.",
)
@json_option
@click.pass_obj
def drift(
    operator: Operator,
    model: str,
    tenant: str,
    *,
    since: datetime | None,
    until: datetime | None,
    version: str | None,
    report: Path | None,
    as_json: bool,
) -> None:
    """Show how far what MODEL is asked is from what it was trained on."""
    if report is not None and report.exists():
        raise click.UsageError(f"{report} exists; choose another name.")
    found = operations.show_drift(
        operator.platform,
        operator.scope(tenant),
        model,
        version,
        period=operations.Period(since=_unix(since), until=_unix(until)),
        page=report is not None,
    )
    if report is not None:
        _write(report, found.page or b"")
    members = {n: value for n, value in plain(found).items() if n != "page"}
    if as_json:
        show(members | {"report": None if report is None else str(report)}, as_json=True)
        return
    click.echo(printable(found.words))
    click.echo()
    said = [found.predictions] if found.predictions is not None else []
    listing([*map(_row, (*found.features, *said))], COLUMNS, as_json=False)


def _row(column: Any) -> dict[str, Any]:
    """One column as a line of a table, with no more digits than anybody reads."""
    return {
        name: round(column[name], 4) if isinstance(column[name], float) else column[name]
        for name in COLUMNS
    }


def _write(path: Path, page: bytes) -> None:
    """A new file that only this user reads: it tells what a tenant's callers have sent."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(page)


def _unix(at: datetime | None) -> float | None:
    return None if at is None else at.replace(tzinfo=UTC).timestamp()
