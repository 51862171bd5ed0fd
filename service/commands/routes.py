"""manage.py routes"""

from __future__ import annotations

from typing import Any

import click

from models.names import Reference, read_reference
from service.commands.operator import Operator
from service.commands.output import json_option, listing, show, tenant_option
from service.operations import routing as operations

COLUMNS = (
    "version",
    "number",
    "role",
    "weight",
    "requests",
    "errors",
    "p50_seconds",
    "p95_seconds",
    "p99_seconds",
    "agreement",
    "dropped",
)


@click.group()
def routes() -> None:
    """Routes: calls of a model divided between its versions, shadows, and the way back."""


@routes.command("show")
@click.argument("model")
@tenant_option
@click.option("--seconds", type=click.IntRange(10, 86_400), default=3600, show_default=True)
@json_option
@click.pass_obj
def show_(operator: Operator, model: str, tenant: str, seconds: int, *, as_json: bool) -> None:
    """Show the route of MODEL, and what its versions did of late."""
    scope = operator.scope(tenant)
    _print(operations.show_route(operator.platform, scope, model, seconds=seconds), as_json=as_json)


@routes.command("set")
@click.argument("model")
@tenant_option
@click.option(
    "--split",
    "splits",
    multiple=True,
    required=True,
    metavar="VERSION=WEIGHT",
    help="A number or alias and its weight; the first is the one to fall back on.",
)
@click.option("--by-header", metavar="NAME", help="Keep calls with the same header together.")
@click.option("--by-chance", is_flag=True, help="Let every call be decided anew.")
@click.option("--shadow", metavar="VERSION[=SHARE]", help="Ask a version in the background too.")
@click.option("--error-rate", type=float, help="Take out a version that fails more often.")
@click.option("--p95-seconds", type=float, help="... or whose 95th percentile is higher.")
@click.option("--p95-ratio", type=float, help="... or so many times that of the first.")
@click.option("--least-requests", type=int, help="Calls to see before judging; 50.")
@click.option("--window-seconds", type=int, help="How far back to look; 60.")
@json_option
@click.pass_obj
def set_(
    operator: Operator,
    /,
    model: str,
    tenant: str,
    splits: tuple[str, ...],
    by_header: str | None,
    shadow: str | None,
    *,
    by_chance: bool,
    as_json: bool,
    **bounds: float | None,
) -> None:
    """Divide the calls of MODEL that name no version; a caller keeps to one of them."""
    if by_header and by_chance:
        raise click.UsageError("--by-header and --by-chance exclude each other.")
    definition: dict[str, Any] = {"split": [_arm(split) for split in splits]}
    if by_header:
        definition |= {"sticky": "header", "header": by_header}
    if by_chance:
        definition["sticky"] = "none"
    if shadow is not None:
        definition["shadow"] = _shadow(shadow)
    given = {name: bound for name, bound in bounds.items() if bound is not None}
    if given:
        definition["bounds"] = given
    scope = operator.scope(tenant)
    _print(operations.set_route(operator.platform, scope, model, definition), as_json=as_json)


@routes.command("clear")
@click.argument("model")
@tenant_option
@json_option
@click.pass_obj
def clear(operator: Operator, model: str, tenant: str, *, as_json: bool) -> None:
    """Let the champion of MODEL answer every call that names no version."""
    operations.delete_route(operator.platform, operator.scope(tenant), model)
    show({"model": model, "route": None}, as_json=as_json)


def _print(report: operations.RouteReport, *, as_json: bool) -> None:
    if as_json:
        show(report, as_json=True)
        return
    route = {name: part for name, part in report.route.items() if name != "split"}
    show({"model": report.model, **route, "note": report.note}, as_json=False)
    click.echo()
    listing(report.versions, COLUMNS, as_json=False)


def _arm(text: str) -> dict[str, Any]:
    name, _, weight = text.rpartition("=")
    if not weight.isascii() or not weight.isdigit():
        raise click.UsageError(f"--split {text!r} is not VERSION=WEIGHT, such as canary=5.")
    return {"version": _version(name), "weight": int(weight)}


def _shadow(text: str) -> dict[str, Any]:
    name, _, share = text.partition("=")
    try:
        return {"version": _version(name), "share": float(share or 1)}
    except ValueError:
        raise click.UsageError(f"--shadow {text!r} is not VERSION or VERSION=SHARE.") from None


def _version(text: str) -> Reference:
    version = read_reference(text)
    if version is None:
        raise click.UsageError(f"{text!r} is neither a version's number nor an alias.")
    return version
