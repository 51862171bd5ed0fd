"""The audit trail: an append-only chain in which any later change shows.

Each record's link is an HMAC-SHA-256, under the platform's own key, of the record and of the link
before it. The head (how many records, and the last link) is sealed beside the chain and moves in
the same transaction, so that a tail cut off shows too. What this cannot show by itself is the
whole database put back to an older state, chain and head together: for that, note `head` outside
(another machine, paper) and give it to `verify`. Whoever holds the master key can write anything.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal, Self

from sqlalchemy import Row, func, select
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from auth.audit_details import clean, refuse_secrets
from auth.errors import AuditBroken, AuditHeadMalformed
from auth.locks import hold
from auth.permissions import Permission
from auth.records import AuditRow, SealedSecretRow
from auth.scope import Scope
from auth.secrets import PlatformSecrets
from config.errors import SealBroken

KEY: Final = "audit-key"
HEAD: Final = "audit-head"
GENESIS: Final = "0" * 64
BATCH: Final = 500
MOST_LISTED: Final = 1000
Outcome = Literal["done", "refused"]
Progress = Callable[[int, int], None]
Stored = Row[int, float, str | None, str, str, str, str, str, str]  # of COLUMNS

# Columns, not rows of the identity map: a verification of millions keeps none of them.
COLUMNS: Final = (
    AuditRow.sequence,
    AuditRow.at,
    AuditRow.tenant_id,
    AuditRow.actor,
    AuditRow.action,
    AuditRow.subject,
    AuditRow.outcome,
    AuditRow.details,
    AuditRow.link,
)


@dataclass(frozen=True, slots=True)
class Head:
    """How many records there are, and the link of the last: it stands for all of them."""

    count: int
    link: str

    def __str__(self) -> str:
        return f"{self.count}:{self.link}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` wrote; raises AuditHeadMalformed."""
        count, separator, link = text.strip().partition(":")
        if not (separator and count.isascii() and count.isdigit() and len(link) == len(GENESIS)):
            raise AuditHeadMalformed(text)
        return cls(int(count), link)


START: Final = Head(0, GENESIS)


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """Who did what to whom, when, and how it ended."""

    sequence: int
    at: float
    tenant_id: str | None
    actor: str
    action: str
    subject: str
    outcome: str
    details: Mapping[str, Any]


class AuditTrail:
    """Writes, lists and verifies the chain."""

    def __init__(self, secrets: PlatformSecrets, clock: Callable[[], float] = time.time) -> None:
        self._secrets = secrets
        self._clock = clock

    def append(
        self,
        session: Session,
        *,
        actor: str,
        tenant_id: str | None,
        action: str,
        subject: str,
        outcome: Outcome = "done",
        details: Mapping[str, Any] | None = None,
    ) -> AuditRecord:
        """Add a record in the caller's transaction; raises AuditDetailRefused for a secret."""
        details = dict(details or {})
        refuse_secrets(details)
        session.flush()  # what the caller did, so that its errors are its own
        hold(session, "audit")  # the chain has one end
        head = self.head(session)
        row = AuditRow(
            sequence=head.count + 1,
            at=float(self._clock()),  # as the column gives it back
            tenant_id=tenant_id,
            actor=clean(actor),
            action=action,
            subject=clean(subject),
            outcome=outcome,
            details=json.dumps(details, sort_keys=True, allow_nan=False),
        )
        row.link = _link(self._secrets.get(session, KEY), head.link, row)
        self._write(session, row)
        return _record(row)

    def head(self, session: Session) -> Head:
        """The end of the chain, to be noted where whoever alters the database cannot reach."""
        sealed = self._secrets.find(session, HEAD)
        return START if sealed is None else Head.parse(sealed.decode())

    def list(
        self,
        session: Session,
        scope: Scope,
        *,
        every_tenant: bool = False,
        before: int | None = None,
        limit: int = 100,
    ) -> tuple[AuditRecord, ...]:
        """The newest records of the scope's tenant, or for an operator of all.

        The next page is `before` the sequence of this page's last record.
        """
        scope.require(Permission.AUDIT)
        query = (
            select(*COLUMNS)
            .order_by(AuditRow.sequence.desc())
            .limit(max(0, min(limit, MOST_LISTED)))
        )
        if every_tenant:
            scope.require(Permission.TENANTS)
        else:
            query = query.where(AuditRow.tenant_id == scope.tenant_id)
        if before is not None:
            query = query.where(AuditRow.sequence < before)
        return tuple(_record(row) for row in session.execute(query))

    def verify(
        self,
        session: Session,
        head: Head | None = None,
        *,
        progress: Progress = lambda done, total: None,
    ) -> Head:
        """Check every record and return the head; raises AuditBroken at the first bad record.

        `head` is one noted earlier outside: the chain must still contain it.
        """
        end, count = self._end(session)
        if head is not None and head.count > end.count:
            raise AuditBroken(end.count + 1, f"the records up to {head.count} noted are missing")
        reached = START
        for reached in _walk(session, self._key(session), end.count):
            if head is not None and reached.count == head.count and reached != head:
                raise AuditBroken(reached.count, "it is not the record noted")
            if reached.count % BATCH == 0:
                progress(reached.count, end.count)
        if reached != end:
            raise AuditBroken(end.count, "it is not the end that the sealed head names")
        if count != end.count:
            raise AuditBroken(
                end.count + 1, "there are records that the sealed head does not count"
            )
        progress(end.count, end.count)
        return end

    def _write(self, session: Session, row: AuditRow) -> None:
        session.add(row)
        try:
            session.flush()
        except IntegrityError as error:
            raise AuditBroken(row.sequence, "it exists, but the sealed head ends before") from error
        self._secrets.put(session, HEAD, str(Head(row.sequence, row.link)).encode())

    def _end(self, session: Session) -> tuple[Head, int]:
        """Return the sealed head and the number of records, as they are at one moment."""
        sealed = select(SealedSecretRow.sealed).where(SealedSecretRow.name == HEAD)
        # One statement: on PostgreSQL a second one would see records appended since the first.
        row = session.execute(
            select(
                sealed.scalar_subquery(),
                select(func.count()).select_from(AuditRow).scalar_subquery(),
            )
        ).one()
        if row[0] is None:
            return START, row[1]
        try:
            return Head.parse(self._secrets.open(HEAD, row[0]).decode()), row[1]
        except SealBroken as error:
            raise AuditBroken(row[1], str(error)) from error

    def _key(self, session: Session) -> bytes:
        try:
            return self._secrets.find(session, KEY) or b""
        except SealBroken as error:
            raise AuditBroken(1, str(error)) from error


def _walk(session: Session, key: bytes, count: int) -> Iterator[Head]:
    """Yield the head after each record that is as it was written."""
    reached = START
    while reached.count < count:
        rows = _batch(session, reached.count, count)
        if not rows:
            raise AuditBroken(reached.count + 1, "it is missing")
        for row in rows:
            if row.sequence != reached.count + 1:
                raise AuditBroken(reached.count + 1, "it is missing")
            link = _link(key, reached.link, row)
            if row.link != link:
                raise AuditBroken(row.sequence, "it was altered, moved or inserted")
            reached = Head(row.sequence, link)
            yield reached


def _batch(session: Session, after: int, last: int) -> Sequence[Stored]:
    query = (
        select(*COLUMNS)
        .where(AuditRow.sequence > after, AuditRow.sequence <= last)
        .order_by(AuditRow.sequence)
    )
    try:
        return session.execute(query.limit(BATCH)).all()
    except DBAPIError as error:
        # SQLite hands out whatever bytes are stored; a flipped high bit is no UTF-8.
        if "UTF-8" not in str(error.orig):
            raise
    try:
        return session.execute(query.limit(1)).all()
    except DBAPIError as error:
        raise AuditBroken(after + 1, "its text is not UTF-8") from error


def _link(key: bytes, previous: str, row: AuditRow | Stored) -> str:
    fields = (
        previous,
        row.sequence,
        row.at,
        row.tenant_id,
        row.actor,
        row.action,
        row.subject,
        row.outcome,
        row.details,
    )
    # JSON keeps apart what concatenation would not: null and "", "ab"+"c" and "a"+"bc".
    return hmac.new(key, json.dumps(fields, default=_foreign).encode(), hashlib.sha256).hexdigest()


def _foreign(value: object) -> list[str]:
    """Write a value of a type that no column has, so that it equals none that was written."""
    return [type(value).__name__, repr(value)]


def _record(row: AuditRow | Stored) -> AuditRecord:
    return AuditRecord(
        sequence=row.sequence,
        at=row.at,
        tenant_id=row.tenant_id,
        actor=row.actor,
        action=row.action,
        subject=row.subject,
        outcome=row.outcome,
        details=MappingProxyType(json.loads(row.details)),
    )
