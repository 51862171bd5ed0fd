"""What an answered call is charged and recorded as, prepared once for all calls of its kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from config.counters import (
    DAY_SECONDS,
    REQUESTS,
    ROWS,
    Answered,
    Charge,
    Key,
    Receipt,
    Usage,
    Verdict,
    VersionStatistics,
)
from config.counters.keys import PLACES, encode
from config.counters.ledger import (
    FIRST_DAY,
    MICRO,
    QUOTA,
    Records,
    Seeds,
    add_to_usage,
    day_key,
    day_name,
    place_of,
    seed_of,
    usage_key,
)
from config.counters.statistics import add_success, name_of
from config.counters.windows import spend


class Line(NamedTuple):
    """Two windows under one key, and how much each admits."""

    key: bytes
    wide: int
    most: int
    most_rows: int


class Today(NamedTuple):
    """Where what is kept by day stands on one day."""

    number: int
    ordinal: int
    day: str
    ends: int  # in microseconds since 1970
    quotas: tuple[tuple[bytes, Charge], ...]
    usage: bytes


class Bill:
    """Whom a call is counted against, up to which limits, and to which totals it is added.

    Takes the charges of a call of one row: for each key those of requests and of rows, in that
    order, then the quotas by calendar, which count rows. `usage` names tenant, subject and model,
    `version` the version's tenant, model and number. All that does not change from call to call
    is encoded here, outside of the store's lock.
    """

    __slots__ = (
        "_templates",
        "_today",
        "lines",
        "most",
        "place",
        "places",
        "quotas",
        "statistics",
        "usage",
        "version",
    )

    def __init__(
        self,
        charges: Sequence[Charge],
        *,
        places: Key,
        most: int,
        usage: tuple[str, str, str],
        version: tuple[str, str, int],
    ) -> None:
        self._templates = tuple(charges)
        self.quotas = tuple(charge for charge in charges if charge.calendar)
        self.lines = tuple(_lines([charge for charge in charges if not charge.calendar]))
        self.places = places
        self.place = encode(PLACES, places)
        self.most = most
        self.usage = usage
        self.version = version
        self.statistics = name_of(*version)
        self._today = self._on(0)

    def charges(self, rows: int) -> tuple[Charge, ...]:
        """What a call of so many rows is charged; a receipt speaks of each in this order."""
        return tuple(
            charge if charge.unit == REQUESTS else replace(charge, amount=rows)
            for charge in self._templates
        )

    def usage_of(self, call: Answered) -> Usage:
        """What a call consumed."""
        return Usage(*self.usage, 1, call.rows * call.executions, compute_us(call))

    def statistics_of(self, call: Answered) -> VersionStatistics:
        """What a call did for its version."""
        return VersionStatistics(*self.version, 1, call.total_ns, 0, 0, *call[1:])

    def on(self, number: int) -> Today:
        """Where what is kept by day stands on a day since 1970."""
        today = self._today
        if today.number != number:
            today = self._today = self._on(number)
        return today

    def _on(self, number: int) -> Today:
        day = day_name(number)
        quotas = tuple((day_key(charge.key, day), charge) for charge in self.quotas)
        ends = (number + 1) * DAY_SECONDS * MICRO
        return Today(number, number + FIRST_DAY, day, ends, quotas, usage_key(day, *self.usage))


def settle(
    records: Records, bill: Bill, call: Answered, at: float, wall: float, seeds: Seeds | None
) -> Receipt | None:
    """Charge and record a call; the caller rolls the records back if there is no receipt."""
    get, put = records.get, records.put
    micros = int(at * MICRO)
    rows = call.rows * call.executions
    remaining: list[int] = []
    frees: list[int] = []
    begun = False
    for key, wide, most, most_rows in bill.lines:
        record, used = spend(get(key), micros // wide, wide, 1, rows)
        total, free, of_rows, rows_free = used
        if total > most or of_rows > most_rows or not rows:
            return None
        put(key, record)
        if total == 1:
            begun = True
        remaining += most - total, most_rows - of_rows
        frees += free, rows_free
    today = bill.on(int(wall // DAY_SECONDS))
    for key, charge in today.quotas:
        known = get(key)
        spent = rows + (QUOTA.unpack(known)[0] if known else seed_of(charge, today.day, seeds))
        if spent > charge.limit:
            return None
        put(key, QUOTA.pack(spent, today.ordinal))
        remaining.append(charge.limit - spent)
        frees.append(today.ends - int(wall * MICRO) + micros)
    add_to_usage(records, today.usage, 1, rows, compute_us(call))
    add_success(records, bill.statistics, call, int(wall * 1000))
    return Receipt(remaining, frees, micros, begun)


def receipt_of(verdict: Verdict) -> Receipt | None:
    """The receipt of charges that were made one by one; None if they were refused."""
    if not verdict.allowed:
        return None
    at = int(verdict.at * MICRO)
    return Receipt(verdict.remaining, [at + round(reset * MICRO) for reset in verdict.reset], at)


def compute_us(call: Answered) -> int:
    """What a call computed for, in whole microseconds."""
    return (call.compute_ns + 500) // 1000


def _lines(charges: Sequence[Charge]) -> list[Line]:
    lines = []
    for one, other in zip(charges[::2], charges[1::2], strict=True):
        same = (one.key, one.window) == (other.key, other.window)
        if not same or (one.unit, other.unit) != (REQUESTS, ROWS):
            raise ValueError(f"{one.policy}, {other.policy}: not the two units of one key")
        lines.append(Line(*place_of(one.key, one.window), one.limit, other.limit))
    return lines
