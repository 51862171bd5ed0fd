"""manage.py gate"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click
import orjson

from models.errors import RulesRefused
from models.gates.rules import parse_gate, read_gate
from service.commands.operator import Operator
from service.commands.output import json_option, listing, show, tenant_option, yes_option
from service.operations import gates as operations

COLUMNS: Final = ("rule", "passes", "found")
JSON: Final = ".json"


@click.group()
def gate() -> None:
    """Gates: what a version has to be before it may be champion."""


@gate.command("show")
@click.argument("model")
@tenant_option
@json_option
@click.pass_obj
def show_(operator: Operator, model: str, tenant: str, *, as_json: bool) -> None:
    """Show the gate of MODEL."""
    show(operations.show_gate(operator.platform, operator.scope(tenant), model), as_json=as_json)


@gate.command("set")
@click.argument("model")
@click.argument("rules", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@tenant_option
@json_option
@click.pass_obj
def set_(operator: Operator, model: str, rules: Path, tenant: str, *, as_json: bool) -> None:
    """Give MODEL the gate of the file RULES, which is TOML or JSON."""
    definition = _read(rules)
    view = operations.set_gate(operator.platform, operator.scope(tenant), model, definition)
    show(view, as_json=as_json)


@gate.command("remove")
@click.argument("model")
@yes_option
@tenant_option
@json_option
@click.pass_obj
def remove(operator: Operator, model: str, tenant: str, *, yes: bool, as_json: bool) -> None:
    """Let every version of MODEL be champion."""
    if not yes:
        click.confirm(f"Remove the gate of {model!r}?", abort=True)
    show(operations.remove_gate(operator.platform, operator.scope(tenant), model), as_json=as_json)


@gate.command("check")
@click.argument("model")
@click.argument("version")
@tenant_option
@json_option
@click.pass_obj
def check(operator: Operator, model: str, version: str, tenant: str, *, as_json: bool) -> None:
    """Say whether a VERSION, by number or alias, would pass; exit with 1 if it does not."""
    scope = operator.scope(tenant)
    verdict = operations.check_gate(operator.platform, scope, model, version)
    if as_json:
        show(verdict, as_json=True)
    else:
        listing(verdict.rules, COLUMNS, as_json=False)
    if not verdict.passes:
        sys.exit(1)


def _read(path: Path) -> object:
    """The members of a file of rules; raises RulesRefused."""
    text = path.read_text(encoding="utf-8")
    if path.suffix.lower() != JSON:
        return parse_gate(text).as_json()
    try:
        return read_gate(orjson.loads(text)).as_json()
    except orjson.JSONDecodeError as error:
        raise RulesRefused("", f"no JSON: {error}") from error
