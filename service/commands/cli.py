"""The command line's root: the state folder, the groups, and how a refusal is shown."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any, Final, cast

import click
from sqlalchemy.exc import SQLAlchemyError

from service.commands.operator import Operator
from service.errors import is_refusal

# Loaded when named, so that `manage.py users list` does not import what only `serve` needs.
COMMANDS: Final = {
    "init": "installation:init",
    "serve": "serving:serve",
    "doctor": "installation:doctor",
    "tenants": "tenants:tenants",
    "users": "users:users",
    "clients": "clients:clients",
    "keys": "keys:keys",
    "certs": "certs:certs",
    "limits": "limits:limits",
    "usage": "usage:usage",
    "models": "models:models",
    "audit": "audit:audit",
    "backup": "backups:backup",
    "restore": "backups:restore",
    "database": "database:database",
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of this name."""
        if name not in COMMANDS:
            return None
        module, attribute = COMMANDS[name].split(":")
        loaded = importlib.import_module(f"service.commands.{module}")
        return cast(click.Command, getattr(loaded, attribute))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what the platform foresaw becomes one line and exit code 1."""
        try:
            return super().invoke(ctx)
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", error)).splitlines()[0]
            raise click.ClickException(
                f"the database does not do as asked: {reason}; run: manage.py doctor"
            ) from error
        except (OSError, Exception) as error:
            if isinstance(error, OSError):
                raise click.ClickException(f"{error.filename or ''}: {error.strerror}") from error
            if is_refusal(error):
                raise click.ClickException(str(error)) from error
            raise


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--instance",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="SALLYPORT_INSTANCE",
    default=Path("instance"),
    show_default=True,
    help="Folder of the installation's state.",
)
@click.version_option(package_name=None, version="0.1.0.dev0", prog_name="sallyport")
@click.pass_context
def root(ctx: click.Context, instance: Path) -> None:
    """Operate a Sallyport installation: accounts, keys, certificates, limits, models."""
    ctx.obj = ctx.with_resource(Operator(instance.absolute()))


def main() -> None:
    """Run the command line; a reader that went away (`| head`) is no error."""
    try:
        root(prog_name="manage.py")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
