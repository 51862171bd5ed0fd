"""What was consumed, durably: the running totals of the counter stores, added up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Literal

from sqlalchemy import Insert, case, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import InstrumentedAttribute, Session

from auth.records import UsageRow
from auth.scope import Scope
from config.counters import DAY_SECONDS, Counters, Usage
from config.counters.ledger import day_of

Dimension = Literal["tenant", "user", "model", "day"]
UPSERT_ROWS: Final = 500  # SQLite takes at most 32,766 variables in a statement
_COLUMNS: Final[dict[str, InstrumentedAttribute[str]]] = {
    "tenant": UsageRow.tenant_id,
    "user": UsageRow.subject_id,
    "model": UsageRow.model,
    "day": UsageRow.day,
}


@dataclass(frozen=True, slots=True)
class UsageSum:
    """What one tenant, user, model or day comes to; `key` says which."""

    key: str
    requests: int
    rows: int
    compute_us: int


class UsageLedger:
    """Keeps what the counter stores counted, and adds it up."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def flush(self, session: Session, counters: Counters) -> int:
        """Write the store's running totals, and return how many; again it changes nothing.

        A total only grows within one generation of a store, so the larger one is the later one,
        whichever of two flushes commits last. Raises CounterStoreDown.
        """
        snapshot = counters.usage_totals()
        # One order for all, so that two flushes at once do not wait for each other in a circle.
        totals = sorted(snapshot.totals, key=_identity)
        for some in _batches(totals):
            session.execute(_upsert(session, [_values(usage, snapshot.source) for usage in some]))
        return len(totals)

    def forget_flushed(self, counters: Counters) -> None:
        """Drop totals of days that are over from the store; call it after a flush committed."""
        counters.drop_usage_before(day_of(self._clock() - DAY_SECONDS))

    def usage(
        self,
        session: Session,
        scope: Scope,
        since: str,
        until: str,
        *,
        by: Dimension = "model",
        after: str | None = None,
        limit: int | None = None,
    ) -> list[UsageSum]:
        """Sum what the scope's tenant used from one day to another, both included (YYYY-MM-DD).

        In order of key: those that follow `after`, at most `limit`.
        """
        column = _COLUMNS[by]
        query = (
            select(column, *_sums())
            .where(UsageRow.tenant_id == scope.tenant_id, UsageRow.day.between(since, until))
            .group_by(column)
            .order_by(column)
            .limit(limit)
        )
        found = session.execute(query if after is None else query.where(column > after))
        return [
            UsageSum(key, int(requests), int(rows), int(compute_us))
            for key, requests, rows, compute_us in found
        ]

    def rows_on(self, session: Session, tenant_id: str, day: str) -> int:
        """How many rows the tenant used on a day, as far as flushed: the seed of its quota."""
        total = select(func.sum(UsageRow.rows)).where(
            UsageRow.tenant_id == tenant_id, UsageRow.day == day
        )
        return int(session.scalar(total) or 0)


def _sums() -> list[Any]:
    amounts = (UsageRow.requests, UsageRow.rows, UsageRow.compute_us)
    return [func.sum(amount) for amount in amounts]


def _upsert(session: Session, values: list[dict[str, str | int]]) -> Insert:
    on_sqlite = session.get_bind().dialect.name == "sqlite"
    insert = (sqlite.insert if on_sqlite else postgresql.insert)(UsageRow).values(values)
    larger = {
        name: case(
            (insert.excluded[name] > getattr(UsageRow, name), insert.excluded[name]),
            else_=getattr(UsageRow, name),
        )
        for name in ("requests", "rows", "compute_us")
    }
    keys = ["day", "tenant_id", "subject_id", "model", "source"]
    return insert.on_conflict_do_update(index_elements=keys, set_=larger)


def _values(total: Usage, source: str) -> dict[str, str | int]:
    return {
        "day": total.day,
        "tenant_id": total.tenant_id,
        "subject_id": total.subject_id,
        "model": total.model,
        "source": source,
        "requests": total.requests,
        "rows": total.rows,
        "compute_us": total.compute_us,
    }


def _identity(total: Usage) -> tuple[str, str, str, str]:
    return total.day, total.tenant_id, total.subject_id, total.model


def _batches(totals: Iterable[Usage]) -> Iterator[list[Usage]]:
    rest = iter(totals)
    while some := list(islice(rest, UPSERT_ROWS)):
        yield some
