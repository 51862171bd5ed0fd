"""The one way of a prediction, the same for every dialect and transport (architecture.md).

authenticate and authorise (before) -> hold a slot -> decode -> authorise the model -> resolve ->
charge -> check the signature -> execute -> meter. A dialect decodes and encodes; it never sees
the gates and so cannot skip one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from numpy.typing import NDArray

from config.counters import Usage
from models.prediction_log.excerpts import Call
from models.requests.asked import Asked
from models.routing.plans import Plan
from models.tables import Features, row_count
from models.versions import Version
from service import charging
from service.operations import predictions, resolution
from service.statistics import failure, success
from service.visits import Visit

Decode = Callable[[], Asked]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said by each method asked for, in that order, and which version of it."""

    version: Version
    answers: Mapping[str, NDArray[Any]]

    @property
    def prediction(self) -> NDArray[Any]:
        """What it said by the first method."""
        return next(iter(self.answers.values()))


@dataclass(frozen=True, slots=True)
class Admitted:
    """A call that passed every gate."""

    plan: Plan
    version: Version
    methods: tuple[str, ...]
    features: Features


def predict(visit: Visit, decode: Decode) -> Answer:
    """Take a call through every gate to a prediction."""
    platform, scope = visit.platform, visit.scope
    visit.stages.done("authenticate")
    if visit.setback is not None:
        visit.policies = visit.setback.policies
        raise visit.setback.error
    with charging.slot(platform, scope) as place:
        call = _admit(visit, place, decode)
        answers = execute(visit, call)
        rows, executions = row_count(call.features), len(call.methods)
        place.usage = usage_of(visit, call.version, rows=rows * executions)
        place.statistics = partial(success, visit, call.version, rows=rows, executions=executions)
    return Answer(call.version, answers)


def execute(visit: Visit, call: Admitted) -> dict[str, NDArray[Any]]:
    """What the version says to the rows of an admitted call, by each of its methods."""
    noted = None if call.plan.log is None else _noted(visit, call)
    answers = {
        method: predictions.execute(
            visit.platform, visit.scope, call.plan, call.version, method, call.features, noted
        )
        for method in call.methods
    }
    visit.stages.done("compute")
    visit.answered(call.version, rows=row_count(call.features) * len(call.methods))
    if noted is not None:
        noted = replace(noted, seconds=visit.stages.spent["compute"] - noted.seconds)
        predictions.log(visit.platform, call.plan, call.version, noted, call.features, answers)
    return answers


def usage_of(visit: Visit, version: Version, *, rows: int) -> Usage:
    """What a call has consumed; each method answers every row anew."""
    microseconds = round(visit.stages.spent["compute"] * 1e6)
    scope = visit.scope
    return Usage(scope.tenant_id, scope.principal.id, version.model, 1, rows, microseconds)


def _noted(visit: Visit, call: Admitted) -> Call:
    """Whose call it is, for its model's log; a call of many rows may come here in portions."""
    return Call(
        at=visit.platform.clock(),
        request_id=visit.request_id,
        principal_id=visit.scope.principal.id,
        dialect=visit.dialect,
        seconds=visit.stages.spent.get("compute", 0.0),  # before, until it is answered
        first_row=visit.rows // len(call.methods),
    )


def _admit(visit: Visit, place: charging.Slot, decode: Decode) -> Admitted:
    """Decode and resolve, then charge once; what is refused before that is charged as well."""
    platform, scope, stages = visit.platform, visit.scope, visit.stages
    try:
        asked = decode()
        stages.done("decode")
        plan = resolution.plan(platform, scope, asked.model, asked.version)
        version = resolution.choose(plan, scope, visit.header)
        methods = asked.methods(version.signature)
    except Exception:
        visit.policies = charging.charge(platform, scope, None, rows=0)
        raise
    # Each method answers every row: two of them asked at once cost what two calls would.
    rows = len(asked) * len(methods)
    visit.policies = charging.charge(platform, scope, version.model, rows=rows)
    place.statistics = partial(failure, visit, version)  # unless it comes to an answer
    stages.done("admit")
    features = asked.bound(version.signature)
    stages.done("bind")
    return Admitted(plan, version, methods, features)
