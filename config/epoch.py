"""One number that guards every cache (architecture.md, invariant 3).

The number's home is a row that commits with the change it announces. Each machine keeps a copy in
LMDB that all its processes read in about a microsecond.
"""

from __future__ import annotations

import math
import struct
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, NamedTuple, TypeVar

import lmdb
from sqlalchemy import BigInteger, case, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from config.counters.store import MachineStore
from config.database import Base, Database

ONLY_ROW: Final = 1
FIRST: Final = 0
MAP_BYTES: Final = 1024 * 1024
_NAME: Final = b"epoch"
_NUMBER: Final = struct.Struct("<q")
K = TypeVar("K")
V = TypeVar("V")


class EpochRow(Base):
    """The one row that holds the epoch."""

    __tablename__ = "epoch"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    value: Mapped[int] = mapped_column(BigInteger)


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

    def raise_in(self, session: Session) -> None:
        """Count the change that the session is about to commit; inserts the row if absent.

        The number follows the clock where that is ahead, so that a database restored from a
        backup does not count below what its readers have seen.
        """
        now = int(self._clock() * 1_000_000)
        higher = case((EpochRow.value >= now, EpochRow.value + 1), else_=now)
        raised = update(EpochRow).where(EpochRow.id == ONLY_ROW).values(value=higher)
        raised = raised.execution_options(synchronize_session=False)
        if session.scalar(raised.returning(EpochRow.value)) is None:
            self._insert(session, now)

    def publish(self) -> int:
        """Show the committed number to every process of this machine; returns it."""
        return self.refresh()

    def refresh(self) -> int:
        """Copy the committed number to this machine, never backwards; returns it."""
        value = self._committed()
        try:
            return self._advance(value)
        except (lmdb.Error, OSError):
            return value  # `current` asks the database then

    def current(self) -> int:
        """The number now: from this machine's copy, or if it cannot be read, from the database."""
        try:
            with self._store.env.begin() as txn:
                record = txn.get(_NAME)
        except (lmdb.Error, OSError):
            record = None
        if record is not None:
            return int(_NUMBER.unpack(record)[0])
        return self.refresh()

    def close(self) -> None:
        """Close this process's copy; the next call opens it again."""
        self._store.close()

    def _insert(self, session: Session, value: int) -> None:
        insert = sqlite.insert if self._database.dialect == "sqlite" else postgresql.insert
        first = insert(EpochRow).values(id=ONLY_ROW, value=value)
        # Another process may have inserted it since.
        again = {"value": EpochRow.value + 1}
        session.execute(first.on_conflict_do_update(index_elements=["id"], set_=again))

    def _committed(self) -> int:
        with self._database.read() as session:
            value = session.scalar(select(EpochRow.value).where(EpochRow.id == ONLY_ROW))
        return FIRST if value is None else value

    def _advance(self, value: int) -> int:
        with self._store.env.begin(write=True) as txn:
            record = txn.get(_NAME)
            known = FIRST - 1 if record is None else _NUMBER.unpack(record)[0]
            if value > known:
                txn.put(_NAME, _NUMBER.pack(value))
        return max(value, known)


class _Entry(NamedTuple, Generic[V]):
    value: V
    expires: float


class EpochCache(Generic[K, V]):
    """A bounded cache whose entries stand only while the epoch does.

    An entry is of the epoch that was read before it was loaded, so what was loaded while a change
    committed does not outlive its publication. `load` must read with a transaction of its own.
    """

    def __init__(
        self, epoch: Epoch, capacity: int, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._epoch = epoch
        self._capacity = capacity
        self._clock = clock
        self._lock = threading.Lock()
        self._seen = FIRST - 1
        self._entries: OrderedDict[K, _Entry[V]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The value, if it was loaded under the epoch that stands now and has not expired."""
        entry = self._find(key, self._epoch.current())
        return None if entry is None else entry.value

    def fetch(
        self, key: K, load: Callable[[], V], *, expires: Callable[[V], float] | None = None
    ) -> V:
        """The value, loaded if need be; `expires` tells until which Unix time it may be kept."""
        number = self._epoch.current()
        entry = self._find(key, number)
        if entry is not None:
            return entry.value
        value = load()
        self._keep(key, number, _Entry(value, math.inf if expires is None else expires(value)))
        return value

    def _find(self, key: K, number: int) -> _Entry[V] | None:
        with self._lock:
            if not self._is_at(number):
                return None
            entry = self._entries.get(key)
            if entry is None:
                return None
            if entry.expires <= self._clock():
                del self._entries[key]
                return None
            self._entries.move_to_end(key)
            return entry

    def _keep(self, key: K, number: int, entry: _Entry[V]) -> None:
        with self._lock:
            if not self._is_at(number):
                return
            self._entries[key] = entry
            self._entries.move_to_end(key)
            if len(self._entries) > self._capacity:
                self._entries.popitem(last=False)

    def _is_at(self, number: int) -> bool:
        """Drop everything if the number is new; say whether it is the newest seen."""
        if number > self._seen:
            self._entries.clear()
            self._seen = number
        return number == self._seen
