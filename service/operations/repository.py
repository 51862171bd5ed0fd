"""The repository of models as other servers have one: listed, loaded and unloaded by name.

Nothing has to be loaded before it answers here. What is unloaded answers nobody until it is loaded
again, on every worker and after every restart: a switch for the owners of a model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from auth.permissions import Permission
from auth.scope import Scope
from models.errors import InputRefused
from models.register.entries import ACTIVE
from models.register.listing import Listed, Model
from service.bootstrap import Platform
from service.operations.aliases import proven
from service.operations.recording import recorded

Availability = Literal["READY", "UNAVAILABLE"]
CONFIG: Final = "config"
FILE: Final = "file:"
UNLOAD_DEPENDENTS: Final = "unload_dependents"


@dataclass(frozen=True, slots=True)
class Indexed:
    """A version in the index; `reason` says why one answers nobody."""

    name: str
    version: int
    state: Availability
    reason: str


def index(platform: Platform, scope: Scope, *, ready: bool = False) -> list[Indexed]:
    """Every version that the scope may see, or those alone that answer; by name and number."""
    with platform.database.read() as session:
        models = platform.registry.models(session, scope)
    seen = [model for model in models if scope.allows(Permission.MODELS_READ, model.name)]
    return [
        found for model in seen for found in _versions(model) if not ready or found.state == "READY"
    ]


def load(
    platform: Platform, scope: Scope, name: str, parameters: Mapping[str, Any] | None = None
) -> None:
    """Let a model answer again, its champion opened first; raises what keeps it from opening.

    Raises InputRefused for a configuration or files: a version never changes.
    """
    scope.require(Permission.MODELS_WRITE, name)
    for parameter in parameters or {}:
        _refuse_override(parameter, name)
    champion = proven(platform, scope, name, None)
    with _switching(platform, scope, "models.load", name) as act:
        platform.registry.life_cycle.load(act.session, scope, name)
        act.details["version"] = champion.number


def unload(
    platform: Platform, scope: Scope, name: str, parameters: Mapping[str, Any] | None = None
) -> None:
    """Let a model answer nobody, at once on every worker.

    `unload_dependents` is taken and changes nothing: no model here stands on another.
    """
    for parameter, value in (parameters or {}).items():
        if parameter != UNLOAD_DEPENDENTS or type(value) is not bool:
            problem = f"unknown; known is {UNLOAD_DEPENDENTS}, true or false"
            raise InputRefused(f"/parameters/{parameter[:64]}", problem)
    with _switching(platform, scope, "models.unload", name) as act:
        platform.registry.life_cycle.unload(act.session, scope, name)


def _versions(model: Model) -> Iterator[Indexed]:
    for version in model.versions:
        reason = _reason(model, version)
        state: Availability = "UNAVAILABLE" if reason else "READY"
        yield Indexed(model.name, version.number, state, reason)


def _reason(model: Model, version: Listed) -> str:
    if version.state != ACTIVE:
        return version.state
    return "" if model.is_loaded else "unloaded"


def _refuse_override(parameter: str, name: str) -> None:
    where = f"/parameters/{parameter[:64]}"
    if parameter == CONFIG or parameter.startswith(FILE):
        problem = (
            f"a version never changes; upload another with POST /models/{name}/versions "
            f"and point an alias at it with PUT /models/{name}/aliases/champion"
        )
        raise InputRefused(where, problem)
    raise InputRefused(where, "unknown; to load a model takes no parameters")


def _switching(platform: Platform, scope: Scope, action: str, name: str) -> Any:
    return recorded(platform, scope, Permission.MODELS_WRITE, action, name, model=name)
