"""From a caller's wish to a model's answer: which version, and what it says."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from auth.permissions import Permission
from auth.scope import Scope
from models.tables import Features
from models.versions import Version
from service.bootstrap import Platform


def resolve(
    platform: Platform, scope: Scope, model: str | None, version: int | str | None
) -> Version:
    """The version meant, if the scope may predict with its model; raises ModelNotFound.

    A model named is authorised before it is looked up: whoever may not call it does not learn
    whether it is there.
    """
    if model is not None:
        scope.require(Permission.PREDICT, model)
    found = platform.caches.versions.fetch(
        (scope.tenant_id, model, version), lambda: _resolve(platform, scope, model, version)
    )
    scope.require(Permission.PREDICT, found.model)
    return found


def execute(
    platform: Platform, scope: Scope, version: Version, method: str, features: Features
) -> NDArray[Any]:
    """The version's answer to each row, by one of its methods."""
    assert version.tenant_id == scope.tenant_id, "a version is resolved within its scope"
    with np.errstate(all="ignore"):  # what is not finite is seen in the answers
        answers = platform.executor.answer(
            version, method, features, seconds=platform.settings.predict_seconds
        )
    platform.telemetry.rows.labels(version.manifest.contents.engine).inc(len(features))
    return answers


def _resolve(
    platform: Platform, scope: Scope, model: str | None, version: int | str | None
) -> Version:
    with platform.database.read() as session:
        return platform.registry.resolve(session, scope, model, version)
