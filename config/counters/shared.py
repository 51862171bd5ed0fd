"""Counters in Valkey or Redis: exact over all processes of all machines."""

from __future__ import annotations

import math
import secrets
from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from redis import ConnectionPool, Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

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
from config.counters.bills import Bill, receipt_of
from config.counters.keys import (
    DAILY,
    PLACES,
    SLIDING,
    USAGE,
    after_first,
    encode,
    join,
    owned,
    split,
)
from config.counters.ledger import MICRO, day_of, usage_of, write_totals
from config.counters.statistics import MOST_VERSIONS, amounts_of
from config.counters.windows import width
from config.errors import CounterStoreDown

PREFIX: Final = b"sallyport:"
SOURCE: Final = PREFIX + b"source"
DAYS: Final = PREFIX + b"days"
LEASES: Final = PREFIX + b"leases"
USAGE_OF: Final = PREFIX + b"usage:"
TENANTS: Final = PREFIX + b"versions"
STATISTICS_OF: Final = PREFIX + b"versions:"
KEEP_DAY_MS: Final = 3 * 86_400_000
TIMEOUT_SECONDS: Final = 0.04  # of connecting and of each answer: a decision takes below 0.1 s
LEASE_SECONDS: Final = 120.0
UNITS: Final = b"nrc"  # requests, rows, compute
AMOUNTS: Final = b"abcdefghijl"  # those of VersionStatistics, in order
_EPOCH: Final = date(1970, 1, 1).toordinal()
_SCRIPTS: Final = Path(__file__).parent


class SharedCounters:
    """Implements Counters in the store at a URL; its clock is the server's.

    A place is a lease: that of a process that died ends by itself, and a request must be over
    before its lease is.
    """

    def __init__(
        self,
        url: str,
        *,
        seed: Seed | None = None,
        timeout: float = TIMEOUT_SECONDS,
        lease: float = LEASE_SECONDS,
    ) -> None:
        address = urlsplit(url)
        self._name = f"{address.scheme}://{address.hostname}:{address.port or 6379}"
        self._pool = _pool(url, timeout)
        self._redis: Any = Redis(connection_pool=self._pool)
        self._seed = seed
        self._lease_ms = math.ceil(lease * 1000)
        self._charge = self._script("charge")
        self._places = self._script("places")
        self._usage = self._script("usage")
        self._statistics = self._script("statistics")

    @property
    def source(self) -> str:
        """The random name of this generation of the store."""
        return self.usage_totals().source

    def charge(
        self, charges: Sequence[Charge], *, usage: Usage | None = None, now: float | None = None
    ) -> Verdict:
        """Make all the charges, and record the usage with them, or none."""
        return self._decide("charge", charges, now, usage)

    def peek(self, charges: Sequence[Charge], *, now: float | None = None) -> Verdict:
        """What `charge` would say, without charging."""
        return self._decide("peek", charges, now)

    def refund(self, verdict: Verdict) -> None:
        """Give back what an allowed verdict charged."""
        if verdict.allowed:
            self._decide("refund", verdict.charges, verdict.at)

    def record(self, charges: Sequence[Charge], *, now: float | None = None) -> None:
        """Count what happened elsewhere, over the limits if need be."""
        self._decide("record", charges, now)

    def enter(self, key: Key, limit: int, holder: str, *, now: float | None = None) -> bool:
        """Take one of `limit` places."""
        keys = [PREFIX + encode(PLACES, key), LEASES]
        arguments = ["enter", _text(holder), limit, self._lease_ms, _micros(now)]
        return bool(self._run(self._places, keys, arguments))

    def leave(
        self,
        key: Key,
        holder: str,
        *,
        usage: Usage | None = None,
        statistics: VersionStatistics | None = None,
    ) -> None:
        """Give back one place that the holder took, and record usage and statistics with it."""
        keys = [PREFIX + encode(PLACES, key), LEASES]
        totals = _usage_arguments(usage) or [""] * 9
        arguments = ["leave", _text(holder), 0, 0, "", *totals, *_statistics_arguments(statistics)]
        self._run(self._places, keys, arguments)

    def settle(self, bill: Bill, call: Answered, *, now: float | None = None) -> Receipt | None:
        """Charge and record a call that is answered already; None if that must not be released."""
        usage = bill.usage_of(call)
        if not usage.rows:
            return None
        charges = bill.charges(usage.rows)
        statistics = _statistics_arguments(bill.statistics_of(call))
        places = [PREFIX + bill.place, bill.most]
        answer = self._ask("settle", charges, now, [*_usage_arguments(usage), *statistics, *places])
        return None if answer[0] == b"full" else receipt_of(_verdict(charges, answer))

    def add_usage(self, usage: Usage) -> None:
        """Add to the running totals of its day, tenant, subject and model."""
        self._decide("charge", (), None, usage)

    def usage_totals(
        self, seen: Marks = NOTHING, *, only: Collection[Total] | None = None
    ) -> UsageTotals:
        """Every running total but those seen, or those named, with their generation."""
        names = [part for day, *rest in only or () for part in (_number(day), join(tuple(rest)))]
        arguments = [secrets.token_hex(12), USAGE_OF, "all" if only is None else "named", *names]
        source, days = self._run(self._usage, [SOURCE, DAYS], arguments)
        entries = (entry for day, flat in days for entry in _usage_of(day, flat))
        return usage_of(source.decode(), entries, seen)

    def drop_usage_before(self, day: str) -> None:
        """Forget the totals of earlier days."""
        try:
            for known in self._redis.smembers(DAYS):
                if int(known) < _number(day):
                    self._redis.delete(USAGE_OF + known)
                    self._redis.srem(DAYS, known)
        except RedisError as error:
            raise self._down(error) from error

    def add_statistics(self, statistics: VersionStatistics) -> None:
        """Add to the totals of its version."""
        self._run(self._statistics, [], ["add", *_statistics_arguments(statistics)])

    def statistics(
        self, tenant_id: str | None = None, model: str | None = None
    ) -> tuple[VersionStatistics, ...]:
        """The totals of every version, of a tenant's, or of one model's."""
        found = self._run(
            self._statistics, [TENANTS], ["read", STATISTICS_OF, tenant_id or "", _name(model)]
        )
        return tuple(one for tenant, flat in found for one in _statistics_of(tenant.decode(), flat))

    def drop_statistics(
        self, tenant_id: str, model: str | None = None, number: int | None = None
    ) -> None:
        """Forget the totals of a tenant, of one model, or of one version."""
        arguments = ["drop", STATISTICS_OF, tenant_id, _name(model, number)]
        self._run(self._statistics, [TENANTS], arguments)

    def close(self) -> None:
        """Close this process's connections."""
        self._pool.disconnect()

    def _decide(
        self, mode: str, charges: Sequence[Charge], now: float | None, usage: Usage | None = None
    ) -> Verdict:
        return _verdict(tuple(charges), self._ask(mode, charges, now, _usage_arguments(usage)))

    def _ask(
        self, mode: str, charges: Sequence[Charge], now: float | None, recorded: Sequence[Any]
    ) -> Any:
        """Run the script until it has every seed that it asks for."""
        keys = [PREFIX + _key(charge) for charge in charges]
        seeds: list[int | str] = ["?" if self._seed and c.calendar else 0 for c in charges]
        while True:
            arguments: list[Any] = [mode, _micros(now), KEEP_DAY_MS]
            for charge, seed in zip(charges, seeds, strict=True):
                wide = 0 if charge.calendar else width(charge.window)
                arguments += [charge.amount, charge.limit, wide, seed]
            answer = self._run(self._charge, keys, [*arguments, *recorded])
            if answer[0] != b"seed":
                return answer
            index = int(answer[1]) - 1
            assert self._seed is not None
            seeds[index] = self._seed(charges[index].key, _day(int(answer[2])))

    def _script(self, name: str) -> Any:
        shared = (_SCRIPTS / "totals.lua").read_text()  # what several scripts write
        return self._redis.register_script(shared + (_SCRIPTS / f"{name}.lua").read_text())

    def _run(self, script: Any, keys: Sequence[bytes], arguments: Sequence[Any]) -> Any:
        try:
            return script(keys=keys, args=arguments)
        except (RedisError, OSError) as error:
            raise self._down(error) from error

    def _down(self, error: Exception) -> CounterStoreDown:
        # Its other connections are as dead as this one; each would fail once after a recovery.
        self._pool.disconnect()
        return CounterStoreDown(self._name, str(error))


def _pool(url: str, timeout: float) -> ConnectionPool:
    return ConnectionPool.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        protocol=2,  # no greeting: a connection costs no round trip of its own
        driver_info=None,
    )


def _key(charge: Charge) -> bytes:
    if charge.calendar:
        return encode(DAILY, charge.key)
    return encode(SLIDING, charge.key, f"{width(charge.window)}/{charge.unit}")


def _verdict(charges: tuple[Charge, ...], answer: Any) -> Verdict:
    at, answers = int(answer[1]), answer[2]
    waits = [math.inf if wait == b"-1" else int(wait) / MICRO for _, _, wait in answers]
    longest = max(waits, default=0.0)
    return Verdict(
        charges,
        charges[waits.index(longest)] if longest else None,
        tuple(int(left) for left, _, _ in answers),
        tuple(int(reset) / MICRO for _, reset, _ in answers),
        longest,
        at / MICRO,
    )


def _usage_arguments(usage: Usage | None) -> list[Any]:
    if usage is None:
        return []
    name = join((usage.tenant_id, usage.subject_id, usage.model))
    day = _number(usage.day) if usage.day else ""
    amounts = [usage.requests, usage.rows, usage.compute_us]
    return [day, SOURCE, secrets.token_hex(12), DAYS, USAGE_OF, name, *amounts]


def _usage_of(day: bytes, flat: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    totals: dict[bytes, dict[int, int]] = defaultdict(dict)
    for field, amount in zip(flat[::2], flat[1::2], strict=True):
        totals[field[1:]][field[0]] = int(amount)
    joined = join((_day(int(day)),))
    return [
        (_usage_key(joined, name), write_totals(*(units[unit] for unit in UNITS)))
        for name, units in totals.items()
    ]


def _usage_key(day: bytes, name: bytes) -> bytes:
    """What `usage_key` makes of the parts of a name, of which the tenant is the first."""
    at = after_first(name)
    return owned(name[:at], USAGE, day + name[at:])


def _statistics_arguments(statistics: VersionStatistics | None) -> list[Any]:
    if statistics is None:
        return []
    name = _name(statistics.model, statistics.number)
    places: list[Any] = [TENANTS, STATISTICS_OF, MOST_VERSIONS]
    return [*places, statistics.tenant_id, name, *amounts_of(statistics)]


def _statistics_of(tenant_id: str, flat: Sequence[bytes]) -> list[VersionStatistics]:
    totals: dict[bytes, dict[int, int]] = defaultdict(dict)
    for field, amount in zip(flat[::2], flat[1::2], strict=True):
        totals[field[1:]][field[0]] = int(amount)
    return [_one_version(tenant_id, name, amounts) for name, amounts in totals.items()]


def _one_version(tenant_id: str, name: bytes, amounts: dict[int, int]) -> VersionStatistics:
    model, number = split(name)
    given = (amounts.get(amount, 0) for amount in AMOUNTS)
    return VersionStatistics(tenant_id, model, int(number), *given)


def _name(model: str | None, number: int | None = None) -> bytes:
    parts = (model, None if number is None else str(number))
    return join(tuple(part for part in parts if part is not None))


def _micros(now: float | None) -> int | str:
    return "" if now is None else int(now * MICRO)


def _text(holder: str) -> bytes:
    return holder.encode("utf-8", "surrogatepass")


def _number(day: str) -> int:
    return date.fromisoformat(day).toordinal() - _EPOCH


def _day(number: int) -> str:
    return day_of(number * 86_400)
