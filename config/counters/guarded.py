"""What happens when the counter store does not answer (security.md, section 4)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final, TypeVar

from config.counters import (
    NOTHING,
    Answered,
    Charge,
    Consumer,
    Counters,
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
from config.counters.bills import Bill, receipt_of
from config.counters.ledger import day_of
from config.counters.local import LocalCounters
from config.counters.owed import Owed
from config.errors import CounterStoreDown

RETRY_SECONDS: Final = 1.0
T = TypeVar("T")


class GuardedCounters:
    """Implements Counters over a store that may be down.

    While it is, each of `workers` processes decides on its own share of every limit, charges that
    are closed when down are refused, and usage and daily charges are kept and handed in later.
    One caller a second tries the store again; the others do not wait for it. `on_mode` is told
    each change, with True when the store decides again.
    """

    def __init__(
        self,
        store: Counters,
        *,
        workers: int,
        on_mode: Callable[[bool], None] = lambda _: None,
        seed: Seed | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._workers = workers
        self._on_mode = on_mode
        self._seed = seed
        self._clock = clock
        self._wall = wall
        self._local = LocalCounters(clock=clock, wall=wall)
        self._lock = threading.Lock()
        self._retry_at = 0.0
        self._down = False
        self._owed = Owed()
        self._used: dict[tuple[Key, str], int] = {}
        self._touched: set[Consumer] = set()

    @property
    def shared(self) -> bool:
        """Whether the store decides."""
        return not self._down

    @property
    def source(self) -> str:
        """The random name of the store's generation; raises CounterStoreDown."""
        return self._store.source

    def charge(
        self, charges: Sequence[Charge], *, usage: Usage | None = None, now: float | None = None
    ) -> Verdict:
        """Make all the charges, or none, in the store or on this process's share."""
        verdict = self._try(
            lambda: self._store.charge(charges, usage=usage, now=now),
            lambda: self._charge_share(charges, usage),
        )
        self._note_usage(usage)
        return verdict

    def peek(self, charges: Sequence[Charge], *, now: float | None = None) -> Verdict:
        """What `charge` would say, without charging."""
        return self._try(
            lambda: self._store.peek(charges, now=now),
            lambda: self._as_asked(charges, self._local.peek(self._shares(charges))),
        )

    def refund(self, verdict: Verdict) -> None:
        """Give back what an allowed verdict charged, where it was charged."""
        if verdict.shared:
            self._try(lambda: self._store.refund(verdict), lambda: None)
        elif verdict.allowed:
            self._local.refund(verdict)
            self._owed.add_charges(verdict.charges, self._wall(), sign=-1)

    def record(self, charges: Sequence[Charge], *, now: float | None = None) -> None:
        """Count what happened elsewhere, once the store answers."""
        self._try(
            lambda: self._store.record(charges, now=now),
            lambda: self._owed.add_charges(charges, self._wall()),
        )

    def enter(self, key: Key, limit: int, holder: str, *, now: float | None = None) -> bool:
        """Take one of `limit` places, or of this process's share of them."""
        return self._try(
            lambda: self._store.enter(key, limit, holder, now=now),
            lambda: self._local.enter(key, limit // self._workers, holder),
        )

    def leave(
        self,
        key: Key,
        holder: str,
        *,
        usage: Usage | None = None,
        statistics: VersionStatistics | None = None,
    ) -> None:
        """Give back one place that the holder took, and record usage and statistics with it."""
        if self._local.holds(key, holder):
            self._local.leave(key, holder)
            if usage is not None:
                self.add_usage(usage)
            if statistics is not None:
                self.add_statistics(statistics)
            return
        self._try(
            lambda: self._store.leave(key, holder, usage=usage, statistics=statistics),
            lambda: self._leave_later(key, holder, usage, statistics),
        )
        self._note_usage(usage)

    def settle(self, bill: Bill, call: Answered, *, now: float | None = None) -> Receipt | None:
        """Charge and record a call that is answered already, in the store or on this share."""
        if self._down:
            receipt = self._try(
                lambda: self._store.settle(bill, call, now=now),
                lambda: self._settle_share(bill, call),
            )
            self._touched.add(bill.usage)
            return receipt
        try:  # without closures, since this stands in every prediction
            receipt = self._store.settle(bill, call, now=now)
        except CounterStoreDown:
            self._note(down=True)
            return self._settle_share(bill, call)
        self._touched.add(bill.usage)
        return receipt

    def add_usage(self, usage: Usage) -> None:
        """Add to the running totals, once the store answers."""
        self._try(
            lambda: self._store.add_usage(usage),
            lambda: self._owed.add_usage(usage, self._wall()),
        )
        self._note_usage(usage)

    def add_statistics(self, statistics: VersionStatistics) -> None:
        """Add to the totals of its version, once the store answers."""
        self._try(
            lambda: self._store.add_statistics(statistics),
            lambda: self._owed.add_statistics(statistics, self._wall()),
        )

    def usage_totals(
        self, seen: Marks = NOTHING, *, only: Collection[Total] | None = None
    ) -> UsageTotals:
        """The store's running totals but those seen, or those named; raises CounterStoreDown."""
        return self._store.usage_totals(seen, only=only)

    def take_touched(self) -> set[Consumer]:
        """Whose totals this process has added to since it was asked last."""
        taken = set()
        with suppress(KeyError):  # one at a time: others are added meanwhile
            while True:
                taken.add(self._touched.pop())
        return taken

    def touch(self, consumers: Iterable[Consumer]) -> None:
        """Say of these totals that they were added to."""
        self._touched.update(consumers)

    def drop_usage_before(self, day: str) -> None:
        """Forget the totals of earlier days; raises CounterStoreDown."""
        self._store.drop_usage_before(day)

    def statistics(
        self, tenant_id: str | None = None, model: str | None = None
    ) -> tuple[VersionStatistics, ...]:
        """The totals of versions, as the store has them; raises CounterStoreDown."""
        return self._store.statistics(tenant_id, model)

    def drop_statistics(
        self, tenant_id: str, model: str | None = None, number: int | None = None
    ) -> None:
        """Forget a tenant, one model, or one version; raises CounterStoreDown."""
        self._store.drop_statistics(tenant_id, model, number)

    def close(self) -> None:
        """Close the store in this process."""
        self._store.close()

    def probe(self) -> bool:
        """Try the store if it is down and due, for a poller; says whether it decides."""
        self._try(lambda: self._store.peek(()), lambda: None)
        return self.shared

    def _try(self, ask: Callable[[], T], fall_back: Callable[[], T]) -> T:
        if self._down and not self._is_due():
            return fall_back()
        try:
            answer = ask()
            if self._down:
                self._hand_in()
        except CounterStoreDown:
            self._note(down=True)
            return fall_back()
        if self._down:
            self._note(down=False)
        return answer

    def _hand_in(self) -> None:
        consumers = self._owed.consumers()
        try:
            self._owed.hand_in(self._store, self._wall())
        finally:
            self.touch(consumers)

    def _note_usage(self, usage: Usage | None) -> None:
        # After it was added: who takes the note in between would read the total without it.
        if usage is not None:
            self._touched.add((usage.tenant_id, usage.subject_id, usage.model))

    def _is_due(self) -> bool:
        """Whether this caller is the one to try again."""
        with self._lock:
            now = self._clock()
            if now < self._retry_at:
                return False
            self._retry_at = now + RETRY_SECONDS
            return True

    def _note(self, *, down: bool) -> None:
        with self._lock:
            changed, self._down = self._down != down, down
            self._retry_at = self._clock() + RETRY_SECONDS
            self._used.clear()
        if changed:
            self._on_mode(not down)

    def _charge_share(self, charges: Sequence[Charge], usage: Usage | None) -> Verdict:
        closed = next((charge for charge in charges if charge.closed_when_down), None)
        if closed is not None:
            return self._closed(charges, closed)
        verdict = self._as_asked(charges, self._local.charge(self._shares(charges)))
        if verdict.allowed:
            self._owed.add_charges(charges, self._wall())
            if usage is not None:
                self._owed.add_usage(usage, self._wall())
        return verdict

    def _settle_share(self, bill: Bill, call: Answered) -> Receipt | None:
        usage = bill.usage_of(call)
        if not usage.rows or not self._local.has_room(bill.places, bill.most // self._workers):
            return None
        receipt = receipt_of(self._charge_share(bill.charges(usage.rows), usage))
        if receipt is not None:
            self._owed.add_statistics(bill.statistics_of(call), self._wall())
        return receipt

    def _closed(self, charges: Sequence[Charge], closed: Charge) -> Verdict:
        at = self._clock()
        nothing = (0,) * len(charges)
        wait = max(self._retry_at - at, 1e-3)
        return Verdict(tuple(charges), closed, nothing, (wait,) * len(charges), wait, at, False)

    def _shares(self, charges: Sequence[Charge]) -> list[Charge]:
        return [
            replace(c, limit=max(0, c.limit - self._used_before(c)) // self._workers)
            for c in charges
        ]

    def _used_before(self, charge: Charge) -> int:
        """How much of a daily quota was used when the store went down, as far as is known."""
        if not charge.calendar or self._seed is None:
            return 0
        name = (charge.key, day_of(self._wall()))
        if name not in self._used:
            self._used[name] = self._seed(*name)
        return self._used[name]

    def _as_asked(self, charges: Sequence[Charge], verdict: Verdict) -> Verdict:
        """The verdict on the shares, in terms of the charges that were asked for."""
        violated = None
        if verdict.violated is not None:
            violated = charges[verdict.charges.index(verdict.violated)]
        return replace(verdict, charges=tuple(charges), violated=violated, shared=False)

    def _leave_later(
        self, key: Key, holder: str, usage: Usage | None, statistics: VersionStatistics | None
    ) -> None:
        self._owed.add_place(key, holder)
        if usage is not None:
            self._owed.add_usage(usage, self._wall())
        if statistics is not None:
            self._owed.add_statistics(statistics, self._wall())
