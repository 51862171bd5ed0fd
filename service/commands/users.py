"""manage.py users"""

from __future__ import annotations

import sys

import click

from auth.permissions import Role
from auth.rows import everything
from service.commands.operator import Operator
from service.commands.output import json_option, listing, show, tenant_option
from service.operations import accounts as operations

COLUMNS = ("username", "role", "scope", "state", "otp", "created_at")
role_type = click.Choice([role.value for role in Role])


@click.group()
def users() -> None:
    """People of a tenant, who log in with a password."""


@users.command()
@click.argument("username")
@tenant_option
@click.option("--role", required=True, type=role_type)
@click.option("--scope", "narrowing", help="Narrow the role, e.g. 'predict:linear'.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@json_option
@click.pass_obj
def create(
    operator: Operator,
    username: str,
    tenant: str,
    role: str,
    narrowing: str | None,
    *,
    password_stdin: bool,
    as_json: bool,
) -> None:
    """Create a user and print the generated password, this once."""
    password = _read_password() if password_stdin else None
    made = operations.create_user(
        operator.platform,
        operator.scope(tenant),
        username,
        role,
        narrowing=narrowing,
        password=password,
    )
    show(made, as_json=as_json)


@users.command("list")
@tenant_option
@json_option
@click.pass_obj
def list_(operator: Operator, tenant: str, *, as_json: bool) -> None:
    """List the users of a tenant."""
    scope = operator.scope(tenant)
    pages = everything(
        lambda cursor: operations.list_users(operator.platform, scope, cursor=cursor, limit=1000)
    )
    listing(pages, COLUMNS, as_json=as_json)


@users.command()
@click.argument("username")
@tenant_option
@json_option
@click.pass_obj
def disable(operator: Operator, username: str, tenant: str, *, as_json: bool) -> None:
    """Refuse a user's logins and tokens at once."""
    _change(operator, tenant, username, as_json=as_json, state="disabled")


@users.command()
@click.argument("username")
@tenant_option
@json_option
@click.pass_obj
def enable(operator: Operator, username: str, tenant: str, *, as_json: bool) -> None:
    """Admit a disabled user again."""
    _change(operator, tenant, username, as_json=as_json, state="active")


@users.command()
@click.argument("username")
@click.argument("role", type=role_type)
@tenant_option
@click.option("--scope", help="Narrows the role, e.g. 'predict:linear'; '' lifts a narrowing.")
@json_option
@click.pass_obj
def role(
    operator: Operator,
    username: str,
    role: str,
    tenant: str,
    scope: str | None,
    *,
    as_json: bool,
) -> None:
    """Give a user a role, the present one narrowed or another."""
    _change(operator, tenant, username, as_json=as_json, role=role, narrowing=scope)


@users.command("reset-password")
@click.argument("username")
@tenant_option
@click.option("--remove-otp", is_flag=True, help="Remove a lost second factor too.")
@json_option
@click.pass_obj
def reset_password(
    operator: Operator, username: str, tenant: str, *, remove_otp: bool, as_json: bool
) -> None:
    """Generate a new password, print it this once, and end the user's sessions."""
    scope = operator.scope(tenant)
    user = operations.reset_password(operator.platform, scope, username, remove_otp=remove_otp)
    show(user, as_json=as_json)


def _change(
    operator: Operator,
    tenant: str,
    username: str,
    *,
    as_json: bool,
    state: str | None = None,
    role: str | None = None,
    narrowing: str | None = None,
) -> None:
    scope = operator.scope(tenant)
    user = operations.change_user(
        operator.platform, scope, username, state=state, role=role, narrowing=narrowing
    )
    show(user, as_json=as_json)


def _read_password() -> str:
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise click.UsageError("--password-stdin: standard input has no first line")
    return password
