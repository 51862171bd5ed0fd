"""What a version says to rows, and who else is told of it; only the data plane asks for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from auth.scope import Scope
from config.spans import CURRENT
from models.errors import ModelsError
from models.prediction_log.excerpts import Call
from models.routing.plans import Plan
from models.routing.shadows import Shadowed
from models.routing.traffic import RouteKey
from models.tables import Features
from models.versions import Version
from service.bootstrap import Platform


def execute(
    platform: Platform,
    scope: Scope,
    plan: Plan,
    version: Version,
    method: str,
    features: Features,
    noted: Call | None = None,
) -> NDArray[Any]:
    """The version's answer to each row, by one of its methods.

    `noted` is whose call it is, where that is to be logged of what a shadow answers too.
    """
    assert version.tenant_id == scope.tenant_id, "a version is resolved within its scope"
    if plan.route is None:
        return _ask(platform, version, method, features)
    return _ask_observed(platform, plan, plan.route, version, method, features, noted)


def _ask(platform: Platform, version: Version, method: str, features: Features) -> NDArray[Any]:
    return platform.executor.answer(
        version, method, features, seconds=platform.settings.predict_seconds
    )


def _ask_observed(
    platform: Platform,
    plan: Plan,
    route: RouteKey,
    version: Version,
    method: str,
    features: Features,
    noted: Call | None,
) -> NDArray[Any]:
    """Ask a version of a route, count how it did, and have the shadow asked too."""
    started = time.perf_counter()
    try:
        answers = _ask(platform, version, method, features)
    except ModelsError:
        platform.traffic.answered(route, version.id, "live", 0.0, failed=True)
        raise
    seconds = time.perf_counter() - started
    platform.traffic.answered(route, version.id, "live", seconds, failed=False)
    if plan.shadow is not None and plan.wants_shadow():
        tell = _shadow_log(platform, plan, plan.shadow, noted, method, features)
        call = Shadowed(route, plan.shadow, method, features, answers, CURRENT.get(), tell)
        platform.shadows.offer(call)
    return answers


def log(
    platform: Platform,
    plan: Plan,
    version: Version,
    noted: Call,
    features: Features,
    answers: Mapping[str, NDArray[Any]],
) -> None:
    """Offer a call that was answered to its model's log; never raises, and waits for nothing."""
    if plan.log is not None:
        platform.prediction_logs.waiting.offer(plan.log, version, noted, features, answers)


def _shadow_log(
    platform: Platform,
    plan: Plan,
    shadow: Version,
    noted: Call | None,
    method: str,
    features: Features,
) -> Callable[[NDArray[Any], float], None] | None:
    if noted is None:
        return None

    def tell(answer: NDArray[Any], seconds: float) -> None:
        call = replace(noted, role="shadow", seconds=seconds)
        log(platform, plan, shadow, call, features, {method: answer})

    return tell
