"""manage.py certs"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from service.commands.operator import Operator
from service.commands.output import json_option, plain, show
from service.operations import certificates as operations
from service.pidfile import signal_reload

existing_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def certs() -> None:
    """The server's certificate and the local authority."""


@certs.command("show")
@json_option
@click.pass_obj
def show_(operator: Operator, *, as_json: bool) -> None:
    """Show the server certificate in use."""
    show(operations.show(operator.platform, operator.scope()), as_json=as_json)


@certs.command()
@click.option("--force", is_flag=True, help="Also if it is not due, and if it was imported.")
@json_option
@click.pass_obj
def renew(operator: Operator, *, force: bool, as_json: bool) -> None:
    """Replace the server certificate if less than a third of its lifetime is left."""
    renewal = operations.renew(operator.platform, operator.scope(), force=force)
    outcome = {"renewed": renewal.renewed, "reason": renewal.reason}
    _finish(operator, outcome | plain(renewal.certificate), as_json=as_json)


@certs.command("import")
@click.argument("certificate", type=existing_file)
@click.argument("key", type=existing_file)
@click.option("--chain", type=existing_file, help="Intermediate certificates (PEM).")
@click.option("--passphrase-stdin", is_flag=True, help="Read the key's passphrase from stdin.")
@json_option
@click.pass_obj
def import_(
    operator: Operator,
    certificate: Path,
    key: Path,
    chain: Path | None,
    *,
    passphrase_stdin: bool,
    as_json: bool,
) -> None:
    """Serve with a CERTIFICATE and KEY (PEM) from outside; a bad pair is refused."""
    passphrase = None
    if passphrase_stdin:
        passphrase = sys.stdin.readline().rstrip("\r\n").encode()
    imported = operations.import_pair(
        operator.platform, operator.scope(), certificate, key, chain=chain, passphrase=passphrase
    )
    _finish(operator, plain(imported), as_json=as_json)


@certs.command()
@click.argument("name")
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for NAME.pem and NAME.key.",
)
@click.option("--days", type=int, help="Lifetime, at most 90 days.")
@json_option
@click.pass_obj
def client(operator: Operator, name: str, out: Path, days: int | None, *, as_json: bool) -> None:
    """Issue a client certificate, kept nowhere here; `clients create --certificate` maps it."""
    issued = operations.issue_client(operator.platform, operator.scope(), name, out, days=days)
    show(issued, as_json=as_json)


@certs.command()
@click.argument("serial")
@json_option
@click.pass_obj
def revoke(operator: Operator, serial: str, *, as_json: bool) -> None:
    """Refuse a client certificate of the local authority, by its SERIAL number."""
    operations.revoke(operator.platform, operator.scope(), serial)
    _finish(operator, {"revoked": serial}, as_json=as_json)


def _finish(operator: Operator, result: dict[str, Any], *, as_json: bool) -> None:
    """Have a running server read its files anew, and print the result."""
    show(result | {"reloaded": signal_reload(operator.settings)}, as_json=as_json)
