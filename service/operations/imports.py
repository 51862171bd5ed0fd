"""Imports of model files by the operator: the intake of an upload, in the process of a command."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from auth.errors import PermissionMissing
from auth.permissions import Permission
from auth.scope import Scope
from models.errors import ModelsError
from models.formats import FORMATS
from models.intake import open_regular
from models.names import CHAMPION, check_alias, check_model_name
from models.stages import Progress, Stage
from models.versions import Version
from service.bootstrap import Platform
from service.operations import aliases
from service.operations.preparation import Source, prepare
from service.operations.registration import register
from service.operations.uploads import HARMLESS, Wishes, known_format

# How files are called whose opening runs code: whoever gives one by such a name knows.
PICKLED_SUFFIXES: Final = frozenset({".joblib", ".pkl", ".pickle"})


@dataclass(frozen=True, slots=True)
class Imported:
    """The version that a file has become, and what was made of the aliases that were asked for."""

    version: Version
    outcome: str


def import_model(
    platform: Platform,
    scope: Scope,
    name: str,
    path: Path,
    wishes: Wishes | None = None,
    *,
    rows: Path | None = None,
    answers: Path | None = None,
    progress: Progress | None = None,
) -> Imported:
    """Prepare a file in the sandbox and register it as the next version; raises IntakeRefused."""
    wishes = wishes or Wishes()
    scope.require(Permission.MODELS_WRITE, name)
    check_model_name(name)
    if wishes.alias is not None:
        check_alias(wishes.alias)
    formats = _formats(known_format(scope, name, wishes.format), path)
    with ExitStack() as stack:
        paths = (path, rows, answers)
        file, given, expected = (p if p is None else _opened(stack, p) for p in paths)
        assert file is not None, "a path was given"
        prepared = prepare(
            platform,
            Source(
                file=file,
                rows=given,
                answers=expected,
                digest=wishes.digest,
                formats=formats,
                accept_version=wishes.version_policy == "accept",
            ),
            tell=progress or _tell_nobody,
            goes_on=_go_on,
        )
    version = register(platform, scope, name, prepared)
    wanted = aliases_wished(promote=wishes.promote, alias=wishes.alias)
    outcome = point(platform, scope, version.model, version.number, wanted, reason=wishes.note)
    return Imported(version, outcome)


def aliases_wished(*, promote: bool, alias: str | None) -> tuple[str, ...]:
    """The aliases to point at a new version."""
    return (CHAMPION,) * promote + (() if alias is None else (alias,))


def point(
    platform: Platform, scope: Scope, model: str, number: int, wanted: Iterable[str], *, reason: str
) -> str:
    """Point aliases at a version that is registered; what became of each, for people.

    A version stays if an alias cannot be moved to it: whoever asked for it can do so later.
    """
    notes = [f"version {number}"]
    for alias in wanted:
        try:
            aliases.promote(platform, scope, model, alias, number, reason=reason)
            notes.append(f"{alias} points at it")
        except (ModelsError, PermissionMissing) as error:
            notes.append(f"{alias} was not moved: {error}")
    return "; ".join(notes)


def _formats(declared: str, path: Path) -> frozenset[str]:
    """What a file may be: as was declared, or as its bytes tell if its name admits of it."""
    if declared:
        return frozenset({declared})
    return frozenset(FORMATS) if path.suffix.lower() in PICKLED_SUFFIXES else HARMLESS


def _opened(stack: ExitStack, path: Path) -> int:
    descriptor = open_regular(path)
    stack.callback(os.close, descriptor)
    return descriptor


def _tell_nobody(_stage: Stage, _note: str) -> None:
    return


def _go_on() -> None:
    """Nothing but an interrupt ends a command."""
