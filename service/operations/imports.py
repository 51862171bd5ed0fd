"""Imports of models by the operator: the intake of an upload, in the process of a command."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from auth.errors import PermissionMissing
from auth.permissions import Permission
from auth.scope import Scope
from models.errors import ModelsError
from models.names import CHAMPION, check_alias, check_model_name
from models.stages import Progress, Stage
from models.versions import Version
from service.bootstrap import Platform
from service.errors import PreconditionFailed
from service.operations import aliases
from service.operations.model_sources import open_material, opened
from service.operations.preparation import Source, prepare
from service.operations.registration import register
from service.operations.uploads import Wishes, known_format


@dataclass(frozen=True, slots=True)
class Imported:
    """The version that a file has become, and what was made of the aliases that were asked for.

    `told` is what a folder says of itself.
    """

    version: Version
    outcome: str
    told: Mapping[str, str]


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
    """Prepare a file, or the model of an MLflow folder, in the sandbox, and register it.

    Raises IntakeRefused. The input example of a folder is tried unless `rows` are given.
    """
    wishes = wishes or Wishes()
    scope.require(Permission.MODELS_WRITE, name)
    check_model_name(name)
    if wishes.alias is not None:
        check_alias(wishes.alias)
    declared = known_format(scope, name, wishes.format)
    with ExitStack() as stack:
        material = open_material(stack, path, declared)
        given, expected = (p if p is None else opened(stack, p) for p in (rows, answers))
        prepared = prepare(
            platform,
            Source(
                file=material.file,
                rows=material.rows if given is None else given,
                answers=expected,
                digest=wishes.digest,
                formats=material.formats,
                accept_version=wishes.version_policy == "accept",
            ),
            tell=progress or _tell_nobody,
            goes_on=_go_on,
        )
        prepared = material.stated(prepared)
    version = register(platform, scope, name, prepared)
    wanted = aliases_wished(promote=wishes.promote, alias=wishes.alias)
    outcome = point(platform, scope, version.model, version.number, wanted, reason=wishes.note)
    return Imported(version, outcome, material.told)


def aliases_wished(*, promote: bool, alias: str | None) -> tuple[str, ...]:
    """The aliases to point at a new version."""
    return (CHAMPION,) * promote + (() if alias is None else (alias,))


def point(
    platform: Platform, scope: Scope, model: str, number: int, wanted: Iterable[str], *, reason: str
) -> str:
    """Point aliases at a version that is registered; what became of each, for people.

    A model without a champion, for its gate has let none pass yet, gets one if it can. A version
    stays if an alias cannot be moved to it: whoever asked for it can do so later.
    """
    notes = [f"version {number}"]
    for alias in dict.fromkeys((*_lacking(platform, scope, model), *wanted)):
        try:
            aliases.promote(platform, scope, model, alias, number, reason=reason)
            notes.append(f"{alias} points at it")
        except (ModelsError, PermissionMissing, PreconditionFailed) as error:
            notes.append(f"{alias} was not moved: {error}")
    return "; ".join(notes)


def _lacking(platform: Platform, scope: Scope, model: str) -> tuple[str, ...]:
    with platform.database.read() as session:
        is_served = platform.registry.show(session, scope, model).champion is not None
    return () if is_served else (CHAMPION,)


def _tell_nobody(_stage: Stage, _note: str) -> None:
    return


def _go_on() -> None:
    """Nothing but an interrupt ends a command."""
