"""manage.py keys"""

from __future__ import annotations

import click

from auth.errors import KeyNotReady
from service.commands.operator import Operator
from service.commands.output import json_option, listing, show, wait
from service.operations import keys as operations

COLUMNS = ("kid", "state", "algorithm", "created_at", "activated_at", "verifies_until")


@click.group()
def keys() -> None:
    """Keys that sign access tokens: next, active, retired, gone or revoked."""


@keys.command("list")
@json_option
@click.pass_obj
def list_(operator: Operator, *, as_json: bool) -> None:
    """List every key that ever was, newest first."""
    records = operations.list_keys(operator.platform, operator.scope())
    listing(records, COLUMNS, as_json=as_json)


@keys.command()
@click.option("--emergency", is_flag=True, help="Do not wait until verifiers know the new key.")
@click.option("--no-wait", is_flag=True, help="Fail instead of waiting.")
@json_option
@click.pass_obj
def rotate(operator: Operator, *, emergency: bool, no_wait: bool, as_json: bool) -> None:
    """Sign with the next key from now on; tokens of the old one stay valid until they expire.

    Waits, if need be, until no verifier can still hold a key set without the new key.
    """
    scope = operator.scope()
    while True:
        try:
            rotation = operations.rotate(operator.platform, scope, emergency=emergency)
            break
        except KeyNotReady as error:
            if no_wait:
                raise
            wait("Until every verifier knows the next key", error.seconds)
    show(rotation, as_json=as_json)


@keys.command()
@click.argument("kid")
@json_option
@click.pass_obj
def revoke(operator: Operator, kid: str, *, as_json: bool) -> None:
    """Refuse everything that a key signed, at once and for ever."""
    show(operations.revoke(operator.platform, operator.scope(), kid), as_json=as_json)


@keys.command()
@json_option
@click.pass_obj
def reseal(operator: Operator, *, as_json: bool) -> None:
    """Seal every secret anew under the first master key of SALLYPORT_MASTER_KEY."""
    show(operations.reseal(operator.platform, operator.scope()), as_json=as_json)
