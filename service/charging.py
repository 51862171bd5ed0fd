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
from operator import truediv
from typing import Final

from limits import parse

from auth.plans import TenantLimits
from auth.scope import Scope
from config.counters import REQUESTS, ROWS, Charge, Receipt, Usage, Verdict, VersionStatistics
from config.counters.bills import Bill
from config.counters.limits_storage import charge_of
from models.versions import Version
from service.bootstrap import Platform
from service.errors import Policy, RateLimited
from service.operations.guesses import counted_address

MINUTE: Final = 60.0
DAY: Final = 86_400.0
ADDRESS: Final = "address"
CONCURRENT: Final = "concurrent_requests"
BY_DAY: Final = "rows_per_day"
MICRO: Final = 1_000_000


def charge(
    platform: Platform, scope: Scope, model: str | None, *, rows: int, requests: int = 1
) -> tuple[Policy, ...]:
    """Charge a request and its rows to tenant, user and model; raises RateLimited if over.

    All or nothing: a refused request burns none of the limits that it would have kept. Returns
    the limits that the caller is closest to. Of a request that is counted already, `requests` is 0.
    """
    plan = platform.limits_of(scope.tenant_id)
    verdict = platform.counters.charge(_charges(plan, scope, model, rows, requests))
    policies = policies_of(verdict)
    if verdict.violated is not None:
        raise RateLimited(verdict.violated.policy, verdict.retry_after, policies)
    return policies


@dataclass(frozen=True, slots=True)
class Tariff:
    """What every call of one principal to one version is charged, and how that is told."""

    bill: Bill
    requests: tuple[int, ...]  # which of its charges count requests
    rows: tuple[int, ...]
    quotas: tuple[int, ...]
    policies: tuple[str, ...]
    names: tuple[str, ...]

    def fields(self, receipt: Receipt) -> tuple[str, str]:
        """The values of RateLimit-Policy and RateLimit after a call, as `fields_of` has them."""
        left, frees, at, _ = receipt
        used = list(map(truediv, left, self.quotas))
        one = min(self.requests, key=used.__getitem__)
        other = min(self.rows, key=used.__getitem__)
        return (
            f"{self.policies[one]}, {self.policies[other]}",
            f"{self.names[one]};r={left[one]};t={-((at - frees[one]) // MICRO)}, "
            f"{self.names[other]};r={left[other]};t={-((at - frees[other]) // MICRO)}",
        )


def tariff(platform: Platform, scope: Scope, version: Version) -> Tariff:
    """What calls of a version are charged; it holds as long as the tenant's limits do."""
    plan = platform.limits_of(scope.tenant_id)
    charges = _charges(plan, scope, version.model, 1, 1)
    bill = Bill(
        charges,
        places=_places(scope),
        most=plan.of(CONCURRENT),
        usage=(scope.tenant_id, scope.principal.id, version.model),
        version=(version.tenant_id, version.model, version.number),
    )
    return Tariff(
        bill,
        requests=tuple(i for i, charge in enumerate(charges) if charge.unit == REQUESTS),
        rows=tuple(i for i, charge in enumerate(charges) if charge.unit == ROWS),
        quotas=tuple(charge.limit for charge in charges),
        policies=tuple(_policy(c.policy, c.limit, c.window) for c in charges),
        names=tuple(f'"{charge.policy}"' for charge in charges),
    )


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
    limit = platform.limits_of(scope.tenant_id).of(CONCURRENT)
    key = _places(scope)
    if not platform.counters.enter(key, limit, platform.holder):
        raise RateLimited(CONCURRENT, 1.0)
    place = Slot()
    try:
        yield place
    finally:
        did = place.statistics() if place.statistics else None
        platform.counters.leave(key, platform.holder, usage=place.usage, statistics=did)


def policies_of(verdict: Verdict) -> tuple[Policy, ...]:
    """The limits that the caller is closest to: one of requests, and one of rows if charged."""
    facts = zip(verdict.charges, verdict.remaining, verdict.reset, strict=True)
    closest: dict[int, Policy] = {}
    for charge, remaining, reset in facts:
        policy = Policy(charge.policy, charge.limit, charge.window, remaining, reset)
        known = closest.setdefault(charge.unit, policy)
        if policy.remaining / policy.quota < known.remaining / known.quota:
            closest[charge.unit] = policy
    return tuple(closest.values())


def fields_of(policies: tuple[Policy, ...]) -> dict[str, str]:
    """The IETF RateLimit fields that tell of limits."""
    return {
        "RateLimit-Policy": ", ".join(_policy(p.name, p.quota, p.window) for p in policies),
        "RateLimit": ", ".join(
            f'"{p.name}";r={max(0, p.remaining)};t={math.ceil(p.reset)}' for p in policies
        ),
    }


def _policy(name: str, quota: int, window: float) -> str:
    return f'"{name}";q={quota};w={math.ceil(window)}'


def _places(scope: Scope) -> tuple[str, str]:
    return (scope.tenant_id, CONCURRENT)


def _charges(
    plan: TenantLimits, scope: Scope, model: str | None, rows: int, requests: int
) -> tuple[Charge, ...]:
    """Every limit that the request counts against, the narrowest last but for the day's."""
    tenant = scope.tenant_id
    # The tenant comes first, so that all that is kept of it stands side by side in the store.
    charges = [
        *_both("", (tenant,), plan, requests, rows),
        *_both("user_", (tenant, "user", scope.principal.id), plan, requests, rows),
    ]
    if model is not None:
        charges += _both("model_", (tenant, "model", model), plan, requests, rows, model=model)
    if rows:
        key, limit = (tenant, BY_DAY), plan.of(BY_DAY)
        charges.append(Charge(key, rows, limit, DAY, BY_DAY, calendar=True, unit=ROWS))
    return tuple(charges)


def _both(
    of: str,
    key: tuple[str, ...],
    plan: TenantLimits,
    requests: int,
    rows: int,
    *,
    model: str | None = None,
) -> Iterator[Charge]:
    """The charges of requests and of rows, if there are any, under one key."""
    policy = f"{of}requests_per_minute"
    yield Charge(key, requests, plan.of(policy, model=model), MINUTE, policy)
    if rows:
        policy = f"{of}rows_per_minute"
        yield Charge(key, rows, plan.of(policy, model=model), MINUTE, policy, unit=ROWS)
