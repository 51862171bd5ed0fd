"""What every version of a model answered: the totals that all workers add to."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from functools import lru_cache
from operator import add
from typing import Final

from config.counters import Answered, Counters, VersionStatistics
from config.counters.keys import STATISTICS, join, of_kind, owned, parts_of
from config.counters.ledger import Records

MOST_VERSIONS: Final = 50_000  # of all tenants: a quarter of the embedded store at most
KEPT_WHEN_FULL: Final = 40_000
COUNT: Final = b"m=versions"
_COUNT: Final = struct.Struct("<q")
_TOTALS: Final = struct.Struct("<11q")


class Statistics:
    """Reads and forgets what the counter store keeps of each version.

    Every method raises CounterStoreDown.
    """

    def __init__(self, counters: Counters, *, most: int = KEPT_WHEN_FULL) -> None:
        self._counters = counters
        self._most = most

    def of(self, tenant_id: str, model: str | None = None) -> list[VersionStatistics]:
        """What each version of a tenant answered, of one model or of all, in order."""
        found = self._counters.statistics(tenant_id, model)
        return sorted(found, key=lambda version: (version.model, version.number))

    def forget(self, tenant_id: str, model: str | None = None, number: int | None = None) -> None:
        """Forget a tenant, one of its models, or one version."""
        self._counters.drop_statistics(tenant_id, model, number)

    def prune(self, tenants: frozenset[str]) -> None:
        """Forget all but these tenants, and what was called longest ago if there is too much."""
        found = self._counters.statistics()
        for tenant_id in {version.tenant_id for version in found} - tenants:
            self.forget(tenant_id)
        kept = [version for version in found if version.tenant_id in tenants]
        kept.sort(key=lambda version: version.last_ms, reverse=True)
        for version in kept[self._most :]:
            self.forget(version.tenant_id, version.model, version.number)


@lru_cache(maxsize=65_536)
def name_of(tenant_id: str, model: str | None = None, number: int | None = None) -> bytes:
    """Where the totals of a version are kept, or with what those of several begin."""
    parts = (model, None if number is None else str(number))
    named = join(tuple(part for part in parts if part is not None))
    return owned(join((tenant_id,)), STATISTICS, named)


def are_statistics(key: bytes) -> bool:
    """Whether the totals of a version are kept under a key."""
    return of_kind(key).startswith(STATISTICS)


def amounts_of(statistics: VersionStatistics) -> tuple[int, ...]:
    """The amounts alone, in the order in which they are kept."""
    return statistics[3:]


def sum_of(one: VersionStatistics, other: VersionStatistics) -> VersionStatistics:
    """Both together; they are of the same version."""
    added = VersionStatistics(*one[:3], *map(add, amounts_of(one), amounts_of(other)))
    return added._replace(last_ms=max(one.last_ms, other.last_ms))


def add_statistics(records: Records, statistics: VersionStatistics, wall: float) -> None:
    """Add to the totals of a version; those of a new one are kept while there is room."""
    key = name_of(statistics.tenant_id, statistics.model, statistics.number)
    *amounts, last = amounts_of(statistics)
    last = last or int(wall * 1000)
    known = records.get(key)
    if known is not None:
        totals = _TOTALS.unpack(known)
        records.put(key, _TOTALS.pack(*map(add, totals, amounts), max(last, totals[10])))
    elif _take_room(records):
        records.put(key, _TOTALS.pack(*amounts, last))


def add_success(records: Records, key: bytes, call: Answered, last_ms: int) -> None:
    """Add a call that was answered; the same by names, which take less than half of the time."""
    known = records.get(key)
    total_ns, queue_ns, decode_ns, compute_ns, encode_ns, more_rows, more_executions = call
    if known is not None:
        count, total, fails, failed, queue, decode, compute, encode, rows, executions, last = (
            _TOTALS.unpack(known)
        )
        record = _TOTALS.pack(
            count + 1,
            total + total_ns,
            fails,
            failed,
            queue + queue_ns,
            decode + decode_ns,
            compute + compute_ns,
            encode + encode_ns,
            rows + more_rows,
            executions + more_executions,
            last if last > last_ms else last_ms,
        )
        records.put(key, record)
    elif _take_room(records):
        records.put(key, _TOTALS.pack(1, total_ns, 0, 0, *call[1:], last_ms))


def read_statistics(key: bytes, value: bytes) -> VersionStatistics:
    """Read back the totals of one version."""
    tenant_id, model, number = parts_of(key)
    return VersionStatistics(tenant_id, model, int(number), *_TOTALS.unpack(value))


def drop_statistics(records: Records, keys: Iterable[bytes]) -> None:
    """Forget the totals under these keys, and give back their room."""
    gone = sum(records.delete(key) for key in keys)
    records.put(COUNT, _COUNT.pack(max(0, _count(records) - gone)))


def _take_room(records: Records) -> bool:
    count = _count(records)
    if count >= MOST_VERSIONS:
        return False
    records.put(COUNT, _COUNT.pack(count + 1))
    return True


def _count(records: Records) -> int:
    record = records.get(COUNT)
    return 0 if record is None else int(_COUNT.unpack(record)[0])
