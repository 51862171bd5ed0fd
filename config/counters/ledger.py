"""The arithmetic of charging, over any mapping of bytes that can be rolled back."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache, partial
from itertools import starmap
from typing import Final, NamedTuple, Protocol

from config.counters import (
    DAY_SECONDS,
    REQUESTS,
    ROWS,
    Charge,
    Key,
    Marks,
    Total,
    Usage,
    UsageTotals,
    Verdict,
)
from config.counters.keys import DAILY, SLIDING, USAGE, encode, join, of_kind, owned, parts_of
from config.counters.windows import (
    Window,
    add_at,
    freed_at,
    frees,
    over_by,
    read,
    slide,
    spend,
    take_back,
    width,
    write,
)

MICRO: Final = 1_000_000
FIRST_DAY: Final = date(1970, 1, 1).toordinal()
QUOTA: Final = struct.Struct("<qi")  # how much of it is used, ordinal of the day
_TOTALS: Final = struct.Struct("<qqq")


class Records(Protocol):
    """What is kept: an LMDB transaction, or a dictionary that behaves like one."""

    def get(self, key: bytes, /) -> bytes | None:
        """The value, or None."""
        ...

    def put(self, key: bytes, value: bytes, /) -> bool:
        """Set the value."""
        ...

    def delete(self, key: bytes, /) -> bool:
        """Remove the key; says whether it was there."""
        ...


class Moment(NamedTuple):
    """One moment by the store's clock, which may not jump, and by the calendar's."""

    at: float
    wall: float

    @property
    def day(self) -> str:
        """The day in UTC, as 2026-03-01."""
        return day_of(self.wall)

    @property
    def ordinal(self) -> int:
        """The ordinal of that day."""
        return day_number(self.wall) + FIRST_DAY


class SeedMissing(Exception):
    """Raised when a daily counter is new and it is not known what was used before."""

    def __init__(self, charge: Charge, day: str) -> None:
        self.charge = charge
        self.day = day
        super().__init__(f"the counter of {charge.policy} on {day} is new and has no seed")


_Outcome = tuple[int, float, float]  # remaining, reset, wait: 0 if admitted


Seeds = Mapping[tuple[bytes, str], int]


def day_of(wall: float) -> str:
    """The UTC day of a Unix time."""
    return day_name(day_number(wall))


def day_number(wall: float) -> int:
    """The number since 1970 of the UTC day of a Unix time."""
    return int(wall // DAY_SECONDS)


@lru_cache(maxsize=16)
def day_name(number: int) -> str:
    """The day of a number since 1970, as 2026-03-01."""
    return (date(1970, 1, 1) + timedelta(days=number)).isoformat()


def decide(
    records: Records,
    charges: Sequence[Charge],
    moment: Moment,
    seeds: Seeds | None,
    *,
    charging: bool = True,
) -> Verdict:
    """Charge one after the other; the caller rolls the records back if it is not allowed."""
    remaining, reset, waits = [], [], []
    micros = int(moment.at * MICRO)
    for charge in charges:
        if charge.calendar:
            outcome = _daily(records, charge, moment, seeds, write=charging)
        elif charging and charge.amount:
            outcome = _sliding(records, charge, micros)
        else:
            outcome = _look(records, charge, micros)
        remaining.append(outcome[0])
        reset.append(outcome[1])
        waits.append(outcome[2])
    longest = max(waits, default=0.0)
    if charging and longest:
        remaining = _uncharged(charges, remaining, waits)
    violated = charges[waits.index(longest)] if longest else None
    return Verdict(tuple(charges), violated, tuple(remaining), tuple(reset), longest, moment.at)


def has_begun(verdict: Verdict) -> bool:
    """Whether a window of an allowed verdict held nothing before, so that its record may be new."""
    return any(
        left == charge.limit - charge.amount
        for charge, left in zip(verdict.charges, verdict.remaining, strict=True)
    )


def _uncharged(
    charges: Sequence[Charge], remaining: Sequence[int], waits: Sequence[float]
) -> list[int]:
    """What is left when the charges that could have been made are not."""
    return [
        left if wait else left + charge.amount
        for charge, left, wait in zip(charges, remaining, waits, strict=True)
    ]


@lru_cache(maxsize=65_536)
def place_of(key: Key, window: float) -> tuple[bytes, int]:
    """Where sliding counters are kept, and how wide their buckets are."""
    wide = width(window)
    return encode(SLIDING, key, wide), wide


def _sliding(records: Records, charge: Charge, micros: int) -> _Outcome:
    key, wide = place_of(charge.key, charge.window)
    known = records.get(key)
    amount, unit = charge.amount, charge.unit
    amounts = (amount, 0) if unit == REQUESTS else (0, amount)
    record, used = spend(known, micros // wide, wide, *amounts)
    total, free = used[:2] if unit == REQUESTS else used[2:]
    if total > charge.limit:
        return _look(records, charge, micros)
    records.put(key, record)
    return charge.limit - total, (free - micros) / MICRO, 0.0


def _look(records: Records, charge: Charge, micros: int) -> _Outcome:
    key, wide = place_of(charge.key, charge.window)
    window = slide(read(records.get(key))[charge.unit], micros // wide)
    reset = frees(window, wide) - micros if window.total else 0
    over = window.total + charge.amount - charge.limit
    wait: float = 0
    if charge.amount > charge.limit:
        wait = math.inf
    elif charge.amount and over > 0:
        wait = freed_at(window, over) * wide - micros + 1  # what is rounded is never early
    return max(0, charge.limit - window.total), reset / MICRO, wait / MICRO


def _daily(
    records: Records, charge: Charge, moment: Moment, seeds: Seeds | None, *, write: bool
) -> _Outcome:
    key, day = day_key(charge.key, moment.day), moment.day
    used = used_of_day(records.get(key), charge, day, seeds)
    midnight = DAY_SECONDS - moment.wall % DAY_SECONDS
    if used + charge.amount > charge.limit and charge.amount:
        wait = midnight if charge.amount <= charge.limit else math.inf
        return max(0, charge.limit - used), midnight, wait
    if write and charge.amount:
        used += charge.amount
        records.put(key, QUOTA.pack(used, moment.ordinal))
    return max(0, charge.limit - used), midnight, 0.0


def used_of_day(record: bytes | None, charge: Charge, day: str, seeds: Seeds | None) -> int:
    """How much of a daily quota is used; raises SeedMissing if that is unknown."""
    return seed_of(charge, day, seeds) if record is None else int(QUOTA.unpack(record)[0])


def seed_of(charge: Charge, day: str, seeds: Seeds | None) -> int:
    """How much of a daily quota that is new was used before; raises SeedMissing if unknown."""
    if seeds is None:
        return 0
    name = seed_name(charge, day)
    if name not in seeds:
        raise SeedMissing(charge, day)
    return seeds[name]


def seed_name(charge: Charge, day: str) -> tuple[bytes, str]:
    """Under which name a seed is looked up."""
    return day_key(charge.key, day), day


def day_key(key: Key, day: str) -> bytes:
    """Where a daily quota is kept."""
    return encode(DAILY, key, day)


def give_back(records: Records, charges: Sequence[Charge], moment: Moment) -> None:
    """Undo charges that were made at that moment."""
    for charge in charges:
        if charge.calendar:
            _lower(records, day_key(charge.key, moment.day), charge.amount)
            continue
        bucket = int(moment.at * MICRO) // width(charge.window)
        _change(records, charge, partial(take_back, bucket=bucket, amount=charge.amount))


def _change(records: Records, charge: Charge, change: Callable[[Window], Window]) -> None:
    key, wide = place_of(charge.key, charge.window)
    windows = list(read(records.get(key)))
    windows[charge.unit] = change(windows[charge.unit])
    if windows[REQUESTS].total or windows[ROWS].total:
        records.put(key, write((windows[REQUESTS], windows[ROWS]), wide))
    else:
        records.delete(key)


def _lower(records: Records, key: bytes, amount: int) -> None:
    record = records.get(key)
    if record is not None:
        used, day = QUOTA.unpack(record)
        records.put(key, QUOTA.pack(max(0, used - amount), day))


def is_spent(key: bytes, record: bytes, moment: Moment) -> bool:
    """Whether a counter's record says nothing any more."""
    kind = of_kind(key)[:1]
    if kind == SLIDING:
        return over_by(record) <= int(moment.at * MICRO)
    return kind == DAILY and int(QUOTA.unpack(record)[1]) < moment.ordinal


def force(records: Records, charges: Sequence[Charge], moment: Moment, seeds: Seeds | None) -> None:
    """Count charges whatever their limits."""
    for charge in charges:
        if charge.calendar:
            key = day_key(charge.key, moment.day)
            used = used_of_day(records.get(key), charge, moment.day, seeds) + charge.amount
            records.put(key, QUOTA.pack(used, moment.ordinal))
            continue
        bucket = int(moment.at * MICRO) // width(charge.window)
        _change(records, charge, partial(add_at, bucket=bucket, amount=charge.amount))


def add_usage(records: Records, usage: Usage, today: str) -> None:
    """Add to the running total of the usage's day, tenant, subject and model."""
    key = usage_key(usage.day or today, usage.tenant_id, usage.subject_id, usage.model)
    add_to_usage(records, key, usage.requests, usage.rows, usage.compute_us)


def add_to_usage(records: Records, key: bytes, requests: int, rows: int, micros: int) -> None:
    """Add to the running total under a key."""
    known = records.get(key)
    if known is not None:
        before, rows_before, micros_before = _TOTALS.unpack(known)
        requests, rows, micros = requests + before, rows + rows_before, micros + micros_before
    records.put(key, _TOTALS.pack(requests, rows, micros))


@lru_cache(maxsize=65_536)
def usage_key(day: str, tenant_id: str, subject_id: str, model: str) -> bytes:
    """Where the running total of a day, tenant, subject and model is kept."""
    return owned(join((tenant_id,)), USAGE, join((day, subject_id, model)))


def is_usage_before(key: bytes, day: str) -> bool:
    """Whether a running total of an earlier day is kept under a key."""
    return USAGE <= of_kind(key) < USAGE + join((day,))


def write_totals(requests: int, rows: int, micros: int) -> bytes:
    """A running total as it is kept."""
    return _TOTALS.pack(requests, rows, micros)


def read_usage(key: bytes, value: bytes) -> Usage:
    """Read back one running total."""
    tenant_id, day, subject_id, model = parts_of(key)
    requests, rows, compute_us = _TOTALS.unpack(value)
    return Usage(tenant_id, subject_id, model, requests, rows, compute_us, day)


def named(records: Records, totals: Iterable[Total]) -> Iterator[tuple[bytes, bytes]]:
    """Those of the running totals that there are, as they are kept."""
    for key in starmap(usage_key, totals):
        value = records.get(key)
        if value is not None:
            yield key, value


def usage_of(source: str, entries: Iterable[tuple[bytes, bytes]], seen: Marks) -> UsageTotals:
    """Read the running totals of one generation, but those seen: of many few change at a time."""
    marks = {
        key: value
        for key, value in entries
        if seen.get(key) != value and of_kind(key).startswith(USAGE)
    }
    return UsageTotals(source, tuple(read_usage(*mark) for mark in marks.items()), marks)
