"""How results are shown: tables for people, JSON for programs, progress on standard error."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from config.prose import printable

View = TypeVar("View", bound=Callable[..., Any])
STEP_SECONDS: Final = 0.1
WIDEST: Final = 1000  # a name that is cut or folded cannot be copied; terminals wrap by themselves

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


def tenant_option(view: View) -> View:
    """Add the required option that names a tenant."""
    return click.option("--tenant", "-t", required=True, help="The tenant's name.")(view)


def show(value: Any, *, as_json: bool) -> None:
    """Print one thing: its members below each other, or JSON."""
    members = plain(value)
    if as_json:
        click.echo(orjson.dumps(members, option=orjson.OPT_INDENT_2, default=str).decode())
        return
    width = max(map(len, members), default=0)
    for name, member in members.items():
        click.echo(f"{label(name):<{width}}  {readable(name, member)}")


def listing(items: Iterable[Any], columns: Sequence[str], *, as_json: bool) -> None:
    """Print many things: a table of the columns, or JSON with every member."""
    rows = [plain(item) for item in items]
    if as_json:
        click.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2, default=str).decode())
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.replace("_", " "), no_wrap=True, overflow="ignore")
    for row in rows:
        table.add_row(*(readable(column, row.get(column)) for column in columns))
    # A cell is what a stranger may have written: no brackets or colons of it mean anything.
    Console(width=WIDEST, markup=False, emoji=False).print(table)


def plain(value: Any) -> dict[str, Any]:
    """The members of a dataclass or mapping, ready for JSON."""
    if is_dataclass(value) and not isinstance(value, type):
        value = {member.name: getattr(value, member.name) for member in fields(value)}
    return {str(name): _simple(member) for name, member in value.items()}


def label(name: str) -> str:
    """The name of a member as people read it."""
    return printable(name.replace("_", " "))


def readable(name: str, value: Any) -> str:
    """One member as people read it: times as dates, absent as a dash, nothing a terminal obeys."""
    if value is None or value in ("", [], {}):
        return "-"
    if isinstance(value, float) and (name.endswith("_at") or name in TIMES):
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, Mapping):
        return ", ".join(
            f"{printable(key)}={_nested(key, member)}" for key, member in value.items()
        )
    if isinstance(value, list | tuple):
        return ", ".join(_nested(name, member) for member in value)
    return printable(str(value))


TIMES: Final = frozenset({"at", "signs_from", "verifies_until", "not_before", "not_after"})


def progress(description: str) -> Progress:
    """A progress bar on standard error that vanishes when it is done; none in a file or pipe."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


@contextmanager
def advancing(description: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar while the block runs; it is moved by calls with how much is done, and of what."""
    with progress(description) as bar:
        task = bar.add_task(description, total=1)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def wait(description: str, seconds: float) -> None:
    """Wait, with a bar that says what for."""
    with progress(description) as bar:
        task = bar.add_task(description, total=seconds)
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, STEP_SECONDS))
            bar.update(task, completed=seconds - max(0.0, until - time.monotonic()))


def _nested(name: str, value: Any) -> str:
    """A member within another, in parentheses if it has members of its own."""
    text = readable(name, value)
    return f"({text})" if isinstance(value, Mapping | list | tuple) else text


def _simple(value: Any) -> Any:
    if isinstance(value, frozenset | set):
        return sorted(map(str, value))
    if isinstance(value, tuple | list):
        return [_simple(member) for member in value]
    if isinstance(value, Mapping) or is_dataclass(value):
        return plain(value)
    return value
