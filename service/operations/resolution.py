"""From a caller's wish to a version: which of a model answers, if the caller may ask it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from auth.errors import PermissionMissing
from auth.permissions import Permission
from auth.scope import Scope
from models.errors import ModelsError
from models.names import Reference
from models.routing.plans import Plan
from models.versions import Version
from service.bootstrap import Platform


def plan(platform: Platform, scope: Scope, model: str | None, version: Reference) -> Plan:
    """Which versions answer, if the scope may predict with their model; raises ModelNotFound.

    A model named is authorised before it is looked up: whoever may not call it does not learn
    whether it is there, nor, of the default model, what it is called.
    """
    if model is not None:
        scope.require(Permission.PREDICT, model)
    key = (scope.tenant_id, model, version)
    try:
        found = platform.caches.plans.fetch(
            key, lambda: _plan(platform, scope, model, version), expires=lambda plan: plan.until
        )
    except ModelsError:
        if model is None and not scope.allows(Permission.PREDICT):
            _require_default(scope, _default_name(platform, scope))
        raise
    _require_default(scope, found.versions[0].model)
    return found


def choose(plan: Plan, scope: Scope, header: Callable[[str], str | None]) -> Version:
    """The one version for this call; `header` reads the call's headers."""
    return plan.choose(scope.principal.id, header)


def _require_default(scope: Scope, name: str | None) -> None:
    """Raise PermissionMissing, without the name, unless the scope may predict with this model."""
    if name is None or not scope.allows(Permission.PREDICT, name):
        raise PermissionMissing(Permission.PREDICT)


def _default_name(platform: Platform, scope: Scope) -> str | None:
    with platform.database.read() as session:
        models = platform.registry.models(session, scope)
    return next((model.name for model in models if model.is_default), None)


def _plan(platform: Platform, scope: Scope, model: str | None, version: Reference) -> Plan:
    with platform.database.read() as session:

        def serves(old: Version) -> bool:
            try:
                platform.registry.resolve(session, scope, old.model, old.number)
            except ModelsError:
                return False
            return True

        new = platform.routing.plan(session, scope, model, version)
        found = platform.succession.follow((scope.tenant_id, model, version), new, serves)
        name = found.versions[0].model
        return replace(found, log=platform.prediction_logs.settings.rule(session, scope, name))
