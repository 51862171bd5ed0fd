"""Who is counted, what is charged, and what the caller is told about it.

Two layers: requests without a known token are counted by address, before routing, through
flask-limiter; known callers are counted by tenant, user and model in requests and rows. Both stand
on the same counters, exact over all workers; when the shared store is down they go on with a strict
local share (config.counters.guarded).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

import flask
from flask import g, request
from flask_limiter import Limiter, RequestLimit

from auth.plans import TenantLimits
from auth.scope import Scope
from config.counters import Charge, Usage, Verdict
from config.counters.limits_storage import SCHEME, charge_of
from service.bootstrap import Platform
from service.errors import Policy, RateLimited
from service.operations.guesses import counted_address
from service.security import View, authorise, current_platform

MINUTE: Final = 60.0
DAY: Final = 86_400.0


def register(app: flask.Flask, platform: Platform) -> None:
    """Count by address from here on; to be registered after what recognises known tokens."""
    limiter = Limiter(
        key_func=lambda: counted_address(client_address()),
        application_limits=[f"{platform.settings.address_requests_per_minute}/minute"],
        request_identifier=lambda: request.endpoint or "unrouted",  # 404 and 405 count too
        strategy="moving-window",
        storage_uri=f"{SCHEME}://",
        storage_options={"counters": platform.counters},  # type: ignore[dict-item]
        on_breach=_refuse_address,
        headers_enabled=False,
    )
    limiter.request_filter(lambda: g.scope is not None)
    limiter.init_app(app)


def charges_itself(view: View) -> View:
    """Mark a view that charges its rows and its request together, once it has read them."""
    view.charges_itself = True  # type: ignore[attr-defined]
    return view


def client_address() -> str:
    """The caller's address; behind trusted proxies werkzeug has put the real one here."""
    return request.remote_addr or "unknown"


def admit() -> None:
    """Authorise the request, and count it if its caller is known: one that is refused as well.

    Also where no view is or everybody may go, for the count by address leaves known callers out.
    A view that charges rows along with its requests does so itself.
    """
    try:
        authorise()
    except Exception:
        _charge_known()
        raise
    view = flask.current_app.view_functions.get(request.endpoint or "")  # noqa: TID251
    if not getattr(view, "charges_itself", False):
        _charge_known()


def _charge_known() -> None:
    if g.scope is not None:
        charge(g.scope, None, rows=0)


def charge(scope: Scope, model: str | None, *, rows: int) -> None:
    """Charge one request and its rows to tenant, user and model; raises RateLimited if over.

    All or nothing: a refused request burns none of the limits that it would have kept.
    """
    platform = current_platform()
    verdict = platform.counters.charge(_charges(platform, scope, model, rows))
    g.policies = _policies(verdict)
    if verdict.violated is not None:
        raise RateLimited(verdict.violated.policy, verdict.retry_after, g.policies)


@dataclass(slots=True)
class Slot:
    """One of a tenant's places for concurrent requests; what was consumed in it, once known."""

    usage: Usage | None = None


@contextmanager
def slot(scope: Scope) -> Iterator[Slot]:
    """Hold a place until the block ends; raises RateLimited if the tenant's are all taken."""
    platform = current_platform()
    limit = platform.limits_of(scope.tenant_id).of("concurrent_requests")
    key = ("concurrent_requests", scope.tenant_id)
    if not platform.counters.enter(key, limit, platform.holder):
        raise RateLimited("concurrent_requests", 1.0)
    place = Slot()
    try:
        yield place
    finally:
        platform.counters.leave(key, platform.holder, usage=place.usage)


def tell(response: flask.Response) -> flask.Response:
    """Add the IETF RateLimit fields for the limits that the request was charged to."""
    policies: tuple[Policy, ...] = g.get("policies", ())
    if policies:
        response.headers["RateLimit-Policy"] = ", ".join(
            f'"{p.name}";q={p.quota};w={math.ceil(p.window)}' for p in policies
        )
        response.headers["RateLimit"] = ", ".join(
            f'"{p.name}";r={max(0, p.remaining)};t={math.ceil(p.reset)}' for p in policies
        )
    return response


def _refuse_address(breached: RequestLimit) -> flask.Response:
    """Say exactly when the address is admitted again; flask-limiter itself rounds down."""
    limit = breached.limit
    charge = charge_of(breached.key, limit.amount, limit.get_expiry(), 1)
    verdict = current_platform().counters.peek([replace(charge, policy="address")])
    g.policies = _policies(verdict)
    raise RateLimited("address", verdict.retry_after)


def _charge(
    policy: str,
    key: tuple[str, ...],
    amount: int,
    plan: TenantLimits,
    *,
    model: str | None = None,
    window: float = MINUTE,
) -> Charge:
    limit = plan.of(policy, model=model)
    return Charge((policy, *key), amount, limit, window, policy, calendar=window == DAY)


def _policies(verdict: Verdict) -> tuple[Policy, ...]:
    """The limits that the caller is closest to: one of requests, and one of rows if charged."""
    facts = zip(verdict.charges, verdict.remaining, verdict.reset, strict=True)
    policies = sorted(
        (
            Policy(charge.policy, charge.limit, charge.window, remaining, reset)
            for charge, remaining, reset in facts
        ),
        key=lambda policy: policy.remaining / policy.quota,
    )
    closest = {"rows" in policy.name: policy for policy in reversed(policies)}
    return tuple(closest.values())


def _charges(platform: Platform, scope: Scope, model: str | None, rows: int) -> tuple[Charge, ...]:
    """Every limit that the request counts against, the narrowest last."""
    tenant = scope.tenant_id
    mine = (tenant, scope.principal.id)
    plan = platform.limits_of(tenant)
    charges = [
        _charge("requests_per_minute", (tenant,), 1, plan),
        _charge("user_requests_per_minute", mine, 1, plan),
    ]
    if rows:
        charges += [
            _charge("rows_per_minute", (tenant,), rows, plan),
            _charge("user_rows_per_minute", mine, rows, plan),
            _charge("rows_per_day", (tenant,), rows, plan, window=DAY),
        ]
    if model is not None:
        own = (tenant, model)
        charges.append(_charge("model_requests_per_minute", own, 1, plan, model=model))
        if rows:
            charges.append(_charge("model_rows_per_minute", own, rows, plan, model=model))
    return tuple(charges)
