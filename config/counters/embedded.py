"""Counters in LMDB: exact over all processes of one machine, in microseconds."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

import lmdb

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
from config.counters.keys import PLACES, encode
from config.counters.ledger import (
    Moment,
    SeedMissing,
    Seeds,
    add_usage,
    decide,
    force,
    give_back,
    has_begun,
    is_usage_before,
    named,
    seed_name,
    usage_of,
)
from config.counters.places import changed, dead, read_places, taken, taken_in, write_places
from config.counters.statistics import (
    add_statistics,
    are_statistics,
    drop_statistics,
    name_of,
    read_statistics,
)
from config.counters.store import MachineStore, drop, under
from config.counters.sweeping import RECORDS, Sweeper
from config.errors import CounterStoreDown

FORM: Final = "2"  # of keys and records: a file of another form is not read
MAP_BYTES: Final = 64 * 1024 * 1024
SWEEP_WHEN_FULL: Final = 4_096
DROPPED_AT_ONCE: Final = 1_024
LOOK_FOR_DEAD_SECONDS: Final = 0.1
NO_SEEDS: Final[Seeds] = {}
SOURCE: Final = b"m=source"
T = TypeVar("T")


class EmbeddedCounters:
    """Implements Counters in the file at a path.

    `clock` must agree between processes and never jump; `wall` says which day it is. `seed` is
    asked when a daily counter is new, so that a quota survives the loss of the file.
    """

    def __init__(
        self,
        path: Path,
        *,
        seed: Seed | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        size: int = MAP_BYTES,
    ) -> None:
        self._path = path
        self._store = MachineStore(path, size=size, form=FORM)
        self._seed = seed
        self._clock = clock
        self._wall = wall
        self._sweeper = Sweeper()
        self._looked = 0.0
        self._looking = threading.Lock()

    @property
    def source(self) -> str:
        """The random name of this generation of the store."""
        return self._write(_source)

    def charge(
        self, charges: Sequence[Charge], *, usage: Usage | None = None, now: float | None = None
    ) -> Verdict:
        """Make all the charges, and record the usage with them, or none."""

        def work(txn: lmdb.Transaction[bytes]) -> Verdict:
            moment = self._moment(now)
            verdict = decide(txn, charges, moment, seeds)
            if verdict.allowed:
                if usage is not None:
                    add_usage(txn, usage, moment.day)
                if has_begun(verdict):
                    self._sweeper.after_begun(txn, moment)
            return verdict

        seeds = self._seeds()
        return self._write_seeded(work, seeds, keep=lambda verdict: verdict.allowed)

    def peek(self, charges: Sequence[Charge], *, now: float | None = None) -> Verdict:
        """What `charge` would say, without charging."""

        def work(txn: lmdb.Transaction[bytes]) -> Verdict:
            return decide(txn, charges, self._moment(now), seeds, charging=False)

        seeds = self._seeds()
        return self._write_seeded(work, seeds, keep=lambda _: False)

    def refund(self, verdict: Verdict) -> None:
        """Give back what an allowed verdict charged."""
        if verdict.allowed:
            moment = self._moment(verdict.at)
            self._write(lambda txn: give_back(txn, verdict.charges, moment))

    def record(self, charges: Sequence[Charge], *, now: float | None = None) -> None:
        """Count what happened elsewhere, over the limits if need be."""
        seeds = self._seeds()
        self._write_seeded(
            lambda txn: force(txn, charges, self._moment(now), seeds), seeds, keep=lambda _: True
        )

    def enter(self, key: Key, limit: int, holder: str, *, now: float | None = None) -> bool:
        """Take one of `limit` places; when they are full, those of dead processes are freed."""
        name = encode(PLACES, key)
        if self._write(lambda txn: _enter(txn, name, limit, holder)):
            return True
        gone = self._look_for_dead(self._write(lambda txn: txn.get(name)))
        return bool(gone) and self._write(lambda txn: _enter(txn, name, limit, holder, gone))

    def leave(
        self,
        key: Key,
        holder: str,
        *,
        usage: Usage | None = None,
        statistics: VersionStatistics | None = None,
    ) -> None:
        """Give back one place that the holder took, and record usage and statistics with it."""
        name = encode(PLACES, key)

        def work(txn: lmdb.Transaction[bytes]) -> None:
            places = changed(read_places(txn.get(name)), holder, -1)
            _keep(txn, name, write_places(places))
            if usage is not None:
                add_usage(txn, usage, self._moment(None).day)
            if statistics is not None:
                add_statistics(txn, statistics, self._wall())

        self._write(work)

    def settle(self, bill: Bill, call: Answered, *, now: float | None = None) -> Receipt | None:
        """Charge and record a call that is answered already; None if that must not be released."""

        try:
            return self._settle(bill, call, now, None if self._seed is None else NO_SEEDS)
        except (SeedMissing, lmdb.Error, OSError):  # rare, and nothing is written: once more
            return self._settle_seeded(bill, call, now)

    def add_usage(self, usage: Usage) -> None:
        """Add to the running totals of its day, tenant, subject and model."""
        self._write(lambda txn: add_usage(txn, usage, self._moment(None).day))

    def usage_totals(
        self, seen: Marks = NOTHING, *, only: Collection[Total] | None = None
    ) -> UsageTotals:
        """Every running total but those seen, or those named, with their generation."""

        def work(txn: lmdb.Transaction[bytes]) -> UsageTotals:
            entries = txn.cursor() if only is None else named(txn, only)
            return usage_of(_source(txn), entries, seen)

        assert self.source, "it has a name from now on, so that calls are counted meanwhile"
        return self._read(work)

    def drop_usage_before(self, day: str) -> None:
        """Forget the totals of earlier days, some at a time: calls are counted in between."""
        last = b""
        while names := self._read(partial(_usage_before, day=day, start=last)):
            self._write(partial(drop, names=names))
            last = names[-1]

    def add_statistics(self, statistics: VersionStatistics) -> None:
        """Add to the totals of its version."""
        self._write(lambda txn: add_statistics(txn, statistics, self._wall()))

    def statistics(
        self, tenant_id: str | None = None, model: str | None = None
    ) -> tuple[VersionStatistics, ...]:
        """The totals of every version, of a tenant's, or of one model's."""

        def work(txn: lmdb.Transaction[bytes]) -> list[tuple[bytes, bytes]]:
            if tenant_id is None:
                return [one for one in txn.cursor() if are_statistics(one[0])]
            return list(under(txn, name_of(tenant_id, model)))

        found = self._read(work)
        return tuple(read_statistics(name, value) for name, value in found)

    def drop_statistics(
        self, tenant_id: str, model: str | None = None, number: int | None = None
    ) -> None:
        """Forget the totals of a tenant, of one model, or of one version."""

        def work(txn: lmdb.Transaction[bytes]) -> None:
            drop_statistics(txn, [n for n, _ in under(txn, name_of(tenant_id, model, number))])

        self._write(work)

    def close(self) -> None:
        """Close this process's environment; the next call opens it again."""
        self._store.close()

    def _settle_seeded(self, bill: Bill, call: Answered, now: float | None) -> Receipt | None:
        seeds = self._seeds()
        return self._write_seeded(
            lambda txn: self._settled(txn, bill, call, now, seeds),
            seeds,
            keep=lambda receipt: receipt is not None,
        )

    def _settle(
        self, bill: Bill, call: Answered, now: float | None, seeds: Seeds | None
    ) -> Receipt | None:
        """Settle without any of the closures that the general way needs: a tenth of its time."""
        txn = self._store.env.begin(write=True)
        try:
            receipt = self._settled(txn, bill, call, now, seeds)
        except BaseException:
            txn.abort()
            raise
        if receipt is None:
            txn.abort()
        else:
            txn.commit()
        return receipt

    def _settled(
        self,
        txn: lmdb.Transaction[bytes],
        bill: Bill,
        call: Answered,
        now: float | None,
        seeds: Seeds | None,
    ) -> Receipt | None:
        if taken_in(txn.get(bill.place)) >= bill.most:
            return None  # `enter` looks for places of the dead
        clock, wall = self._clock(), self._wall()
        at = clock if now is None else now
        receipt = settle(txn, bill, call, at, wall - clock + at, seeds)
        if receipt is not None and receipt.begun:
            self._sweeper.after_begun(txn, Moment(at, wall - clock + at))
        return receipt

    def _seeds(self) -> dict[tuple[bytes, str], int] | None:
        return None if self._seed is None else {}

    def _moment(self, now: float | None) -> Moment:
        clock = self._clock()
        at = clock if now is None else now
        return Moment(at, self._wall() - clock + at)

    def _write_seeded(
        self,
        work: Callable[[lmdb.Transaction[bytes]], T],
        seeds: dict[tuple[bytes, str], int] | None,
        *,
        keep: Callable[[T], bool],
    ) -> T:
        while True:
            try:
                return self._write(work, keep=keep)
            except SeedMissing as missing:
                # Asked outside of the transaction: the answer comes from another store.
                assert self._seed is not None
                assert seeds is not None
                used = self._seed(missing.charge.key, missing.day)
                seeds[seed_name(missing.charge, missing.day)] = used

    def _read(self, work: Callable[[lmdb.Transaction[bytes]], T]) -> T:
        """Look without keeping writers waiting."""
        try:
            with self._store.env.begin() as txn:
                return work(txn)
        except (lmdb.Error, OSError) as error:
            raise CounterStoreDown(str(self._path), str(error)) from error

    def _write(
        self,
        work: Callable[[lmdb.Transaction[bytes]], T],
        *,
        keep: Callable[[T], bool] = lambda _: True,
    ) -> T:
        try:
            return self._transact(work, keep)
        except lmdb.MapFullError:
            self._make_room()
        except (lmdb.Error, OSError) as error:
            raise CounterStoreDown(str(self._path), str(error)) from error
        try:
            return self._transact(work, keep)
        except (lmdb.Error, OSError) as error:
            raise CounterStoreDown(str(self._path), str(error)) from error

    def _transact(
        self, work: Callable[[lmdb.Transaction[bytes]], T], keep: Callable[[T], bool]
    ) -> T:
        txn = self._store.env.begin(write=True)
        try:
            result = work(txn)
        except BaseException:
            txn.abort()
            raise
        if keep(result):
            txn.commit()
        else:
            txn.abort()
        return result

    def _make_room(self) -> None:
        # In small steps: each needs a little room of its own.
        with suppress(lmdb.MapFullError):
            for _ in range(SWEEP_WHEN_FULL // RECORDS):
                with self._store.env.begin(write=True) as txn:
                    self._sweeper.sweep(txn, self._moment(None))

    def _look_for_dead(self, record: bytes | None) -> set[tuple[int, int]]:
        """Find dead holders, at most ten times a second: a full tenant asks all the time."""
        with self._looking:
            now = time.monotonic()
            if now - self._looked < LOOK_FOR_DEAD_SECONDS:
                return set()
            self._looked = now
        return dead(read_places(record))


def _usage_before(txn: lmdb.Transaction[bytes], *, day: str, start: bytes) -> list[bytes]:
    cursor = txn.cursor()
    cursor.set_range(start)
    names = (name for name in cursor.iternext(values=False) if is_usage_before(name, day))
    return list(islice(names, DROPPED_AT_ONCE))


def _source(txn: lmdb.Transaction[bytes]) -> str:
    source = txn.get(SOURCE)
    if source is None:
        source = secrets.token_hex(12).encode()
        txn.put(SOURCE, source)
    return bytes(source).decode()


def _enter(
    txn: lmdb.Transaction[bytes],
    name: bytes,
    limit: int,
    holder: str,
    gone: set[tuple[int, int]] | None = None,
) -> bool:
    places = read_places(txn.get(name))
    if gone:
        places = [place for place in places if (place.pid, place.started) not in gone]
    if taken(places) >= limit:
        return False
    _keep(txn, name, write_places(changed(places, holder, +1)))
    return True


def _keep(txn: lmdb.Transaction[bytes], name: bytes, record: bytes | None) -> None:
    if record is None:
        txn.delete(name)
    else:
        txn.put(name, record)
