"""What is kept of every call, whichever door it came through: counts, a line, perhaps a trace.

Whoever called appears as opaque identifiers. Nothing that a caller sent is kept but the
identifiers of its own trace (W3C Trace Context).
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from auth.scope import Scope
from config.spans import Trace, span_between
from config.telemetry import NO_DIALECT
from service.bootstrap import Platform
from service.stages import Stages
from service.visits import Visit

UNROUTED = "unrouted"
ANY = "any"  # a method that nothing here has may be any word, and each would be kept for ever

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


def begin(platform: Platform, header: Callable[[str], str | None]) -> Call:
    """Begin a call; every log line of this context carries its identifier from here on."""
    trace = platform.tracing.begin(header("traceparent"), header("tracestate"))
    call = Call(platform=platform, request_id=secrets.token_hex(8), trace=trace)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=call.request_id)
    if trace is not None:
        structlog.contextvars.bind_contextvars(trace_id=f"{trace.trace_id:032x}")
    return call


def finish(call: Call, outcome: Outcome) -> dict[str, str]:
    """Count and log an answer, and return the headers or metadata that tell of it."""
    telemetry, dialect = call.platform.telemetry, call.spoken()
    seconds, spent, told = call.stages.total, call.stages.spent, {}
    telemetry.requests.labels(outcome.endpoint, outcome.method, str(outcome.status)).inc()
    telemetry.request_seconds.labels(outcome.endpoint, dialect).observe(seconds)
    if call.problem is not None:
        telemetry.refusals.labels(call.problem, dialect).inc()
    # Predictions alone: how long another answer or a refusal took may tell what is secret.
    if "compute" in spent and outcome.status < 400:
        call.stages.done("encode")
        telemetry.staged(dialect, spent)
        told["Server-Timing"] = server_timing(call.stages, seconds)
    response = _trace(call, outcome, seconds)
    if response is not None:
        told["traceresponse"] = response
    if logging.root.isEnabledFor(logging.DEBUG):
        _tell(call, outcome, seconds)
    return told


def server_timing(stages: Stages, seconds: float) -> str:
    """The stages and their total in milliseconds (W3C Server Timing)."""
    spent = [*stages.spent.items(), ("total", seconds)]
    return ", ".join(f"{name};dur={took * 1000:.3f}" for name, took in spent)


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
    if call.trace is None:
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
