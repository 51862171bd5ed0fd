"""The report of a version as people read it: what it is, and how its engine was proven."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from service.commands.output import label, listing, plain, readable
from service.operations.versions import VersionDetail

HEAD: Final = (
    "model",
    "version",
    "state",
    "pinned",
    "aliases",
    "created_by",
    "created_at",
)
PARITY: Final = ("method", "rows", "labels_differing", "relative_error", "agrees")


def report(detail: VersionDetail) -> None:
    """Print a version: its members, its signature, its parity, its files, its incidents."""
    members = plain(detail)
    _pairs({name: members[name] for name in HEAD})
    if detail.manifest is None:
        click.echo("\nAn earlier release registered it: import its file again.")
        return
    manifest = detail.manifest
    _section("Engine", _engine(manifest))
    _section("Signature", _signature(manifest["signature"]))
    _parity(manifest["parity"])
    _files(manifest)
    if detail.incidents:
        click.echo("\nIncidents")
        listing(detail.incidents, ("at", "kind", "detail"), as_json=False)


def _engine(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "estimator": manifest["estimator"],
        "engine": manifest["engine"],
        "methods": manifest["engine_methods"],
        "reason": manifest["engine_reason"],
        "flavour": manifest["flavour"],
        "libraries": manifest["libraries"],
    }


def _signature(signature: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "task": signature["task"],
        "columns": signature["columns"],
        "names": signature["feature_names"],
        "missing": signature["missing"],
        "classes": signature["classes"],
        "methods": [method["name"] for method in signature["methods"]],
    }


def _parity(parity: Mapping[str, Any] | None) -> None:
    if parity is None:
        _section("Parity", {"rows": "nothing was compared"})
        return
    of = (
        "rows",
        "refused",
        "tolerance",
        "smallest_part",
        "last_bit_changes",
        "seed",
        "labels_differing",
        "relative_error",
        "agrees",
    )
    _section("Parity", {name: parity[name] for name in of})
    if parity["methods"]:
        click.echo()
        rows = [{"method": name, **found} for name, found in parity["methods"].items()]
        listing(rows, PARITY, as_json=False)


def _files(manifest: Mapping[str, Any]) -> None:
    click.echo("\nFiles")
    stored = [{"role": role, **file} for role, file in manifest["files"].items()]
    source = {"role": "source", "format": manifest["source_format"], "size": None}
    source["digest"] = manifest["source_digest"]
    listing([*stored, source], ("role", "format", "size", "digest"), as_json=False)


def _section(title: str, members: Mapping[str, Any]) -> None:
    click.echo(f"\n{title}")
    _pairs(members)


def _pairs(members: Mapping[str, Any]) -> None:
    width = max(map(len, members))
    for name, member in members.items():
        click.echo(f"{label(name):<{width}}  {readable(name, member)}")
