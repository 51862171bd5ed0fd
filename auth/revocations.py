"""Access tokens refused before their time, remembered for as long as they would have been good."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from auth.records import RevokedTokenRow
from config.settings import Settings


class RevokedTokens:
    """The block list of single tokens, by their `jti`."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock

    def revoke_token(self, session: Session, jti: str, exp: float) -> None:
        """Refuse the token that expires then; revoking it again changes nothing."""
        if self.is_revoked(session, jti):
            return
        row = RevokedTokenRow(jti=jti, expires_at=exp + self._settings.leeway_seconds)
        # Another transaction may revoke the same token at this moment.
        with suppress(IntegrityError), session.begin_nested():
            session.add(row)

    def is_revoked(self, session: Session, jti: str) -> bool:
        """Say whether the token was revoked."""
        query = select(RevokedTokenRow.jti).where(RevokedTokenRow.jti == jti)
        return session.scalar(query) is not None

    def purge_revoked(self, session: Session) -> int:
        """Forget the tokens that have expired by themselves and return how many."""
        past = RevokedTokenRow.expires_at <= self._clock()
        count = session.scalar(select(func.count()).where(past)) or 0
        session.execute(delete(RevokedTokenRow).where(past))
        return count
