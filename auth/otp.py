"""The second factor: time-based one-time codes (RFC 6238) and recovery codes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import pyotp
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from auth.errors import NotFound, OneTimeCodeWrong, SecondFactorConflict
from auth.records import RecoveryCodeRow, UserRow
from auth.rows import affected
from auth.scope import Scope
from config.sealing import Sealer

PERIOD: Final = 30
WINDOW: Final = 1  # steps before and after now, for clocks that differ
RECOVERY_CODES: Final = 10
RECOVERY_BYTES: Final = 10  # 80 bits, so that a plain SHA-256 cannot be searched
MAX_CODE_LENGTH: Final = 64
NOBODY: Final = "nobody"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an authenticator app needs: the secret in base32, and as an otpauth address."""

    secret: str = field(repr=False)
    uri: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Factor:
    """How a presented code fared; whether it is still unused is decided when it is spent."""

    passed: bool
    step: int | None = None
    recovery_id: int | None = None


class Otp:
    """Keeps one second factor per user: enrolled in two steps, each code good for one login."""

    def __init__(
        self, sealer: Sealer, clock: Callable[[], float] = time.time, *, issuer: str = "Sallyport"
    ) -> None:
        self._sealer = sealer
        self._clock = clock
        self._issuer = issuer
        # Users without a second factor cost the same work as those with one.
        self._decoy = sealer.seal(pyotp.random_base32().encode(), _context(NOBODY))

    def enrol(self, session: Session, scope: Scope) -> Enrolment:
        """Make a secret for the caller; it counts for nothing until a code confirms it."""
        user = _own_row(session, scope)
        if user.otp_confirmed:
            raise SecondFactorConflict("one is enrolled already; remove it first")
        secret = pyotp.random_base32()
        user.otp_secret = self._sealer.seal(secret.encode(), _context(user.id))
        uri = pyotp.TOTP(secret).provisioning_uri(
            name=f"{user.username}@{scope.tenant}", issuer_name=self._issuer
        )
        return Enrolment(secret, uri)

    def confirm(self, session: Session, scope: Scope, code: str) -> tuple[str, ...]:
        """Switch the enrolled secret on; returns the recovery codes, shown this once."""
        user = _own_row(session, scope)
        if user.otp_confirmed or user.otp_secret is None:
            raise SecondFactorConflict("none waits for confirmation; enrol one first")
        step = self._step(self._open(user), code)
        if step is None or step <= user.otp_last_step:
            raise OneTimeCodeWrong
        user.otp_confirmed = True
        user.otp_last_step = step
        return _new_recovery_codes(session, user.id)

    def check(self, session: Session, user: UserRow | None, code: str | None) -> Factor:
        """Judge a code with the same work for every user, also one that does not exist."""
        enrolled = user if user is not None and user.otp_confirmed else None
        step = self._step(self._open(enrolled), code or "")
        recovery_id = _recovery_id(session, enrolled.id if enrolled else NOBODY, code or "")
        if enrolled is None:
            return Factor(passed=True)
        if step is not None and step > enrolled.otp_last_step:
            return Factor(passed=True, step=step)
        return Factor(passed=recovery_id is not None, recovery_id=recovery_id)

    def spend(self, session: Session, user: UserRow, factor: Factor) -> bool:
        """Use the code up; says False if another login has used it in between."""
        if factor.step is not None:
            unused = update(UserRow).where(
                UserRow.id == user.id, UserRow.otp_last_step < factor.step
            )
            return affected(session, unused.values(otp_last_step=factor.step)) == 1
        if factor.recovery_id is not None:
            mine = RecoveryCodeRow.id == factor.recovery_id
            return affected(session, delete(RecoveryCodeRow).where(mine)) == 1
        return factor.passed

    def remove(self, session: Session, user: UserRow) -> None:
        """Forget the user's second factor and recovery codes."""
        user.otp_secret = None
        user.otp_confirmed = False
        session.execute(delete(RecoveryCodeRow).where(RecoveryCodeRow.user_id == user.id))

    def reseal(self, session: Session) -> int:
        """Seal every secret under the first master key; returns how many."""
        rows = session.scalars(select(UserRow).where(UserRow.otp_secret.is_not(None))).all()
        for row in rows:
            assert row.otp_secret is not None
            row.otp_secret = self._sealer.reseal(row.otp_secret, _context(row.id))
        return len(rows)

    def _open(self, user: UserRow | None) -> pyotp.TOTP:
        sealed = user.otp_secret if user is not None else None
        owner = user.id if user is not None and sealed is not None else NOBODY
        secret = self._sealer.open(sealed or self._decoy, _context(owner))
        return pyotp.TOTP(secret.decode(), interval=PERIOD)

    def _step(self, totp: pyotp.TOTP, code: str) -> int | None:
        """The newest step within the window whose code this is; every step is computed."""
        now = int(self._clock() // PERIOD)
        presented = _compact(code)
        steps = range(now - WINDOW, now + WINDOW + 1)
        same = [step for step in steps if _equal(totp.generate_otp(step), presented)]
        return max(same, default=None)


def _own_row(session: Session, scope: Scope) -> UserRow:
    principal = scope.principal
    row = session.scalar(
        select(UserRow)
        .where(UserRow.id == principal.id, UserRow.tenant_id == scope.tenant_id)
        .with_for_update()
    )
    if row is None:
        raise NotFound("user", principal.name)
    return row


def _new_recovery_codes(session: Session, user_id: str) -> tuple[str, ...]:
    session.execute(delete(RecoveryCodeRow).where(RecoveryCodeRow.user_id == user_id))
    codes = tuple(_recovery_code() for _ in range(RECOVERY_CODES))
    session.add_all(RecoveryCodeRow(user_id=user_id, digest=_digest(user_id, c)) for c in codes)
    return codes


def _recovery_code() -> str:
    text = base64.b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode().lower()
    return "-".join(re.findall("....", text))


def _recovery_id(session: Session, user_id: str, code: str) -> int | None:
    return session.scalar(
        select(RecoveryCodeRow.id).where(
            RecoveryCodeRow.user_id == user_id, RecoveryCodeRow.digest == _digest(user_id, code)
        )
    )


def _digest(user_id: str, code: str) -> str:
    return hashlib.sha256(f"{user_id}:{_compact(code)}".encode()).hexdigest()


def _compact(code: str) -> str:
    """The code without the spaces and hyphens that people type; empty if it cannot be one."""
    fits = len(code) <= MAX_CODE_LENGTH and code.isascii()
    return re.sub(r"[ -]", "", code).lower() if fits else ""


def _equal(expected: str, presented: str) -> bool:
    return hmac.compare_digest(expected.encode(), presented.encode())


def _context(user_id: str) -> dict[str, str]:
    return {"user": user_id, "purpose": "otp"}
