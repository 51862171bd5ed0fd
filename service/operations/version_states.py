"""Which versions of a model answer, as those see it who may ask them."""

from __future__ import annotations

from dataclasses import dataclass

from auth.permissions import Permission
from auth.scope import Scope
from models.errors import ModelNotFound
from models.names import Reference
from models.register.entries import ACTIVE
from service.bootstrap import Platform


@dataclass(frozen=True, slots=True)
class VersionState:
    """A version that is kept, and whether it answers."""

    number: int
    is_available: bool


def version_states(
    platform: Platform, scope: Scope, name: str, version: Reference = None
) -> tuple[VersionState, ...]:
    """The versions of a model, oldest first, or the one named; raises ModelNotFound."""
    scope.require(Permission.PREDICT, name)
    with platform.database.read() as session:
        model = platform.registry.show(session, scope, name)
    wanted = model.aliases.get(version) if isinstance(version, str) else version
    found = tuple(
        VersionState(kept.number, model.is_loaded and kept.state == ACTIVE)
        for kept in model.versions
        if version is None or kept.number == wanted
    )
    if not found:
        raise ModelNotFound(name, version)
    return found
