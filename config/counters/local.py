"""Counters in the memory of one process: its share while the shared store is down."""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Final

from config.counters import (
    NOTHING,
    Answered,
    Charge,
    Key,
    Marks,
    Receipt,
    Seed,
    Total,
    Usage,
    UsageTotals,
    Verdict,
    VersionStatistics,
)
from config.counters.bills import Bill, settle
from config.counters.ledger import (
    Moment,
    SeedMissing,
    add_usage,
    decide,
    force,
    give_back,
    is_spent,
    is_usage_before,
    named,
    seed_name,
    usage_of,
)
from config.counters.statistics import (
    add_statistics,
    are_statistics,
    drop_statistics,
    name_of,
    read_statistics,
)

FEWEST_SWEPT: Final = 4_096


class LocalCounters:
    """Implements Counters for the threads of one process."""

    def __init__(
        self,
        *,
        seed: Seed | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._seed = seed
        self._clock = clock
        self._wall = wall
        self._lock = threading.RLock()
        self._records: dict[bytes, bytes] = {}
        self._held: dict[Key, Counter[str]] = {}
        self._sweep_above = FEWEST_SWEPT
        self._source = secrets.token_hex(12)

    @property
    def source(self) -> str:
        """The random name of this object."""
        return self._source

    def charge(
        self, charges: Sequence[Charge], *, usage: Usage | None = None, now: float | None = None
    ) -> Verdict:
        """Make all the charges, and record the usage with them, or none."""
        with self._lock:
            moment = self._moment(now)
            changes = _Changes(self._records)
            verdict = decide(changes, charges, moment, self._seeds(charges, moment))
            if verdict.allowed:
                if usage is not None:
                    add_usage(changes, usage, moment.day)
                changes.commit()
                self._sweep(moment)
            return verdict

    def peek(self, charges: Sequence[Charge], *, now: float | None = None) -> Verdict:
        """What `charge` would say, without charging."""
        with self._lock:
            moment = self._moment(now)
            seeds = self._seeds(charges, moment)
            return decide(_Changes(self._records), charges, moment, seeds, charging=False)

    def refund(self, verdict: Verdict) -> None:
        """Give back what an allowed verdict charged."""
        if verdict.allowed:
            with self._lock, _Changes(self._records) as changes:
                give_back(changes, verdict.charges, self._moment(verdict.at))

    def record(self, charges: Sequence[Charge], *, now: float | None = None) -> None:
        """Count what happened elsewhere, over the limits if need be."""
        with self._lock, _Changes(self._records) as changes:
            moment = self._moment(now)
            force(changes, charges, moment, self._seeds(charges, moment))

    def enter(self, key: Key, limit: int, holder: str, *, now: float | None = None) -> bool:
        """Take one of `limit` places."""
        with self._lock:
            held = self._held.setdefault(key, Counter())
            if held.total() >= limit:
                return False
            held[holder] += 1
            return True

    def leave(
        self,
        key: Key,
        holder: str,
        *,
        usage: Usage | None = None,
        statistics: VersionStatistics | None = None,
    ) -> None:
        """Give back one place that the holder took, and record usage and statistics with it."""
        with self._lock:
            held = self._held.get(key, Counter[str]())
            held[holder] -= 1
            self._held[key] = +held
            if not self._held[key]:
                del self._held[key]
        if usage is not None:
            self.add_usage(usage)
        if statistics is not None:
            self.add_statistics(statistics)

    def settle(self, bill: Bill, call: Answered, *, now: float | None = None) -> Receipt | None:
        """Charge and record a call that is answered already; None if that must not be released."""
        with self._lock:
            if not self.has_room(bill.places, bill.most):
                return None
            moment = self._moment(now)
            changes = _Changes(self._records)
            seeds = self._seeds(bill.quotas, moment)
            receipt = settle(changes, bill, call, *moment, seeds)
            if receipt is not None:
                changes.commit()
                self._sweep(moment)
            return receipt

    def add_usage(self, usage: Usage) -> None:
        """Add to the running totals of its day, tenant, subject and model."""
        with self._lock, _Changes(self._records) as changes:
            add_usage(changes, usage, self._moment(None).day)

    def usage_totals(
        self, seen: Marks = NOTHING, *, only: Collection[Total] | None = None
    ) -> UsageTotals:
        """Every running total but those seen, or those named."""
        with self._lock:
            entries = (
                self._records.items() if only is None else named(_Changes(self._records), only)
            )
            return usage_of(self._source, entries, seen)

    def drop_usage_before(self, day: str) -> None:
        """Forget the totals of earlier days."""
        with self._lock:
            for key in [key for key in self._records if is_usage_before(key, day)]:
                del self._records[key]

    def add_statistics(self, statistics: VersionStatistics) -> None:
        """Add to the totals of its version."""
        with self._lock, _Changes(self._records) as changes:
            add_statistics(changes, statistics, self._wall())

    def statistics(
        self, tenant_id: str | None = None, model: str | None = None
    ) -> tuple[VersionStatistics, ...]:
        """The totals of every version, of a tenant's, or of one model's."""
        with self._lock:
            if tenant_id is None:
                found = [one for one in self._records.items() if are_statistics(one[0])]
            else:
                found = self._under(name_of(tenant_id, model))
        return tuple(read_statistics(key, value) for key, value in found)

    def drop_statistics(
        self, tenant_id: str, model: str | None = None, number: int | None = None
    ) -> None:
        """Forget the totals of a tenant, of one model, or of one version."""
        with self._lock, _Changes(self._records) as changes:
            drop_statistics(changes, [k for k, _ in self._under(name_of(tenant_id, model, number))])

    def holds(self, key: Key, holder: str) -> bool:
        """Whether the holder has a place here."""
        with self._lock:
            return self._held.get(key, Counter[str]())[holder] > 0

    def has_room(self, key: Key, limit: int) -> bool:
        """Whether one of `limit` places is free here."""
        with self._lock:
            return self._held.get(key, Counter[str]()).total() < limit

    def close(self) -> None:
        """Nothing is open."""

    def _under(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        return [item for item in self._records.items() if item[0].startswith(prefix)]

    def _moment(self, now: float | None) -> Moment:
        clock = self._clock()
        at = clock if now is None else now
        return Moment(at, self._wall() - clock + at)

    def _seeds(
        self, charges: Sequence[Charge], moment: Moment
    ) -> dict[tuple[bytes, str], int] | None:
        if self._seed is None:
            return None
        seeds: dict[tuple[bytes, str], int] = {}
        for charge in charges:
            try:
                decide(_Changes(self._records), [charge], moment, seeds)
            except SeedMissing as missing:
                seeds[seed_name(charge, missing.day)] = self._seed(charge.key, missing.day)
        return seeds

    def _sweep(self, moment: Moment) -> None:
        if len(self._records) < self._sweep_above:
            return
        spent = [key for key, value in self._records.items() if is_spent(key, value, moment)]
        for key in spent:
            del self._records[key]
        self._sweep_above = max(FEWEST_SWEPT, 2 * len(self._records))


class _Changes:
    """Changes to a dictionary that are made together or not at all."""

    def __init__(self, records: dict[bytes, bytes]) -> None:
        self._records = records
        self._changed: dict[bytes, bytes | None] = {}

    def __enter__(self) -> _Changes:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.commit()

    def get(self, key: bytes, /) -> bytes | None:
        return self._changed[key] if key in self._changed else self._records.get(key)

    def put(self, key: bytes, value: bytes, /) -> bool:
        self._changed[key] = value
        return True

    def delete(self, key: bytes, /) -> bool:
        self._changed[key] = None
        return True

    def commit(self) -> None:
        for key, value in self._changed.items():
            if value is None:
                self._records.pop(key, None)
            else:
                self._records[key] = value
