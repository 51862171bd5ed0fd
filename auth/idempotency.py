"""Requests that may be sent again: what each key stands for, and what was answered.

After draft-ietf-httpapi-idempotency-key-header. A key belongs to one principal. The first request
with it reserves it, and whoever changes anything commits `has_acted` along with the change, so that
at any moment the row says what is true: nothing was done yet, or it was. A request that is cut off
before that is done anew by the next one when its lease is over; one that is cut off after it is
not, though its answer is lost. A request that outlives its lease and was overtaken commits nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import orjson
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import ColumnElement, and_, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningInsert

from auth.errors import AnswerLost, KeyReused, KeysExhausted, Overtaken, StillRunning
from auth.records import IdempotencyRow
from auth.rows import affected
from auth.scope import Principal
from config.sealing import Sealer

KEPT_SECONDS: Final = 86_400.0
LEASE_SECONDS: Final = 120.0  # longer than any request that is answered
RETRY_SECONDS: Final = 1.0
MOST_KEYS: Final = 2_000  # of one principal
MOST_ANSWER: Final = 256 * 1024  # bytes; of a longer one it is only known that it was given


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer that is given again."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reservation:
    """A key that one request holds until its answer is known."""

    tenant_id: str
    principal_id: str
    key: str
    holder: str


class IdempotencyKeys:
    """Reserves keys and keeps answers; `data_key` gives the key of a principal's tenant."""

    def __init__(
        self,
        data_key: Callable[[Session, Principal], bytes],
        clock: Callable[[], float] = time.time,
        *,
        most: int = MOST_KEYS,
    ) -> None:
        self._data_key = data_key
        self._clock = clock
        self._most = most

    def begin(
        self, session: Session, principal: Principal, key: str, request: bytes
    ) -> Reservation | Kept:
        """Reserve a key for a request, or return what was answered to the same one.

        `request` is whatever tells requests apart. Raises KeyReused, StillRunning, AnswerLost or
        KeysExhausted.
        """
        data_key = self._data_key(session, principal)
        # Keyed: a plain hash of a request that holds a password would let that be guessed.
        secret = _derived(data_key)
        mine = Reservation(
            principal.tenant_id, principal.id, _digest(secret, key.encode()), secrets.token_hex(16)
        )
        fingerprint = _digest(secret, request)
        if session.scalar(self._insertion(session, mine, fingerprint)):
            self._refuse_many(session, mine)
            return mine
        found = select(IdempotencyRow).where(_row(mine)).with_for_update()
        row = session.scalar(found.execution_options(populate_existing=True))
        if row is None:  # released just now
            raise StillRunning(RETRY_SECONDS)
        return self._again(row, mine, fingerprint, data_key)

    def mark(self, session: Session, mine: Reservation) -> None:
        """Say that the request has done its work, if this commits; raises Overtaken."""
        unanswered = and_(_held(mine), IdempotencyRow.status.is_(None))
        acted = update(IdempotencyRow).where(unanswered).values(has_acted=True)
        if not affected(session, acted):
            raise Overtaken

    def settle(
        self, session: Session, principal: Principal, mine: Reservation, answer: Kept
    ) -> None:
        """Keep what was answered; of what is too long, that it was."""
        members = {"headers": answer.headers, "body": answer.body.decode("latin-1")}
        plain = orjson.dumps(members)
        if len(plain) > MOST_ANSWER:
            self.release(session, mine)
            return
        sealer = Sealer((self._data_key(session, principal),))
        values = {"status": answer.status, "answer": sealer.seal(plain, _context(mine))}
        session.execute(update(IdempotencyRow).where(_held(mine)).values(**values))

    def release(self, session: Session, mine: Reservation) -> None:
        """Give the key back if nothing was done with it; if something was, let that be known."""
        idle = and_(_held(mine), IdempotencyRow.has_acted.is_(False))
        if not affected(session, delete(IdempotencyRow).where(idle)):
            over = update(IdempotencyRow).where(_held(mine)).values(lease_until=self._clock())
            session.execute(over)

    def purge(self, session: Session) -> int:
        """Forget what is older than a day; returns how many."""
        old = IdempotencyRow.expires_at <= self._clock()
        return affected(session, delete(IdempotencyRow).where(old))

    def _again(
        self, row: IdempotencyRow, mine: Reservation, fingerprint: str, data_key: bytes
    ) -> Reservation | Kept:
        now = self._clock()
        if row.expires_at > now:
            if not hmac.compare_digest(row.fingerprint, fingerprint):
                raise KeyReused
            if row.status is not None:
                return _open(row, mine, data_key)
            if row.lease_until > now:
                raise StillRunning(RETRY_SECONDS)
            if row.has_acted:
                raise AnswerLost
        for name, value in self._values(fingerprint, mine.holder).items():
            setattr(row, name, value)
        return mine

    def _values(self, fingerprint: str, holder: str) -> dict[str, Any]:
        now = self._clock()
        return {
            "fingerprint": fingerprint,
            "holder": holder,
            "lease_until": now + LEASE_SECONDS,
            "has_acted": False,
            "status": None,
            "answer": None,
            "created_at": now,
            "expires_at": now + KEPT_SECONDS,
        }

    def _insertion(
        self, session: Session, mine: Reservation, fingerprint: str
    ) -> ReturningInsert[str]:
        """Make a new row, and return its holder if there was none."""
        on_sqlite = session.get_bind().dialect.name == "sqlite"
        insert = (sqlite.insert if on_sqlite else postgresql.insert)(IdempotencyRow)
        values = self._values(fingerprint, mine.holder)
        whose = {"tenant_id": mine.tenant_id, "principal_id": mine.principal_id, "key": mine.key}
        made = insert.values(**whose, **values).on_conflict_do_nothing()
        return made.returning(IdempotencyRow.holder)

    def _refuse_many(self, session: Session, mine: Reservation) -> None:
        kept = select(func.count(), func.min(IdempotencyRow.expires_at)).where(
            IdempotencyRow.tenant_id == mine.tenant_id,
            IdempotencyRow.principal_id == mine.principal_id,
            IdempotencyRow.expires_at > self._clock(),
        )
        count, first = session.execute(kept).one()
        if count > self._most:
            raise KeysExhausted(self._most, max(1.0, first - self._clock()))


def _row(mine: Reservation) -> ColumnElement[bool]:
    return and_(
        IdempotencyRow.tenant_id == mine.tenant_id,
        IdempotencyRow.principal_id == mine.principal_id,
        IdempotencyRow.key == mine.key,
    )


def _held(mine: Reservation) -> ColumnElement[bool]:
    return and_(_row(mine), IdempotencyRow.holder == mine.holder)


def _open(row: IdempotencyRow, mine: Reservation, data_key: bytes) -> Kept:
    assert row.status is not None
    assert row.answer is not None, "they are kept together"
    members = orjson.loads(Sealer((data_key,)).open(row.answer, _context(mine)))
    headers = tuple((name, value) for name, value in members["headers"])
    return Kept(row.status, headers, members["body"].encode("latin-1"))


def _context(mine: Reservation) -> dict[str, str]:
    return {
        "purpose": "idempotent answer",
        "tenant": mine.tenant_id,
        "principal": mine.principal_id,
        "key": mine.key,
    }


def _derived(data_key: bytes) -> bytes:
    return HKDF(SHA256(), length=32, salt=None, info=b"sallyport idempotency").derive(data_key)


def _digest(secret: bytes, data: bytes) -> str:
    return hmac.new(secret, data, hashlib.sha256).hexdigest()
