"""The numbers that guard every cache (architecture.md, invariant 3).

Every change of the control plane has a number, higher than that of any change before. What must
be dropped is decided by two of them: the last change that concerns everyone, and the last one that
concerns a tenant. So a tenant's changes cool its own caches and nobody else's.

Their home is a table whose rows commit with the change that they announce. Each machine keeps a
copy in LMDB that all its processes read in about a microsecond.
"""

from __future__ import annotations

import math
import struct
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar

import lmdb
from sqlalchemy import BigInteger, String, case, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from config.counters.store import MachineStore
from config.database import Base, Database

EVERYONE: Final = ""
CHANGES: Final = "*"  # the last change of all, whomever it concerns
FIRST: Final = 0
MAP_BYTES: Final = 16 * 1024 * 1024
_NUMBER: Final = struct.Struct("<q")
_LAST: Final = b"e" + CHANGES.encode()
_unpack = _NUMBER.unpack
K = TypeVar("K")
V = TypeVar("V")


class EpochRow(Base):
    """The number of the last change that concerns a tenant, everyone, or anyone at all."""

    __tablename__ = "epoch"

    concerns: Mapped[str] = mapped_column(String(40), primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger, index=True)


_LAST_COMMITTED: Final = select(EpochRow.value).where(EpochRow.concerns == CHANGES)


class Epoch:
    """Announces changes of the control plane to every process.

    A change calls `raise_in` in its transaction and `publish` after the commit. `refresh`, called
    at least once a second, makes up for a crash between the two, and brings what other machines
    changed.
    """

    def __init__(
        self, database: Database, path: Path, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._clock = clock
        self._store = MachineStore(path, size=MAP_BYTES)

    def raise_in(self, session: Session, concerns: str = EVERYONE) -> None:
        """Number the change that the session is about to commit; `concerns` is a tenant's id.

        The row of all changes stays locked until the commit, so numbers commit in their order.
        They follow the clock where that is ahead, so that a database restored from a backup does
        not count below what its readers have seen.
        """
        now = int(self._clock() * 1_000_000)
        higher = case((EpochRow.value >= now, EpochRow.value + 1), else_=now)
        raised = update(EpochRow).where(EpochRow.concerns == CHANGES).values(value=higher)
        raised = raised.execution_options(synchronize_session=False)
        number = session.scalar(raised.returning(EpochRow.value))
        if number is None:
            number = self._upsert(session, CHANGES, now)
        self._upsert(session, concerns, number)

    def publish(self) -> int:
        """Show what is committed to every process of this machine; returns the last number."""
        return self.refresh()

    def refresh(self) -> int:
        """Copy what is committed to this machine, never backwards; returns the last number."""
        known = self._known(CHANGES)
        last = self._database.glance(_LAST_COMMITTED) or FIRST
        if known is not None and last <= known:
            return known
        rows = self._committed_since(FIRST - 1 if known is None else known)
        try:
            self._advance([(CHANGES, last), *rows], known=known)
        except (lmdb.Error, OSError):
            self._give_up()
        return last

    def current(self) -> int:
        """The last number published here, or if the copy cannot be read, the last committed."""
        try:
            with self._store.env.begin() as txn:
                record = txn.get(_LAST)
        except (lmdb.Error, OSError):
            record = None
        return self.refresh() if record is None else _unpack(record)[0]

    def newest(self, tenant_id: str = EVERYONE) -> int:
        """The last published change that concerns the tenant or everyone."""
        known = self._known(EVERYONE, tenant_id)
        return self._committed(EVERYONE, tenant_id) if known is None else known

    def close(self) -> None:
        """Close this process's copy; the next call opens it again."""
        self._store.close()

    def _upsert(self, session: Session, concerns: str, value: int) -> int:
        insert = sqlite.insert if self._database.dialect == "sqlite" else postgresql.insert
        first = insert(EpochRow).values(concerns=concerns, value=value)
        # Of two first changes at once the second finds the row of the first.
        higher = case((EpochRow.value >= value, EpochRow.value + 1), else_=value)
        again = first.on_conflict_do_update(index_elements=["concerns"], set_={"value": higher})
        return int(session.scalars(again.returning(EpochRow.value)).one())

    def _committed(self, *concerns: str) -> int:
        newest = select(func.max(EpochRow.value)).where(EpochRow.concerns.in_(concerns))
        with self._database.read() as session:
            value = session.scalar(newest)
        return FIRST if value is None else value

    def _committed_since(self, number: int) -> list[tuple[str, int]]:
        later = select(EpochRow.concerns, EpochRow.value).where(
            EpochRow.value > number, EpochRow.concerns != CHANGES
        )
        with self._database.read() as session:
            return [(concerns, value) for concerns, value in session.execute(later)]

    def _known(self, *concerns: str) -> int | None:
        """The highest of the numbers copied here; None if the copy cannot be read or is empty."""
        try:
            with self._store.env.begin() as txn:
                if txn.get(_key(CHANGES)) is None:
                    return None
                records = [txn.get(_key(name)) for name in concerns]
        except (lmdb.Error, OSError):
            return None
        return max((_NUMBER.unpack(r)[0] for r in records if r is not None), default=FIRST)

    def _advance(self, numbers: Iterable[tuple[str, int]], *, known: int | None) -> None:
        with self._store.env.begin(write=True) as txn:
            if known is not None and txn.get(_key(CHANGES)) is None:
                return  # thrown away meanwhile: what is later than `known` would not be the whole
            for concerns, value in numbers:
                record = txn.get(_key(concerns))
                if record is None or value > _NUMBER.unpack(record)[0]:
                    txn.put(_key(concerns), _NUMBER.pack(value))

    def _give_up(self) -> None:
        """Leave nobody with a copy that hides a change: without one, the database is asked."""
        with suppress(lmdb.Error, OSError), self._store.env.begin() as txn:
            if txn.get(_key(CHANGES)) is None:
                return  # nobody believes an empty one
        with suppress(OSError):  # there is none, then
            self._store.discard()


def _key(concerns: str) -> bytes:
    return b"e" + concerns.encode()


@dataclass(slots=True)
class _Entry(Generic[V]):
    value: V
    seen: int
    concerns: str
    expires: float
    checked: int  # the last change of all when nothing was found that concerns it


class EpochCache(Generic[K, V]):
    """A bounded cache whose entries stand until a change that concerns them.

    An entry remembers the last change before it was loaded, so what was loaded while a change
    committed does not outlive its publication. `load` must read with a transaction of its own.
    `concerns` names the tenant that a value belongs to; without it, only changes that concern
    everyone count.
    """

    def __init__(
        self,
        epoch: Epoch,
        capacity: int,
        *,
        concerns: Callable[[V], str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._epoch = epoch
        self._capacity = capacity
        self._concerns = concerns
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[K, _Entry[V]] = OrderedDict()
        self.hits = self.misses = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """The value, if nothing that concerns it changed since and it has not expired."""
        entry = self._entries.get(key)
        if entry is not None and entry.expires <= self._clock():
            self._drop(key, entry)
            entry = None
        if entry is None or not self._stands(entry):
            with self._lock:
                self.misses += 1
            return None
        with self._lock:
            self.hits += 1
            if key in self._entries:
                self._entries.move_to_end(key)
        return entry.value

    def remembers(self, key: K) -> bool:
        """Say whether the key had a value, be it before the last change that concerns it."""
        return key in self._entries

    def last(self, key: K) -> V | None:
        """The last value that the key had, be it before the last change that concerns it."""
        entry = self._entries.get(key)
        return None if entry is None else entry.value

    def forget(self, key: K) -> None:
        """Drop the value of a key that has none any more."""
        with self._lock:
            self._entries.pop(key, None)

    def fetch(
        self, key: K, load: Callable[[], V], *, expires: Callable[[V], float] | None = None
    ) -> V:
        """The value, loaded if need be; `expires` tells until which Unix time it may be kept."""
        found = self.get(key)
        if found is not None:
            return found
        seen = self._epoch.current()
        value = load()
        until = math.inf if expires is None else expires(value)
        concerns = EVERYONE if self._concerns is None else self._concerns(value)
        self._keep(key, _Entry(value, seen, concerns, until, seen))
        return value

    def _stands(self, entry: _Entry[V]) -> bool:
        # Mostly nothing at all has changed, which one number tells. It is read before what
        # changed for whom: a change between the two is looked at by the next call.
        current = self._epoch.current()
        if current != entry.checked:
            if self._epoch.newest(entry.concerns) > entry.seen:
                return False
            entry.checked = current
        return True

    def _keep(self, key: K, entry: _Entry[V]) -> None:
        with self._lock:
            known = self._entries.get(key)
            if known is None or known.seen <= entry.seen:
                self._entries[key] = entry
                self._entries.move_to_end(key)
            if len(self._entries) > self._capacity:
                self._entries.popitem(last=False)

    def _drop(self, key: K, entry: _Entry[V]) -> None:
        with self._lock:
            if self._entries.get(key) is entry:
                del self._entries[key]
