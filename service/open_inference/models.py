"""The models that a caller may ask, as the protocol names them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from auth.permissions import Permission
from auth.scope import Scope
from config.counters import VersionStatistics
from models.names import Reference
from models.register.entries import ACTIVE
from models.register.listing import Model
from models.signature import Signature
from models.versions import Version
from service.bootstrap import Platform
from service.open_inference.metadata import configure_model, describe_model
from service.open_inference.statistics import describe_statistics
from service.operations import repository, resolution


def find(platform: Platform, scope: Scope, model: str | None, version: Reference = None) -> Version:
    """The version that would answer, the first of a split; raises what keeps it from answering."""
    return resolution.plan(platform, scope, model, version).versions[0]


def signature_of(
    platform: Platform, scope: Scope, model: str | None, version: Reference = None
) -> Signature:
    """What the version that would answer takes and gives; raises as `find` does."""
    return find(platform, scope, model, version).signature


def names(platform: Platform, scope: Scope) -> list[str]:
    """The models that the scope may ask, by name."""
    with platform.database.read() as session:
        models = platform.registry.models(session, scope)
    return [model.name for model in models if scope.allows(Permission.PREDICT, model.name)]


def metadata(
    platform: Platform, scope: Scope, model: str, version: Reference = None
) -> dict[str, Any]:
    """The metadata of a version and the numbers of all that may be asked for."""
    found = find(platform, scope, model, version)
    with platform.database.read() as session:
        shown = platform.registry.show(session, scope, model)
    active = [each.number for each in shown.versions if each.state == ACTIVE]
    return describe_model(found, active)


def configuration(
    platform: Platform, scope: Scope, model: str, version: Reference = None
) -> dict[str, Any]:
    """The configuration of a version, in Triton's form."""
    return configure_model(find(platform, scope, model, version), platform)


def statistics(
    platform: Platform, scope: Scope, model: str | None = None, version: Reference = None
) -> dict[str, Any]:
    """What was counted of one version, of every version of a model, or of all models.

    A version that nobody asked yet is shown with zeros. Raises ModelNotFound, and not what keeps a
    version from answering: it was counted before.
    """
    found = platform.statistics.of(scope.tenant_id, model)
    counted = {(each.model, each.number): each for each in found}
    every = [
        counted.get((name, number)) or VersionStatistics(scope.tenant_id, name, number)
        for name, number in _versions(platform, scope, model, version)
    ]
    return describe_statistics(every)


def index(platform: Platform, scope: Scope, *, ready: bool = False) -> list[dict[str, str]]:
    """Every version of the repository, with why it answers nobody, if so."""
    return [
        {"name": found.name, "version": str(found.version), "state": found.state}
        | ({"reason": found.reason} if found.reason else {})
        for found in repository.index(platform, scope, ready=ready)
    ]


def _versions(
    platform: Platform, scope: Scope, model: str | None, version: Reference
) -> list[tuple[str, int]]:
    """The names and numbers of the versions meant, if the scope may ask their models."""
    if model is not None:
        scope.require(Permission.PREDICT, model)
    with platform.database.read() as session:
        if model is not None and version is not None:
            return [(model, platform.registry.find(session, scope, model, version).number)]
        if model is not None:
            models: Sequence[Model] = [platform.registry.show(session, scope, model)]
        else:
            models = platform.registry.models(session, scope)
    own = [found for found in models if scope.allows(Permission.PREDICT, found.name)]
    return [(found.name, each.number) for found in own for each in found.versions]
