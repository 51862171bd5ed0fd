"""Routes: division of calls between versions, what came of it, and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import structlog
from sqlalchemy.orm import Session

from auth.permissions import Permission
from auth.scope import Scope
from models.errors import ModelNotFound, ModelsError, RouteNotFound
from models.names import CHAMPION
from models.routes import Arm, Route, read_route
from models.routing.plans import Guarded
from models.routing.traffic import Role, Tally, breach
from models.versions import Version
from service.bootstrap import Platform
from service.errors import PreconditionFailed
from service.operations.gates import Admission, admit, confirm
from service.operations.preconditions import ANYTHING, Expected, state_of
from service.operations.recording import Act, recorded

ACTOR: Final = "upkeep"
log = structlog.get_logger("sallyport.routing")
NOTHING: Final = Tally()


@dataclass(frozen=True, slots=True)
class ArmReport:
    """What one version of a route did; seconds are percentiles, rounded up by a quarter at most."""

    version: int | str
    number: int | None
    role: Role
    weight: int | None
    requests: int
    errors: int
    error_rate: float
    p50_seconds: float | None
    p95_seconds: float | None
    p99_seconds: float | None
    rows_compared: int | None = None
    agreement: float | None = None
    dropped: int | None = None


@dataclass(frozen=True, slots=True)
class RouteReport:
    """A model's route, and what its versions did in the last `seconds`."""

    model: str
    route: dict[str, Any]
    note: str | None
    seconds: int
    versions: tuple[ArmReport, ...]
    state: str


@dataclass(frozen=True, slots=True)
class _Admitted:
    """A version of a split as the gate saw it; the champion needs no `admission`.

    Without a `number` there was no such version that could answer, for the gate to look at.
    """

    version: int | str
    number: int | None
    admission: Admission | None


def show_route(platform: Platform, scope: Scope, name: str, *, seconds: int = 3600) -> RouteReport:
    """A model's route with its counts; raises ModelNotFound or RouteNotFound."""
    scope.require(Permission.MODELS_READ, name)
    with platform.database.read() as session:
        kept = platform.routing.show(session, scope, name)
        route = kept.route
        since = platform.clock() - seconds
        tallies = platform.routing.tallies(session, kept.key, since=since)
        arms = [_arm(platform, session, scope, name, tallies, arm) for arm in route.split]
        if route.shadow:
            shadow = Arm(route.shadow.version, 0)
            arms.append(_shadow(platform, session, scope, name, tallies, shadow))
        state = state_of(platform.routing.state(session, scope, name))
    return RouteReport(name, route.as_json(), kept.note or None, seconds, tuple(arms), state)


def set_route(
    platform: Platform,
    scope: Scope,
    name: str,
    definition: object,
    *,
    expected: Expected = ANYTHING,
) -> RouteReport:
    """Divide a model's calls as described; raises RouteRefused if it is not possible.

    Raises PreconditionFailed if the route is not as expected.
    """
    route = read_route(definition)
    action = "models.route.set"
    scope.require(Permission.MODELS_WRITE, name)
    admitted = _admitted(platform, scope, name, route)
    with recorded(platform, scope, Permission.MODELS_WRITE, action, name, model=name) as act:
        _check(platform, act, scope, name, expected)
        _confirm(platform, act, scope, name, admitted)
        platform.routing.set(act.session, scope, name, route, created_by=str(scope.principal))
        act.details |= route.as_json()
    return show_route(platform, scope, name)


def delete_route(
    platform: Platform, scope: Scope, name: str, *, expected: Expected = ANYTHING
) -> None:
    """Let the champion answer every call again; raises RouteNotFound or PreconditionFailed."""
    action = "models.route.delete"
    with recorded(platform, scope, Permission.MODELS_WRITE, action, name, model=name) as act:
        _check(platform, act, scope, name, expected)
        platform.routing.delete(act.session, scope, name)


def write_traffic(platform: Platform) -> None:
    """Write down what this worker has counted lately."""
    counts = platform.traffic.recent()
    if counts:
        with platform.database.write() as session:
            platform.routing.write_down(session, platform.holder, counts)


def keep_bounds(platform: Platform) -> bool:
    """Take every version out of its split that has left its route's bounds; say if any has some."""
    with platform.database.read() as session:
        routes = platform.routing.guarded(session)
        found = [
            (guarded, reasons)
            for guarded in routes
            if (reasons := _breaches(platform, session, guarded))
        ]
    for guarded, reasons in found:
        try:
            _fall_back(platform, guarded, reasons)
        except ModelsError as error:  # one route that cannot be changed must not keep the others
            log.warning("a route keeps a version that left its bounds", reason=str(error))
    return bool(routes)


def _check(platform: Platform, act: Act, scope: Scope, name: str, expected: Expected) -> None:
    """Compare under the lock that the change needs anyway: of two that race, one comes second."""
    if expected == ANYTHING:
        return
    facts = platform.routing.state(act.session, scope, name, lock=True)
    expected.check(None if facts is None else state_of(facts))


def _admitted(platform: Platform, scope: Scope, name: str, route: Route) -> list[_Admitted]:
    """Have the model's gate judge what calls would be divided between, beside the champion."""
    with platform.database.read() as session:
        champion = _resolve(platform, session, scope, name, CHAMPION)
        arms = [
            (arm.version, _resolve(platform, session, scope, name, arm.version))
            for arm in route.split
        ]
    return [
        _Admitted(
            reference,
            None if target is None else target.number,
            None
            if target is None or (champion is not None and target.id == champion.id)
            else admit(platform, scope, target, None),
        )
        for reference, target in arms
    ]


def _confirm(
    platform: Platform, act: Act, scope: Scope, name: str, admitted: list[_Admitted]
) -> None:
    """Compare what was judged with what the route would name by now."""
    for each in admitted:
        if each.admission is not None:
            confirm(platform, act, scope, name, None, each.admission)
        found = _resolve(platform, act.session, scope, name, each.version)
        # What cannot answer, then as now, is for the routing to refuse.
        number = None if found is None else found.number
        if each.version != CHAMPION and number != each.number:
            raise PreconditionFailed


def _breaches(
    platform: Platform, session: Session, guarded: Guarded
) -> list[tuple[int | str, str]]:
    bounds = guarded.route.bounds
    assert bounds is not None, "only routes with bounds are guarded"
    since = platform.clock() - bounds.window_seconds
    tallies = platform.routing.tallies(session, guarded.key, since=since)
    seen = [
        (arm.version, _live(platform, session, guarded, tallies, arm.version))
        for arm in guarded.route.split
    ]
    first = seen[0][1]
    reasons = [(version, breach(bounds, tally, first)) for version, tally in seen[1:]]
    return [(version, reason) for version, reason in reasons if reason]


def _live(
    platform: Platform,
    session: Session,
    guarded: Guarded,
    tallies: dict[tuple[str, Role], Tally],
    version: int | str,
) -> Tally:
    try:
        found = platform.registry.resolve(session, guarded, guarded.model, version)
    except ModelsError:
        return NOTHING
    return tallies.get((found.id, "live"), NOTHING)


def _fall_back(platform: Platform, guarded: Guarded, reasons: list[tuple[int | str, str]]) -> None:
    """Take versions out of a split, on record, unless somebody has changed the route meanwhile."""
    route, notes = guarded.route, []
    for version, reason in reasons:
        route = route.without(version)
        notes.append(f"{version} was taken out: {reason}")
    with platform.database.write() as session:
        try:
            if platform.routing.show(session, guarded, guarded.model).key != guarded.key:
                return
        except (ModelNotFound, RouteNotFound):
            return
        platform.routing.set(
            session, guarded, guarded.model, route, created_by=ACTOR, note="; ".join(notes)
        )
        platform.audit.append(
            session,
            actor=ACTOR,
            tenant_id=guarded.tenant_id,
            action="models.route.rollback",
            subject=guarded.model,
            details={"reasons": notes},
        )
        platform.epoch.raise_in(session, guarded.tenant_id)
    platform.epoch.publish()


def _arm(
    platform: Platform,
    session: Session,
    scope: Scope,
    name: str,
    tallies: dict[tuple[str, Role], Tally],
    arm: Arm,
) -> ArmReport:
    version = _resolve(platform, session, scope, name, arm.version)
    tally = tallies.get((version.id, "live"), NOTHING) if version else NOTHING
    return ArmReport(
        version=arm.version,
        number=version.number if version else None,
        role="live",
        weight=arm.weight,
        **_counts(tally),
    )


def _shadow(
    platform: Platform,
    session: Session,
    scope: Scope,
    name: str,
    tallies: dict[tuple[str, Role], Tally],
    arm: Arm,
) -> ArmReport:
    version = _resolve(platform, session, scope, name, arm.version)
    tally = tallies.get((version.id, "shadow"), NOTHING) if version else NOTHING
    compared = tally.rows_compared
    return ArmReport(
        version=arm.version,
        number=version.number if version else None,
        role="shadow",
        weight=None,
        **_counts(tally),
        rows_compared=compared,
        agreement=tally.rows_agreeing / compared if compared else None,
        dropped=tally.dropped,
    )


def _resolve(
    platform: Platform, session: Session, scope: Scope, name: str, version: int | str
) -> Version | None:
    try:
        return platform.registry.resolve(session, scope, name, version)
    except ModelsError:
        return None


def _counts(tally: Tally) -> dict[str, Any]:
    return {
        "requests": tally.requests,
        "errors": tally.errors,
        "error_rate": tally.error_rate,
        "p50_seconds": tally.percentile(0.5),
        "p95_seconds": tally.percentile(0.95),
        "p99_seconds": tally.percentile(0.99),
    }
