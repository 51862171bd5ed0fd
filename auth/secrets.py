"""The platform's own secrets: random, made at first use, sealed at rest."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from auth.errors import SecretMissing
from auth.records import SealedSecretRow
from config.sealing import Sealer

SECRET_BYTES: Final = 32


class PlatformSecrets:
    """Named secrets of 32 bytes, each sealed to its name."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def get(self, session: Session, name: str) -> bytes:
        """Return the secret, made now if it is new; raises SecretMissing in a read of a new one."""
        secret = self.find(session, name)
        if secret is None:
            self._make(session, name)
            secret = self.find(session, name)
        if secret is None:
            raise SecretMissing(name)
        return secret

    def find(self, session: Session, name: str) -> bytes | None:
        """Return the secret, or None before its first use."""
        row = session.get(SealedSecretRow, name, populate_existing=True)
        return None if row is None else self.open(name, row.sealed)

    def open(self, name: str, sealed: bytes) -> bytes:
        """Open what is stored under a name; raises SealBroken if it was altered."""
        return self._sealer.open(sealed, _context(name))

    def put(self, session: Session, name: str, value: bytes) -> None:
        """Seal a value under a name, in place of what was there."""
        session.merge(SealedSecretRow(name=name, sealed=self._sealer.seal(value, _context(name))))
        session.flush()

    def reseal(self, session: Session) -> int:
        """Seal every secret again under the first master key and return how many."""
        # Locked, or the audit head that another transaction writes now would be overwritten.
        rows = session.scalars(
            select(SealedSecretRow).with_for_update().execution_options(populate_existing=True)
        ).all()
        for row in rows:
            row.sealed = self._sealer.reseal(row.sealed, _context(row.name))
        session.flush()
        return len(rows)

    def _make(self, session: Session, name: str) -> None:
        if not session.connection().get_execution_options().get("sallyport_write"):
            # A read is rolled back: what was signed with the new secret could never be checked.
            raise SecretMissing(name)
        row = SealedSecretRow(
            name=name, sealed=self._sealer.seal(os.urandom(SECRET_BYTES), _context(name))
        )
        # Of two first uses at once, the second waits for the first here and then takes its secret.
        with suppress(IntegrityError), session.begin_nested():
            session.add(row)


def _context(name: str) -> dict[str, str]:
    return {"secret": name}
