"""What a store that was down must still be told."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Final

from config.counters import Charge, Consumer, Counters, Key, Usage, VersionStatistics
from config.counters.ledger import day_of
from config.counters.statistics import MOST_VERSIONS, sum_of
from config.errors import CounterStoreDown

MOST_PLACES: Final = 100_000  # the others end with their lease or their process


class Owed:
    """Usage, statistics, daily charges, places given back: added up until they can be handed in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._usage: dict[tuple[str, str, str, str], Usage] = {}
        self._statistics: dict[tuple[str, str, int], VersionStatistics] = {}
        self._daily: Counter[tuple[Charge, str]] = Counter()
        self._places: list[tuple[Key, str]] = []

    def add_usage(self, usage: Usage, wall: float) -> None:
        """Add to what is owed for the usage's day, tenant, subject and model."""
        day = usage.day or day_of(wall)
        name = (day, usage.tenant_id, usage.subject_id, usage.model)
        with self._lock:
            known = self._usage.get(name, Usage(*name[1:], 0, 0, 0, day))
            self._usage[name] = replace(
                known,
                requests=known.requests + usage.requests,
                rows=known.rows + usage.rows,
                compute_us=known.compute_us + usage.compute_us,
            )

    def consumers(self) -> set[Consumer]:
        """Whose usage is owed: tenants, subjects and models."""
        with self._lock:
            return {(tenant, subject, model) for _, tenant, subject, model in self._usage}

    def add_statistics(self, statistics: VersionStatistics, wall: float) -> None:
        """Add to what is owed for a version, which was called just now unless it says when."""
        name = (statistics.tenant_id, statistics.model, statistics.number)
        dated = statistics._replace(last_ms=statistics.last_ms or int(wall * 1000))
        with self._lock:
            known = self._statistics.get(name)
            if known is not None:
                self._statistics[name] = sum_of(known, dated)
            elif len(self._statistics) < MOST_VERSIONS:
                self._statistics[name] = dated

    def add_charges(self, charges: Iterable[Charge], wall: float, *, sign: int = 1) -> None:
        """Remember the daily ones; a sliding window is over before it would matter."""
        with self._lock:
            for charge in charges:
                if charge.calendar:
                    name = (replace(charge, amount=0), day_of(wall))
                    self._daily[name] += sign * charge.amount

    def add_place(self, key: Key, holder: str) -> None:
        """Remember a place that was given back."""
        with self._lock:
            if len(self._places) < MOST_PLACES:
                self._places.append((key, holder))

    def hand_in(self, store: Counters, wall: float) -> None:
        """Tell the store everything; raises CounterStoreDown with the rest still owed."""
        while usage := self._next_usage():
            with _kept(partial(self.add_usage, usage, wall)):
                store.add_usage(usage)
        while statistics := self._next_statistics():
            with _kept(partial(self.add_statistics, statistics, wall)):
                store.add_statistics(statistics)
        while charge := self._next_charge(day_of(wall)):
            with _kept(partial(self.add_charges, [charge], wall)):
                store.record([charge])
        while place := self._next_place():
            with _kept(partial(self.add_place, *place)):
                store.leave(*place)

    def _next_usage(self) -> Usage | None:
        with self._lock:
            return self._usage.popitem()[1] if self._usage else None

    def _next_statistics(self) -> VersionStatistics | None:
        with self._lock:
            return self._statistics.popitem()[1] if self._statistics else None

    def _next_charge(self, today: str) -> Charge | None:
        with self._lock:
            while self._daily:
                (charge, day), amount = self._daily.popitem()
                if day == today and amount > 0:
                    return replace(charge, amount=amount)
            return None

    def _next_place(self) -> tuple[Key, str] | None:
        with self._lock:
            return self._places.pop() if self._places else None


@contextmanager
def _kept(owe_again: Callable[[], None]) -> Iterator[None]:
    try:
        yield
    except CounterStoreDown:
        owe_again()
        raise
