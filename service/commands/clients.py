"""manage.py clients"""

from __future__ import annotations

from pathlib import Path

import click

from auth.rows import everything
from service.commands.operator import Operator
from service.commands.output import json_option, listing, show, tenant_option
from service.operations import certificates
from service.operations import clients as operations

COLUMNS = ("id", "name", "scope", "state", "expires_at", "created_at")
DAY = 86_400.0


@click.group()
def clients() -> None:
    """Service accounts of a tenant: machines with an identifier and a secret."""


@clients.command()
@click.argument("name")
@tenant_option
@click.option("--scope", "grants", required=True, help="What it may do, e.g. 'predict:linear'.")
@click.option("--expires-days", type=click.IntRange(1, 36_500), help="Days until it expires.")
@click.option(
    "--certificate",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Client certificate (PEM) whose key may speak for it.",
)
@json_option
@click.pass_obj
def create(
    operator: Operator,
    name: str,
    tenant: str,
    grants: str,
    expires_days: int | None,
    certificate: Path | None,
    *,
    as_json: bool,
) -> None:
    """Create a service account and print its secret, this once."""
    made = operations.create_client(
        operator.platform,
        operator.scope(tenant),
        name,
        grants,
        expires_in=None if expires_days is None else expires_days * DAY,
        certificate_digest=certificates.digest_of(certificate) if certificate else None,
    )
    show(made, as_json=as_json)


@clients.command("list")
@tenant_option
@json_option
@click.pass_obj
def list_(operator: Operator, tenant: str, *, as_json: bool) -> None:
    """List the service accounts of a tenant."""
    scope = operator.scope(tenant)
    pages = everything(
        lambda cursor: operations.list_clients(operator.platform, scope, cursor=cursor, limit=1000)
    )
    listing(pages, COLUMNS, as_json=as_json)


@clients.command()
@click.argument("name")
@tenant_option
@json_option
@click.pass_obj
def revoke(operator: Operator, name: str, tenant: str, *, as_json: bool) -> None:
    """Refuse a service account, by its name or identifier, and its tokens at once."""
    scope = operator.scope(tenant)
    show(operations.revoke_client(operator.platform, scope, name), as_json=as_json)
