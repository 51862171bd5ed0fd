"""What is kept of every call, whichever door it came through: counts, a line, perhaps a trace.

Whoever called appears as opaque identifiers. Nothing that a caller sent is kept but the
identifiers of its own trace (W3C Trace Context).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from auth.scope import Scope
from config.spans import Trace, span_between
from config.telemetry import NO_DIALECT, STAGES, Tally
from models.versions import Version
from service.bootstrap import Platform
from service.stages import Stages
from service.visits import Visit

UNROUTED = "unrouted"
ANY = "any"  # a method that nothing here has may be any word, and each would be kept for ever

ID_SIGNS: Final = 16
IDS_AT_ONCE: Final = 256
TIMING: Final = "".join(f"{stage};dur=%.3f, " for stage in STAGES) + "total;dur=%.3f"

log = structlog.get_logger("sallyport.requests")


@dataclass(slots=True, kw_only=True)
class Call:
    """A call from its beginning on, and what became known of it."""

    platform: Platform
    request_id: str
    trace: Trace | None
    stages: Stages = field(default_factory=Stages)
    scope: Scope | None = None
    visit: Visit | None = None  # if it asked for a prediction
    problem: str | None = None  # the name of what it was refused for
    dialect: str = NO_DIALECT  # of its address, where it was refused before it could visit

    def spoken(self) -> str:
        """The dialect that it is counted under."""
        return self.visit.dialect if self.visit else self.dialect


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a call was answered: words of this program, none of the caller's.

    The status is HTTP's, over gRPC as well; the route has no values in it.
    """

    status: int
    endpoint: str = UNROUTED
    method: str = ANY
    route: str = UNROUTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurring:
    """What is alike in all predictions that a version makes for a caller at one address."""

    platform: Platform
    scope: Scope
    version: Version
    dialect: str
    outcome: Outcome
    tally: Tally


class Identifiers:
    """Random identifiers, drawn many at a time: a system call for each takes five times as long."""

    def __init__(self) -> None:
        self._left: list[str] = []
        # Or a fork would give the same ones as the process that it was forked from.
        os.register_at_fork(after_in_child=self._left.clear)

    def next(self) -> str:
        """One that nobody foresees; from any thread."""
        try:
            return self._left.pop()
        except IndexError:
            drawn = os.urandom(IDS_AT_ONCE * ID_SIGNS // 2).hex()
            first, *rest = (drawn[at : at + ID_SIGNS] for at in range(0, len(drawn), ID_SIGNS))
            self._left.extend(rest)
            return first


request_ids: Final = Identifiers()


def begin(platform: Platform, header: Callable[[str], str | None]) -> Call:
    """Begin a call; every log line of this context carries its identifier from here on."""
    parent = header("traceparent")
    trace = platform.tracing.begin(parent, header("tracestate") if parent else None)
    call = Call(platform=platform, request_id=request_ids.next(), trace=trace)
    name(call.request_id)
    if trace is not None:
        structlog.contextvars.bind_contextvars(trace_id=f"{trace.trace_id:032x}")
    return call


def name(request_id: str) -> None:
    """Have every log line of this context carry the identifier of a call from here on."""
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=request_id)


def finish(call: Call, outcome: Outcome) -> dict[str, str]:
    """Count and log an answer, and return the headers or metadata that tell of it."""
    seconds, told = call.stages.total, {}
    version = call.visit.version if call.visit else None
    if call.problem is not None:
        call.platform.telemetry.refusals.labels(call.problem, call.spoken()).inc()
    # Predictions alone: how long another answer or a refusal took may tell what is secret.
    if version is not None and outcome.status < 400:
        call.stages.done("encode")
        spent = [call.stages.spent[stage] for stage in STAGES]
        tally = tally_of(call.platform, version, call.spoken(), outcome)
        tally.add(rows=0, total=seconds, spent=spent)  # rows were counted as they were answered
        told["Server-Timing"] = server_timing(spent, seconds)
    else:
        _count(call, outcome, seconds)
    response = _trace(call, outcome, seconds)
    if response is not None:
        told["traceresponse"] = response
    if logging.root.isEnabledFor(logging.DEBUG):
        _tell(call, outcome, seconds)
    return told


def is_plain(platform: Platform, traceparent: str | None) -> bool:
    """Whether a prediction can be told of by `tell` alone, without a Call.

    That is so unless it is part of a trace of its caller's, or lines are written that name it.
    """
    if traceparent and platform.tracing.is_on:
        return False
    return not logging.root.isEnabledFor(logging.DEBUG)


def tell(
    recurring: Recurring, request_id: str, *, rows: int, total: float, spent: Sequence[float]
) -> tuple[str, str | None]:
    """Count a plain prediction that is answered; returns its `Server-Timing` and `traceresponse`.

    The seconds are those of all, and of each of STAGES.
    """
    recurring.tally.add(rows=rows, total=total, spent=spent)
    response = None
    if recurring.platform.tracing.is_on:
        response = _draw(recurring, request_id, rows=rows, total=total, spent=spent)
    return server_timing(spent, total), response


def tally_of(platform: Platform, version: Version, dialect: str, outcome: Outcome) -> Tally:
    """What counts the predictions of a version that are answered like this."""
    return platform.telemetry.predictions(
        endpoint=outcome.endpoint,
        method=outcome.method,
        status=str(outcome.status),
        dialect=dialect,
        engine=version.manifest.contents.engine,
    )


def server_timing(spent: Sequence[float], total: float) -> str:
    """The seconds of STAGES and their total, in milliseconds (W3C Server Timing)."""
    return TIMING % tuple([seconds * 1000 for seconds in (*spent, total)])


def _count(call: Call, outcome: Outcome, seconds: float) -> None:
    telemetry = call.platform.telemetry
    telemetry.requests.labels(outcome.endpoint, outcome.method, str(outcome.status)).inc()
    telemetry.request_seconds.labels(outcome.endpoint, call.spoken()).observe(seconds)


def _draw(
    recurring: Recurring, request_id: str, *, rows: int, total: float, spent: Sequence[float]
) -> str | None:
    """Trace a call that is answered, if it is of the share that is drawn."""
    trace = recurring.platform.tracing.draw()
    if trace is None:
        return None
    stages = Stages()
    stages.spent.update(zip(STAGES, spent, strict=True))
    visit = Visit(
        platform=recurring.platform,
        scope=recurring.scope,
        dialect=recurring.dialect,
        header=lambda _name: None,
        request_id=request_id,
        stages=stages,
        version=recurring.version,
        rows=rows,
    )
    call = Call(
        platform=recurring.platform,
        request_id=request_id,
        trace=trace,
        stages=stages,
        scope=recurring.scope,
        visit=visit,
    )
    return _trace(call, recurring.outcome, total)


def _tell(call: Call, outcome: Outcome, seconds: float) -> None:
    log.debug(
        "answered",
        endpoint=outcome.endpoint,
        dialect=call.spoken(),
        status=outcome.status,
        problem=call.problem,
        seconds=round(seconds, 6),
        stages={stage: round(took, 6) for stage, took in call.stages.spent.items()},
        tenant=call.scope.tenant_id if call.scope else None,
        principal=call.scope.principal.id if call.scope else None,
    )


def _trace(call: Call, outcome: Outcome, seconds: float) -> str | None:
    if call.trace is None or not call.platform.tracing.is_on:
        return None
    name = f"{outcome.method} {outcome.route}"
    span = span_between(name, seconds, _attributes(call, outcome), failed=outcome.status >= 500)
    known = call.scope is not None
    return call.platform.tracing.end(call.trace, span, call.stages.spent, known=known)


def _attributes(call: Call, outcome: Outcome) -> dict[str, str | int]:
    found: dict[str, str | int | None] = {
        "http.request.method": outcome.method,
        "http.route": outcome.route,
        "http.response.status_code": outcome.status,
        "sallyport.endpoint": outcome.endpoint,
        "sallyport.dialect": call.spoken(),
        "sallyport.request_id": call.request_id,
        "sallyport.problem": call.problem,
    }
    if call.scope is not None:
        found["sallyport.tenant_id"] = call.scope.tenant_id
        found["sallyport.principal_id"] = call.scope.principal.id
    if call.visit is not None and call.visit.version is not None:
        version = call.visit.version
        found["sallyport.version_id"] = version.id  # opaque, where a name is its tenant's own
        found["sallyport.engine"] = version.manifest.contents.engine
        found["sallyport.rows"] = call.visit.rows
    return {name: value for name, value in found.items() if value is not None}
