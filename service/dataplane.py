"""The one way of a prediction, the same for every dialect (architecture.md).

authenticate and authorise (service.security, before the view) -> hold a slot -> decode -> authorise
the model -> resolve -> charge -> check the signature -> execute -> meter. A dialect decodes and
encodes; it never sees the gates and so cannot skip one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from flask import g, request
from numpy.typing import NDArray

from auth.scope import Scope
from config.counters import Usage
from models.requests.bounds import Bounds
from models.requests.tensors import PredictionRequest
from models.routing.plans import Plan
from models.tables import Features, row_count
from models.versions import Version
from service import limits
from service.bootstrap import Platform
from service.errors import MediaTypeRefused
from service.operations import predictions
from service.parsing import read_body
from service.security import current_platform, current_scope

# Absent, or what curl (a form) and browsers (text) say of a body that nobody described.
SENT_BY_DEFAULT: Final = frozenset(
    {"application/json", "", "application/x-www-form-urlencoded", "text/plain"}
)
Decode = Callable[[bytes, Bounds], PredictionRequest]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said, and which version of it."""

    version: Version
    prediction: NDArray[Any]


def predict(decode: Decode) -> Answer:
    """Take the current request through every gate to a prediction."""
    platform, scope = current_platform(), current_scope()
    with limits.slot(scope) as place:
        plan, version, method, features = _admit(platform, scope, decode)
        started = time.perf_counter()
        prediction = predictions.execute(platform, scope, plan, version, method, features)
        seconds = time.perf_counter() - started
        place.usage = _usage(scope, version, row_count(features), seconds)
    g.compute_seconds = seconds
    return Answer(version, prediction)


def _admit(platform: Platform, scope: Scope, decode: Decode) -> tuple[Plan, Version, str, Features]:
    """Decode and resolve, then charge once; what is refused before that is charged as well."""
    try:
        _require_text(request.mimetype)
        call = decode(read_body(request, platform.settings.max_body_bytes), platform.bounds)
        plan = predictions.plan(platform, scope, call.model, call.version)
        version = predictions.choose(plan, scope, request.headers.get)
    except Exception:
        limits.charge(scope, None, rows=0)
        raise
    limits.charge(scope, version.model, rows=len(call.rows))
    method = version.signature.check_method(call.method)
    return plan, version, method, call.bound(version.signature)


def _require_text(media_type: str) -> None:
    """Refuse what says that it is no JSON; what the body is decides its bytes alone."""
    if media_type not in SENT_BY_DEFAULT and not media_type.endswith("+json"):
        raise MediaTypeRefused(media_type, "application/json")


def _usage(scope: Scope, version: Version, rows: int, seconds: float) -> Usage:
    subject = scope.principal.id
    return Usage(scope.tenant_id, subject, version.model, 1, rows, round(seconds * 1e6))
