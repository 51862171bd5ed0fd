"""The reference says what the code says: nothing is missing, nothing is made up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import Field, fields
from typing import Any, get_args, get_type_hints

import click

from auth.permissions import PERMISSIONS, Permission, Role
from auth.plans import LIMITS, PLANS
from config.settings import _RANGES, PREFIX, Settings
from service.commands.cli import root
from service.problems import BY_STATUS, TABLE, Problem
from service.security import access_of
from tests.docs.markdown import REFERENCE, ROOT, code, rows, table_after
from tests.house import House

SETTINGS = {f"{PREFIX}{field.name.upper()}": field for field in fields(Settings)[2:]}


def test_the_settings_are_those_of_the_code() -> None:
    listed = rows((REFERENCE / "settings.md").read_text(), f"`{PREFIX}")
    described = {code(row[0]): row[1:] for row in listed}
    assert described.pop("SALLYPORT_INSTANCE")
    assert described.pop("SALLYPORT_MASTER_KEY")
    assert described == {name: described_setting(field) for name, field in SETTINGS.items()}


def test_the_limits_are_those_of_the_code() -> None:
    listed = table_after((REFERENCE / "limits.md").read_text(), "## Plans")
    assert listed == [
        (f"`{name}`", limit.unit, *(f"{limit.defaults[plan]:,}" for plan in PLANS), limit.meaning)
        for name, limit in LIMITS.items()
    ]


def test_the_limits_of_guesses_are_the_defaults() -> None:
    listed = table_after((REFERENCE / "limits.md").read_text(), "## Guesses at passwords")
    for _, setting, counts in listed:
        assert counts.startswith(f"{SETTINGS[code(setting)].default} ")


def test_the_permissions_are_those_of_the_roles() -> None:
    listed = table_after((REFERENCE / "permissions.md").read_text(), "## Roles")
    assert [row[:-1] for row in listed] == [
        (f"`{permission}`", *("yes" if permission in PERMISSIONS[role] else "" for role in Role))
        for permission in Permission
    ]


def test_the_calls_are_those_of_the_application(house: House) -> None:
    listed = table_after((REFERENCE / "http.md").read_text(), "## Calls")
    assert {code(call): who.strip("`") for call, who, _ in listed} == dict(calls_of(house))
    assert len(listed) == len({call for call, _, _ in listed})


def test_the_problems_are_those_of_the_code() -> None:
    listed = table_after((REFERENCE / "http.md").read_text(), "## Problems")
    described = {(code(name), int(status), error.strip("`")) for name, status, error, _ in listed}
    assert described == {
        (problem.name, problem.status, problem.oauth_error or "") for problem in problems()
    }


def test_the_commands_are_those_of_the_program() -> None:
    text = (REFERENCE / "cli.md").read_text()
    described = re.findall(r"^#{2,3} `(.+)`$", text, re.MULTILINE)
    assert described == [usage_of(path, command) for path, command in commands()]


def test_the_options_are_those_of_each_command() -> None:
    text = (REFERENCE / "cli.md").read_text()
    for path, command in commands():
        mark = "##" if len(path) == 1 else "###"
        heading = f"{mark} `{usage_of(path, command)}`"
        section = re.split(r"^#{2,3} ", text.partition(f"{heading}\n")[2], flags=re.MULTILINE)[0]
        assert " ".join((command.help or "").split()) in section
        listed = {row[0]: row for row in table_after(text, heading)}
        options = {option_names(o): o for o in command.params if isinstance(o, click.Option)}
        has_json = options.pop("`--json`", None) is not None
        assert has_json or path in [("init",), ("serve",)], path
        assert listed.keys() == options.keys(), path
        for name, option in options.items():
            assert option.required == ("Required." in listed[name][2]), (path, name)


def test_the_example_of_systemd_starts_what_there_is() -> None:
    unit = (ROOT / "deploy" / "sallyport.service").read_text()
    started = re.findall(r"^ExecStart=.*manage\.py (\w+)$", unit, re.MULTILINE)
    assert started == ["serve"]


def described_setting(field: Field[Any]) -> tuple[str, str, str]:
    """Default, what is allowed, and meaning, as the reference shows them."""
    default = ",".join(field.default) if isinstance(field.default, tuple) else str(field.default)
    hint = get_type_hints(Settings)[field.name]
    allowed = "" if field.repr else "secret"
    if field.name in _RANGES:
        least, most = _RANGES[field.name]
        allowed = f"{least} to {most}"
    elif "Literal" in str(hint):
        allowed = ", ".join(get_args(hint))
    return f"`{default}`" if default else "", allowed, str(field.metadata["description"])


def calls_of(house: House) -> Iterator[tuple[str, str]]:
    """Method and path of every rule, and who may call it."""
    for rule in house.app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        access = access_of(house.app, rule.endpoint)
        assert access is not None, rule.endpoint
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            yield f"{method} {path}", str(access.permission or "anyone")


def problems() -> set[Problem]:
    """Every problem that an answer can carry."""
    return {*TABLE.values(), *BY_STATUS.values()}


def commands() -> list[tuple[tuple[str, ...], click.Command]]:
    """Every command with the words that name it, in the order of `--help`."""
    return list(_commands(root, ()))


def _commands(
    command: click.Command, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner is not None
        yield from _commands(inner, (*path, name))


def usage_of(path: tuple[str, ...], command: click.Command) -> str:
    """The words that name a command, and its arguments."""
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    return " ".join([*path, *(argument.human_readable_name.upper() for argument in arguments)])


def option_names(option: click.Option) -> str:
    """The cell that names an option."""
    return ", ".join(f"`{name}`" for name in option.opts)
