"""The arithmetic of charging, over any mapping of bytes that can be rolled back."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

from config.counters import DAY_SECONDS, Charge, Key, Usage, UsageTotals, Verdict
from config.counters.keys import DAILY, SLIDING, USAGE, encode, join, split
from config.counters.windows import (
    BUCKETS,
    Window,
    add,
    freed_at,
    over_by,
    read,
    spend,
    take_back,
    width,
)

MICRO: Final = 1_000_000
_DAY: Final = struct.Struct("<qi")  # amount, ordinal of the day
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
    return _day_name(int(wall // DAY_SECONDS))


@lru_cache(maxsize=16)
def _day_name(number: int) -> str:
    return (date(1970, 1, 1) + timedelta(days=number)).isoformat()


def decide(
    records: Records,
    charges: Sequence[Charge],
    moment: Moment,
    seeds: Seeds | None,
    *,
    write: bool = True,
) -> Verdict:
    """Charge one after the other; the caller rolls the records back if it is not allowed."""
    remaining, reset, waits = [], [], []
    micros = int(moment.at * MICRO)
    for charge in charges:
        if charge.calendar:
            outcome = _daily(records, charge, moment, seeds, write=write)
        elif write and charge.amount:
            outcome = _sliding(records, charge, micros)
        else:
            outcome = _look(records, charge, micros)
        remaining.append(outcome[0])
        reset.append(outcome[1])
        waits.append(outcome[2])
    longest = max(waits, default=0.0)
    if longest and write:
        remaining = _uncharged(charges, remaining, waits)
    violated = charges[waits.index(longest)] if longest else None
    return Verdict(tuple(charges), violated, tuple(remaining), tuple(reset), longest, moment.at)


def _uncharged(
    charges: Sequence[Charge], remaining: Sequence[int], waits: Sequence[float]
) -> list[int]:
    """What is left when the charges that could have been made are not."""
    return [
        left if wait else left + charge.amount
        for charge, left, wait in zip(charges, remaining, waits, strict=True)
    ]


@lru_cache(maxsize=65_536)
def _place(key: Key, window: float) -> tuple[bytes, int]:
    """Where a sliding counter is kept, and how wide its buckets are."""
    wide = width(window)
    return encode(SLIDING, key, wide), wide


def _sliding(records: Records, charge: Charge, micros: int) -> _Outcome:
    key, wide = _place(charge.key, charge.window)
    record = records.get(key)
    spent = spend(record, micros, wide, charge.amount, charge.limit)
    if spent is None:
        window = read(record, micros, wide)
        if window.total + charge.amount > charge.limit:
            return _refusal(window, charge, micros)
        total, oldest = window.total + charge.amount, freed_at(window, 1) - BUCKETS
        records.put(key, add(window, charge.amount))
    else:
        record, total, oldest = spent
        records.put(key, record)
    return charge.limit - total, ((oldest + BUCKETS) * wide - micros) / MICRO, 0.0


def _look(records: Records, charge: Charge, micros: int) -> _Outcome:
    key, wide = _place(charge.key, charge.window)
    window = read(records.get(key), micros, wide)
    if charge.amount and window.total + charge.amount > charge.limit:
        return _refusal(window, charge, micros)
    first = freed_at(window, 1) * wide - micros if window.parts else 0
    return max(0, charge.limit - window.total), first / MICRO, 0.0


def _refusal(window: Window, charge: Charge, micros: int) -> _Outcome:
    over = window.total + charge.amount - charge.limit
    first = freed_at(window, 1) * window.wide - micros if window.parts else 0
    wait = math.inf
    if charge.amount <= charge.limit:
        wait = freed_at(window, over) * window.wide - micros + 1  # what is rounded is never early
    return max(0, charge.limit - window.total), first / MICRO, wait / MICRO


def _daily(
    records: Records, charge: Charge, moment: Moment, seeds: Seeds | None, *, write: bool
) -> _Outcome:
    used = _used(records, charge, moment.day, seeds)
    midnight = DAY_SECONDS - moment.wall % DAY_SECONDS
    if used + charge.amount > charge.limit and charge.amount:
        wait = midnight if charge.amount <= charge.limit else math.inf
        return max(0, charge.limit - used), midnight, wait
    if write and charge.amount:
        records.put(_day_key(charge, moment.day), _count(used + charge.amount, moment.day))
        used += charge.amount
    return max(0, charge.limit - used), midnight, 0.0


def _used(records: Records, charge: Charge, day: str, seeds: Seeds | None) -> int:
    key = _day_key(charge, day)
    record = records.get(key)
    if record is not None:
        return int(_DAY.unpack(record)[0])
    if seeds is None:
        return 0
    if (key, day) not in seeds:
        raise SeedMissing(charge, day)
    return seeds[key, day]


def seed_name(charge: Charge, day: str) -> tuple[bytes, str]:
    """Under which name a seed is looked up."""
    return _day_key(charge, day), day


def _day_key(charge: Charge, day: str) -> bytes:
    return encode(DAILY, charge.key, day)


def give_back(records: Records, charges: Sequence[Charge], moment: Moment) -> None:
    """Undo charges that were made at that moment."""
    for charge in charges:
        if charge.calendar:
            _lower(records, _day_key(charge, moment.day), charge.amount)
            continue
        key, wide = _place(charge.key, charge.window)
        micros = int(moment.at * MICRO)
        window = read(records.get(key), micros, wide)
        _set(records, key, take_back(window, micros // wide, charge.amount))


def _count(amount: int, day: str) -> bytes:
    return _DAY.pack(amount, date.fromisoformat(day).toordinal())


def _lower(records: Records, key: bytes, amount: int) -> None:
    record = records.get(key)
    if record is not None:
        used, day = _DAY.unpack(record)
        records.put(key, _DAY.pack(max(0, used - amount), day))


def is_spent(key: bytes, record: bytes, moment: Moment) -> bool:
    """Whether a counter's record says nothing any more."""
    if key.startswith(SLIDING):
        return over_by(record) <= int(moment.at * MICRO)
    today = date.fromisoformat(moment.day).toordinal()
    return key.startswith(DAILY) and int(_DAY.unpack(record)[1]) < today


def force(records: Records, charges: Sequence[Charge], moment: Moment, seeds: Seeds | None) -> None:
    """Count charges whatever their limits."""
    for charge in charges:
        if charge.calendar:
            used = _used(records, charge, moment.day, seeds)
            records.put(_day_key(charge, moment.day), _count(used + charge.amount, moment.day))
            continue
        key, wide = _place(charge.key, charge.window)
        window = read(records.get(key), int(moment.at * MICRO), wide)
        records.put(key, add(window, charge.amount))


def add_usage(records: Records, usage: Usage, today: str) -> None:
    """Add to the running total of the usage's day, tenant, subject and model."""
    key = _usage_key(usage.day or today, usage.tenant_id, usage.subject_id, usage.model)
    requests, rows, micros = _TOTALS.unpack(records.get(key) or bytes(_TOTALS.size))
    records.put(
        key,
        _TOTALS.pack(requests + usage.requests, rows + usage.rows, micros + usage.compute_us),
    )


@lru_cache(maxsize=65_536)
def _usage_key(day: str, tenant_id: str, subject_id: str, model: str) -> bytes:
    return USAGE + join((day, tenant_id, subject_id, model))


def read_usage(key: bytes, value: bytes) -> Usage:
    """Read back one running total."""
    day, tenant_id, subject_id, model = split(key[len(USAGE) :])
    requests, rows, compute_us = _TOTALS.unpack(value)
    return Usage(tenant_id, subject_id, model, requests, rows, compute_us, day)


def usage_of(source: str, entries: Sequence[tuple[bytes, bytes]]) -> UsageTotals:
    """Read the running totals of one generation."""
    return UsageTotals(source, tuple(read_usage(key, value) for key, value in entries))


def _set(records: Records, key: bytes, record: bytes | None) -> None:
    if record is None:
        records.delete(key)
    else:
        records.put(key, record)
