"""manage.py backup and restore"""

from __future__ import annotations

from pathlib import Path

import click

from service.commands.operator import Operator
from service.commands.output import advancing, json_option, show
from service.operations import backups as operations
from service.operations import restores


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@json_option
@click.pass_obj
def backup(operator: Operator, file: Path, *, overwrite: bool, as_json: bool) -> None:
    """Write everything but the master key to FILE, encrypted; the server may run meanwhile.

    Keep the master key elsewhere: without it the backup opens nowhere.
    """
    platform, scope = operator.platform, operator.scope()
    with advancing("backing up") as tell:
        made = operations.backup(platform, scope, file, overwrite=overwrite, progress=tell)
    show(made, as_json=as_json)


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--master-key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The master key; it becomes the new instance's. SALLYPORT_MASTER_KEY without it.",
)
@json_option
@click.pass_obj
def restore(operator: Operator, file: Path, master_key_file: Path | None, *, as_json: bool) -> None:
    """Build an installation from a backup FILE, in an empty instance folder and database.

    Sessions end: users log in again.
    """
    with advancing("restoring") as tell:
        restored = restores.restore(
            operator.instance, file, master_key_file=master_key_file, progress=tell
        )
    show(restored, as_json=as_json)
