"""What was consumed, durably: the running totals of the counter stores, added up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from sqlalchemy import Insert, case, event, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import InstrumentedAttribute, Session

from auth.records import UsageRow
from auth.scope import Scope
from config.counters import DAY_SECONDS, Consumer, Counters, Usage, UsageTotals
from config.counters.ledger import day_of

LATELY_SECONDS: Final = 600.0  # longer than between two writes: midnight may lie in between
TOTALS_AT_ONCE: Final = 5_000  # a store that others ask as well is kept for some milliseconds

Dimension = Literal["tenant", "user", "model", "day"]
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


@dataclass(slots=True)
class _Written:
    """What this process has written of one generation of a store, in its looks of one day."""

    source: str = ""
    day: str = ""
    marks: dict[bytes, bytes] = field(default_factory=dict)


class UsageLedger:
    """Keeps what the counter stores counted, and adds it up."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._written = _Written()

    def flush(self, session: Session, counters: Counters) -> int:
        """Write the running totals that have grown since this process's last, and return how many.

        A total only grows within one generation of a store, so the larger one is the later one,
        whichever of two flushes commits last. Raises CounterStoreDown.
        """
        written, today = self._written, day_of(self._clock())
        if written.day != today:
            written = _Written(day=today)  # or it would grow by each day's callers
        snapshot = counters.usage_totals(written.marks)
        if snapshot.source != written.source:
            if written.marks:
                snapshot = counters.usage_totals()
            written = _Written(snapshot.source, today)
        event.listen(session, "after_commit", lambda _: self._note(written, snapshot), once=True)
        return _write(session, snapshot)

    def flush_some(
        self, session: Session, counters: Counters, consumers: Iterable[Consumer]
    ) -> int:
        """Write what these tenants' subjects used of these models lately, and return how many.

        It takes no longer where there are many others. Raises CounterStoreDown.
        """
        now = self._clock()
        days = {day_of(now), day_of(now - LATELY_SECONDS)}
        totals = sorted((day, *consumer) for consumer in consumers for day in days)
        parts = (totals[at : at + TOTALS_AT_ONCE] for at in range(0, len(totals), TOTALS_AT_ONCE))
        return sum(_write(session, counters.usage_totals(only=part)) for part in parts)

    def forget_flushed(self, counters: Counters) -> None:
        """Drop totals of days that are over from the store; call it after a flush committed."""
        counters.drop_usage_before(day_of(self._clock() - DAY_SECONDS))

    def _note(self, written: _Written, snapshot: UsageTotals) -> None:
        """Remember what is committed, and so need not be written again."""
        written.marks |= snapshot.marks
        self._written = written

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


def _write(session: Session, snapshot: UsageTotals) -> int:
    # One order for all, so that two flushes at once do not wait for each other in a circle.
    values = [_values(usage, snapshot.source) for usage in sorted(snapshot.totals, key=_identity)]
    if values:
        session.connection().execute(_upsert(session), values)
    return len(values)


def _sums() -> list[Any]:
    amounts = (UsageRow.requests, UsageRow.rows, UsageRow.compute_us)
    return [func.sum(amount) for amount in amounts]


def _upsert(session: Session) -> Insert:
    """Of one row, executed with many: a statement that grows with them is compiled each time."""
    on_sqlite = session.get_bind().dialect.name == "sqlite"
    insert = (sqlite.insert if on_sqlite else postgresql.insert)(UsageRow)
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
