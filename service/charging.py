"""What a call is charged, and the place that it holds meanwhile.

Known callers are counted by tenant, user and model in requests and rows, strangers by address.
All stand on the same counters, exact over all processes, whichever way a call came; when the
shared store is down they go on with a strict local share (config.counters.guarded).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from limits import parse

from auth.plans import TenantLimits
from auth.scope import Scope
from config.counters import Charge, Usage, Verdict, VersionStatistics
from config.counters.limits_storage import charge_of
from service.bootstrap import Platform
from service.errors import Policy, RateLimited
from service.operations.guesses import counted_address

MINUTE: Final = 60.0
DAY: Final = 86_400.0
ADDRESS: Final = "address"


def charge(
    platform: Platform, scope: Scope, model: str | None, *, rows: int, requests: int = 1
) -> tuple[Policy, ...]:
    """Charge a request and its rows to tenant, user and model; raises RateLimited if over.

    All or nothing: a refused request burns none of the limits that it would have kept. Returns
    the limits that the caller is closest to. Of a request that is counted already, `requests` is 0.
    """
    verdict = platform.counters.charge(_charges(platform, scope, model, rows, requests))
    policies = policies_of(verdict)
    if verdict.violated is not None:
        raise RateLimited(verdict.violated.policy, verdict.retry_after, policies)
    return policies


def address_limit(platform: Platform) -> str:
    """The limit of strangers by address, as the `limits` library writes it."""
    return f"{platform.settings.address_requests_per_minute}/minute"


def charge_address(platform: Platform, address: str) -> None:
    """Charge a stranger's request where no flask-limiter stands; raises RateLimited.

    The key is the one that flask-limiter makes, so that both ways count together.
    """
    limit = parse(address_limit(platform))
    key = limit.key_for(counted_address(address), "global")
    verdict = platform.counters.charge([charge_of(key, limit.amount, limit.get_expiry(), 1)])
    if verdict.violated is not None:
        raise RateLimited(ADDRESS, verdict.retry_after)


@dataclass(slots=True)
class Slot:
    """One of a tenant's places for concurrent requests.

    What was consumed in it, once known, and what its call did for a version, asked at the end.
    """

    usage: Usage | None = None
    statistics: Callable[[], VersionStatistics] | None = None


@contextmanager
def slot(platform: Platform, scope: Scope) -> Iterator[Slot]:
    """Hold a place until the block ends; raises RateLimited if the tenant's are all taken."""
    limit = platform.limits_of(scope.tenant_id).of("concurrent_requests")
    key = ("concurrent_requests", scope.tenant_id)
    if not platform.counters.enter(key, limit, platform.holder):
        raise RateLimited("concurrent_requests", 1.0)
    place = Slot()
    try:
        yield place
    finally:
        did = place.statistics() if place.statistics else None
        platform.counters.leave(key, platform.holder, usage=place.usage, statistics=did)


def policies_of(verdict: Verdict) -> tuple[Policy, ...]:
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


def fields_of(policies: tuple[Policy, ...]) -> dict[str, str]:
    """The IETF RateLimit fields that tell of limits."""
    return {
        "RateLimit-Policy": ", ".join(
            f'"{p.name}";q={p.quota};w={math.ceil(p.window)}' for p in policies
        ),
        "RateLimit": ", ".join(
            f'"{p.name}";r={max(0, p.remaining)};t={math.ceil(p.reset)}' for p in policies
        ),
    }


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


def _charges(
    platform: Platform, scope: Scope, model: str | None, rows: int, requests: int
) -> tuple[Charge, ...]:
    """Every limit that the request counts against, the narrowest last."""
    tenant = scope.tenant_id
    mine = (tenant, scope.principal.id)
    plan = platform.limits_of(tenant)
    charges = [
        _charge("requests_per_minute", (tenant,), requests, plan),
        _charge("user_requests_per_minute", mine, requests, plan),
    ]
    if rows:
        charges += [
            _charge("rows_per_minute", (tenant,), rows, plan),
            _charge("user_rows_per_minute", mine, rows, plan),
            _charge("rows_per_day", (tenant,), rows, plan, window=DAY),
        ]
    if model is not None:
        own = (tenant, model)
        charges.append(_charge("model_requests_per_minute", own, requests, plan, model=model))
        if rows:
            charges.append(_charge("model_rows_per_minute", own, rows, plan, model=model))
    return tuple(charges)
