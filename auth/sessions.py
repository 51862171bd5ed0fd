"""Logins and their families of refresh tokens, each rotated at every use (RFC 9700, 4.14.2)."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import ColumnElement, delete, or_, select, update
from sqlalchemy.orm import Session

from auth.errors import RefreshRefused
from auth.permissions import Grants, format_scope, parse_scope
from auth.records import RefreshTokenRow, SessionRow, new_id
from auth.rows import affected
from auth.scope import Principal
from config.settings import Settings

TOKEN_BYTES: Final = 32
_TOKEN: Final = re.compile(r"spr_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class LoginSession:
    """A login: whose it is, what was granted at it, and how long it lasts at most."""

    id: str
    tenant_id: str
    subject_id: str
    grants: Grants
    created_at: float
    expires_at: float
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class Issued:
    """A session with its newest refresh token, which is stored only as a hash."""

    session: LoginSession
    refresh_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reused:
    """A used token came back: its session is ended. Commit first, then raise `refusal`.

    A value and not an exception, because an exception would roll the end of the session back.
    """

    session: LoginSession

    @property
    def refusal(self) -> RefreshRefused:
        """What the caller is told."""
        return RefreshRefused("the token was used before; its session is ended")


class Sessions:
    """Starts, refreshes and ends sessions.

    In each session exactly one refresh token is unused: the newest; a refresh uses up every
    other. So when two parties hold tokens of one family, the second to come back ends it. A used
    token still gets a fresh successor during the grace period, for a client that lost the answer.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._lifetime = settings.refresh_seconds
        self._grace = settings.refresh_grace_seconds
        self._keep_ended = settings.access_seconds + settings.leeway_seconds
        self._clock = clock

    def start(self, session: Session, principal: Principal, grants: Grants) -> Issued:
        """Open a session for a principal just authenticated, with what it may do in it."""
        now = self._clock()
        row = SessionRow(
            id=new_id("ses"),
            tenant_id=principal.tenant_id,
            subject_id=principal.id,
            scope=format_scope(grants),
            created_at=now,
            expires_at=now + self._lifetime,
        )
        session.add(row)
        session.flush()
        return Issued(_view(row), self._new_token(session, row))

    def refresh(self, session: Session, token: str) -> Issued | Reused:
        """Exchange a refresh token for its successor; raises RefreshRefused.

        The grants of the answer are those of the login: narrow what the subject holds now by
        them. Two refreshes of one session at once follow one another.
        """
        used = self._find(session, token)
        row = self._lock(session, used.session_id)
        session.refresh(used)  # as it is now that no other refresh is under way
        if not self._answers(used):
            row.ended_at = self._clock()
            return Reused(_view(row))
        self._use_up(session, row)
        return Issued(_view(row), self._new_token(session, row))

    def owner_of(self, session: Session, token: str) -> LoginSession:
        """The session of a refresh token, without using it; raises RefreshRefused."""
        row = session.get(SessionRow, self._find(session, token).session_id)
        if row is None:
            raise RefreshRefused("the token is unknown")
        return _view(row)

    def is_live(self, session: Session, token: str) -> bool:
        """Say whether a refresh token would be accepted now (RFC 7662)."""
        try:
            found = self._find(session, token)
        except RefreshRefused:
            return False
        return self.is_active(session, found.session_id) and self._answers(found)

    def end(self, session: Session, session_id: str) -> bool:
        """End a session named by one of its own tokens; says whether it was active."""
        return self._end(session, SessionRow.id == session_id) == 1

    def end_all(self, session: Session, subject_id: str, *, keep: str | None = None) -> int:
        """End the sessions of a user or client, but for the one to keep; returns how many."""
        return self._end(
            session, SessionRow.subject_id == subject_id, SessionRow.id != (keep or "")
        )

    def is_active(self, session: Session, session_id: str) -> bool:
        """Say whether a session is neither ended nor expired."""
        return self.expiry(session, session_id) is not None

    def expiry(self, session: Session, session_id: str) -> float | None:
        """When an active session expires; None if it is over."""
        row = session.get(SessionRow, session_id, populate_existing=True)
        if row is None or row.ended_at is not None or row.expires_at <= self._clock():
            return None
        return row.expires_at

    def purge(self, session: Session) -> int:
        """Delete sessions that are over, with their tokens; returns how many.

        Used tokens of a live session stay: without them reuse would go unnoticed.
        """
        now = self._clock()
        over = or_(SessionRow.expires_at <= now, SessionRow.ended_at <= now - self._keep_ended)
        return affected(session, delete(SessionRow).where(over))

    def _find(self, session: Session, token: str) -> RefreshTokenRow:
        if not _TOKEN.fullmatch(token):
            raise RefreshRefused("it is no refresh token")
        row = session.get(RefreshTokenRow, _digest(token), populate_existing=True)
        if row is None:
            raise RefreshRefused("the token is unknown")
        return row

    def _lock(self, session: Session, session_id: str) -> SessionRow:
        statement = select(SessionRow).where(SessionRow.id == session_id).with_for_update()
        row = session.scalar(statement.execution_options(populate_existing=True))
        if row is None or row.ended_at is not None:
            raise RefreshRefused("the session has ended")
        if row.expires_at <= self._clock():
            raise RefreshRefused("the session has expired")
        return row

    def _answers(self, token: RefreshTokenRow) -> bool:
        # The distance, so that a clock set back does not stretch the grace period.
        return token.used_at is None or abs(self._clock() - token.used_at) < self._grace

    def _use_up(self, session: Session, row: SessionRow) -> None:
        session.execute(
            update(RefreshTokenRow)
            .where(RefreshTokenRow.session_id == row.id, RefreshTokenRow.used_at.is_(None))
            .values(used_at=self._clock())
        )

    def _new_token(self, session: Session, row: SessionRow) -> str:
        token = f"spr_{secrets.token_urlsafe(TOKEN_BYTES)}"
        now = self._clock()
        session.add(RefreshTokenRow(digest=_digest(token), session_id=row.id, created_at=now))
        session.flush()
        return token

    def _end(self, session: Session, *which: ColumnElement[bool]) -> int:
        statement = update(SessionRow).where(*which, SessionRow.ended_at.is_(None))
        return affected(session, statement.values(ended_at=self._clock()))


def _digest(token: str) -> str:
    """SHA-256 suffices for 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()


def _view(row: SessionRow) -> LoginSession:
    return LoginSession(
        id=row.id,
        tenant_id=row.tenant_id,
        subject_id=row.subject_id,
        grants=parse_scope(row.scope),
        created_at=row.created_at,
        expires_at=row.expires_at,
        ended_at=row.ended_at,
    )
