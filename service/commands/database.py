"""manage.py database"""

from __future__ import annotations

import click

from service.commands.operator import Operator
from service.commands.output import json_option, show
from service.operations import installation as operations


@click.group()
def database() -> None:
    """The database's schema."""


@database.command()
@json_option
@click.pass_obj
def upgrade(operator: Operator, *, as_json: bool) -> None:
    """Bring the database to this release's revision; nothing in it is lost."""
    show(operations.upgrade_database(operator.settings), as_json=as_json)


@database.command()
@json_option
@click.pass_obj
def check(operator: Operator, *, as_json: bool) -> None:
    """Fail unless the database is at this release's revision."""
    show(operations.check_database(operator.settings), as_json=as_json)
