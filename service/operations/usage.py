"""What a tenant consumed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from sqlalchemy.orm import Session

from auth.permissions import Permission
from auth.rows import everything
from auth.scope import Scope
from auth.usage import Dimension
from service.bootstrap import Platform
from service.operations.maintenance import flush_usage

DEFAULT_DAYS: Final = 30


@dataclass(frozen=True, slots=True)
class UsageView:
    """The sums of one tenant, user, model or day."""

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
    today = datetime.fromtimestamp(platform.clock(), UTC).date()
    last = until or today
    first = since or last - timedelta(days=DEFAULT_DAYS)
    flush_usage(platform)
    with platform.database.read() as session:
        sums = platform.usage.usage(session, scope, first.isoformat(), last.isoformat(), by=by)
        names = _names(platform, session, scope) if by == "user" else {}
    return [
        UsageView(names.get(s.key, s.key), s.requests, s.rows, s.compute_us / 1000) for s in sums
    ]


def _names(platform: Platform, session: Session, scope: Scope) -> dict[str, str]:
    """Users and service accounts by identifier; those deleted keep theirs."""
    users = everything(lambda after: platform.accounts.list(session, scope, after=after))
    clients = everything(lambda after: platform.clients.list(session, scope, after=after))
    return {user.id: user.username for user in users} | {c.id: c.name for c in clients}
