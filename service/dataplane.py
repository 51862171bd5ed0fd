"""The one way of a prediction, the same for every dialect (architecture.md).

authenticate and authorise (service.security, before the view) -> hold a slot -> decode -> authorise
the model -> resolve -> charge -> check the signature -> execute -> meter. A dialect decodes and
encodes; it never sees the gates and so cannot skip one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import g, request
from numpy.typing import NDArray

from auth.scope import Scope
from config.counters import Usage
from models.bounds import Bounds
from models.errors import InputRefused, ModelNotFound
from models.tensors import PredictionRequest
from models.versions import Version
from service import limits
from service.bootstrap import Platform
from service.operations import predictions
from service.parsing import read_body
from service.security import current_platform, current_scope

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
        call, version = _admit(platform, scope, decode)
        started = time.perf_counter()
        prediction = predictions.execute(platform, scope, version, call.features)
        seconds = time.perf_counter() - started
        place.usage = _usage(scope, version, len(call.features), seconds)
    g.compute_seconds = seconds
    return Answer(version, prediction)


def _admit(platform: Platform, scope: Scope, decode: Decode) -> tuple[PredictionRequest, Version]:
    """Decode and resolve, then charge once; what cannot be read or found is charged as well."""
    try:
        call = decode(read_body(request, platform.settings.max_body_bytes), platform.bounds)
        version = predictions.resolve(platform, scope, call.model, call.version)
    except (InputRefused, ModelNotFound):
        limits.charge(scope, None, rows=0)
        raise
    limits.charge(scope, version.model, rows=len(call.features))
    version.signature.check(call.features)
    return call, version


def _usage(scope: Scope, version: Version, rows: int, seconds: float) -> Usage:
    subject = scope.principal.id
    return Usage(scope.tenant_id, subject, version.model, 1, rows, round(seconds * 1e6))
