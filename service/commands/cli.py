"""The command line's root: the state folder, the groups, and how a refusal is shown."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any, Final, cast

import click

from service.commands.operator import Operator

# Where each is, and what it is for, as far as a line has room. Loaded when named, so that
# `manage.py users list` does not import what only `serve` needs, and `--help` imports nothing.
COMMANDS: Final = {
    "init": ("installation:init", "Make an installation."),
    "serve": ("serving:serve", "Serve HTTPS until stopped."),
    "doctor": ("installation:doctor", "Check the installation; say what is wrong and what to do."),
    "tenants": ("tenants:tenants", "Customers of the platform, each walled off from the others."),
    "users": ("users:users", "People of a tenant, who log in with a password."),
    "clients": ("clients:clients", "Service accounts of a tenant."),
    "keys": ("keys:keys", "Keys that sign access tokens."),
    "certs": ("certs:certs", "The server's certificate and the local authority."),
    "limits": ("limits:limits", "How much a tenant may use."),
    "usage": ("usage:usage", "Show requests, rows and compute time."),
    "models": ("models:models", "Models of a tenant."),
    "train": ("training:train", "Train as SPEC says, and register the winner."),
    "predict": ("predictions:predict", "Predict every row of FILE."),
    "jobs": ("jobs:jobs", "Intakes of models that were uploaded over HTTPS."),
    "gate": ("gates:gate", "Gates: what a version has to be before it may be champion."),
    "schedules": ("schedules:schedules", "Trainings that are run again and again."),
    "drift": ("drift:drift", "Show how far what MODEL is asked is from what it was trained on."),
    "routes": ("routes:routes", "Routes: calls of a model divided between its versions."),
    "audit": ("audit:audit", "The record of every change."),
    "backup": ("backups:backup", "Write everything but the master key to FILE, encrypted."),
    "restore": ("backups:restore", "Build an installation from a backup FILE."),
    "database": ("database:database", "The database's schema."),
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
        module, attribute = COMMANDS[name][0].split(":")
        loaded = importlib.import_module(f"service.commands.{module}")
        return cast(click.Command, getattr(loaded, attribute))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List what each command is for, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, told) for name, (_, told) in COMMANDS.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the root's own options; names and paths are text, so every word must be."""
        for word in args:
            if not _is_text(word):
                raise click.UsageError(f"{word!a} is not UTF-8.")
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            raise _in_one_line(error) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what the platform foresaw becomes one line and exit code 1."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise _in_one_line(error) from error
        except Exception as error:
            # Imported when needed: it knows every package's errors.
            from service.commands.refusals import explain

            line = explain(error)
            if line is None:
                raise
            raise click.ClickException(line) from error


def _is_text(word: str) -> bool:
    """Say whether the system could decode the word; what it could not would reach the database."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _in_one_line(error: click.UsageError) -> click.UsageError:
    """The same refusal without the usage above it; a group alone still shows its help."""
    if error.ctx is None or isinstance(error, click.exceptions.NoArgsIsHelpError):
        return error
    message = " ".join(error.format_message().split())
    return click.UsageError(f"{message} See: {error.ctx.command_path} --help")


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
    # Databases and journals are made by libraries, with whatever rights are not masked.
    os.umask(0o077)
    try:
        root(prog_name="manage.py")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
