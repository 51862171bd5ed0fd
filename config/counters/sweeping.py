"""How an LMDB store of counters gets rid of those that say nothing any more."""

from __future__ import annotations

from typing import Final

import lmdb

from config.counters.ledger import Moment, is_spent

EVERY: Final = 16  # calls that begin a window; each adds at most a few counters
RECORDS: Final = 96


class Sweeper:
    """Looks at some records at a time, in a transaction of the caller's."""

    def __init__(self) -> None:
        self._calls = 0
        self._from = b""

    def after_begun(self, txn: lmdb.Transaction[bytes], moment: Moment) -> None:
        """Sweep as much as calls add that begin a window."""
        self._calls += 1
        if self._calls % EVERY == 0:
            self.sweep(txn, moment)

    def sweep(self, txn: lmdb.Transaction[bytes], moment: Moment) -> None:
        """Go on where the last sweep stopped, and drop counters that say nothing any more."""
        cursor = txn.cursor()
        found = cursor.set_range(self._from) if self._from else cursor.first()
        for _ in range(RECORDS):
            if not found:
                break
            key, value = cursor.item()
            found = (
                cursor.delete() and bool(cursor.key())
                if is_spent(key, value, moment)
                else (cursor.next())
            )
        self._from = cursor.key() if found else b""
