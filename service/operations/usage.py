"""What a tenant consumed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from sqlalchemy.orm import Session

from auth.permissions import Permission
from auth.rows import MAX_PAGE, Page, everything
from auth.scope import Scope
from auth.usage import Dimension, UsageSum
from config.errors import CounterStoreDown
from service.bootstrap import Platform
from service.operations.maintenance import flush_usage
from service.operations.tenants import every_tenant

DEFAULT_DAYS: Final = 30


@dataclass(frozen=True, slots=True)
class UsageView:
    """The sums of one tenant, user, model or day."""

    key: str
    requests: int
    rows: int
    compute_ms: float


@dataclass(frozen=True, slots=True)
class TenantUsageView:
    """The sums of one tenant, user, model or day, and whose they are."""

    tenant: str
    key: str
    requests: int
    rows: int
    compute_ms: float


def show_usage(
    platform: Platform,
    scope: Scope,
    *,
    since: date | None = None,
    until: date | None = None,
    by: Dimension = "model",
) -> list[UsageView]:
    """The tenant's usage between two days (UTC, both included), grouped."""
    scope.require(Permission.USAGE)
    pages = everything(
        lambda after: list_usage(
            platform, scope, since=since, until=until, by=by, cursor=after, limit=MAX_PAGE
        )
    )
    return list(pages)


def list_usage(
    platform: Platform,
    scope: Scope,
    *,
    since: date | None = None,
    until: date | None = None,
    by: Dimension = "model",
    cursor: str | None = None,
    limit: int = 100,
) -> Page[UsageView]:
    """A page of the tenant's usage between two days, in order of what it is grouped by."""
    scope.require(Permission.USAGE)
    with suppress(CounterStoreDown):  # what is flushed so far is still worth showing
        flush_usage(platform)
    span = _span(platform, since, until)
    with platform.database.read() as session:
        sums = platform.usage.usage(session, scope, *span, by=by, after=cursor, limit=limit + 1)
        views = _views(platform, session, scope, sums[:limit], by)
    return Page(tuple(views), sums[limit - 1].key if len(sums) > limit else None)


def show_all_usage(
    platform: Platform,
    scope: Scope,
    *,
    since: date | None = None,
    until: date | None = None,
    by: Dimension = "tenant",
) -> list[TenantUsageView]:
    """Every tenant's usage between two days, for operators."""
    scope.require(Permission.USAGE)
    with suppress(CounterStoreDown):  # what is flushed so far is still worth showing
        flush_usage(platform)
    span = _span(platform, since, until)
    with platform.database.read() as session:
        return [
            TenantUsageView(inside.tenant, view.key, view.requests, view.rows, view.compute_ms)
            for inside in every_tenant(platform, session, scope)
            for view in _sums(platform, session, inside, span, by)
        ]


def _span(platform: Platform, since: date | None, until: date | None) -> tuple[str, str]:
    today = datetime.fromtimestamp(platform.clock(), UTC).date()
    last = until or today
    first = since or last - timedelta(days=DEFAULT_DAYS)
    return first.isoformat(), last.isoformat()


def _sums(
    platform: Platform, session: Session, scope: Scope, span: tuple[str, str], by: Dimension
) -> list[UsageView]:
    return _views(platform, session, scope, platform.usage.usage(session, scope, *span, by=by), by)


def _views(
    platform: Platform, session: Session, scope: Scope, sums: list[UsageSum], by: Dimension
) -> list[UsageView]:
    names = {scope.tenant_id: scope.tenant}
    if by == "user":
        names |= _names(platform, session, scope)
    return [
        UsageView(names.get(s.key, s.key), s.requests, s.rows, s.compute_us / 1000) for s in sums
    ]


def _names(platform: Platform, session: Session, scope: Scope) -> dict[str, str]:
    """Users and service accounts by identifier; those deleted keep theirs."""
    users = everything(lambda after: platform.accounts.list(session, scope, after=after))
    clients = everything(lambda after: platform.clients.list(session, scope, after=after))
    return {user.id: user.username for user in users} | {c.id: c.name for c in clients}
