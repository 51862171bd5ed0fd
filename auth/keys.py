"""The signing keys: next -> active -> retired -> gone, and from anywhere to revoked.

A `next` key is published but does not sign; exactly one `active` key signs; a `retired` key only
verifies, until every token that it signed has expired; a `gone` or `revoked` key does nothing and
is remembered, so that its name is never used again. Only `next` and `active` have a private half.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from auth.algorithms import ALGORITHMS, PrivateKey, PublicKey
from auth.errors import KeyNotReady, KeyRingEmpty, KeyUnusable, NotFound
from auth.key_vault import KeyVault, public_half, published_form
from auth.locks import hold
from auth.records import SigningKeyRow
from config.sealing import Sealer
from config.settings import Settings

State = Literal["next", "active", "retired", "gone", "revoked"]
ACCESS: Final = "access"
PUBLISHED: Final[tuple[State, ...]] = ("active", "next", "retired")  # also the order of the key set


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The key that signs now; name and key travel together, so a rotation cannot mix two."""

    kid: str
    algorithm: str
    purpose: str
    private: PrivateKey = field(repr=False)

    def sign(self, message: bytes) -> bytes:
        """Return the JWS signature of the message."""
        return ALGORITHMS[self.algorithm].sign(self.private, message)


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A published key: the one algorithm and purpose that it is for, and until when."""

    kid: str
    algorithm: str
    purpose: str
    state: State
    public: PublicKey = field(repr=False)
    valid_until: float | None

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Say whether this key signed the message."""
        return ALGORITHMS[self.algorithm].verify(self.public, signature, message)


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What is known of a key, its halves apart."""

    kid: str
    purpose: str
    algorithm: str
    state: State
    created_at: float
    signs_from: float
    activated_at: float | None
    retired_at: float | None
    verifies_until: float | None
    revoked_at: float | None


@dataclass(frozen=True, slots=True)
class Rotation:
    """A change of the active key: from `old` to `new`, with `next` published for the one after."""

    old: str
    new: str
    next: str
    breaks: str | None  # what a caller may notice; None if nothing


@dataclass(frozen=True, slots=True)
class Revocation:
    """A key revoked, what it was, and the keys that are active and next now."""

    kid: str
    was: State
    active: str
    next: str
    breaks: str


class KeyRing:
    """The keys of one purpose. Changes happen one after another, on both databases."""

    def __init__(
        self,
        sealer: Sealer,
        settings: Settings,
        clock: Callable[[], float] = time.time,
        *,
        purpose: str = ACCESS,
    ) -> None:
        self._vault = KeyVault(sealer, settings.issuer)
        self._settings = settings
        self._clock = clock
        self._purpose = purpose

    def ensure(self, session: Session) -> None:
        """Make the ring ready: an active key, and a next one of the configured algorithm."""
        self._lock(session)
        upcoming = self._find(session, "next")
        if upcoming and upcoming.algorithm != self._settings.signing_algorithm:
            _destroy(session, upcoming, "gone")
        self._fill(session)

    def rotate(self, session: Session, *, emergency: bool = False) -> Rotation:
        """Let the next key sign and retire the active one; raises KeyNotReady if it is too new.

        `emergency` does not wait, and replaces a next key that cannot be opened.
        """
        self._lock(session)
        active, upcoming = self._fill(session)
        wait = upcoming.signs_from - self._clock()
        if wait > 0 and not emergency:
            # A verifier may still hold a key set from before this key and refuse its tokens.
            raise KeyNotReady(upcoming.kid, wait)
        new = self._openable(session, upcoming, self._ready_at()) if emergency else upcoming
        self._vault.open(new)  # a key that cannot sign must not become the active one
        self._retire(session, active)
        self._activate(session, new)
        fresh = self._find(session, "next") or self._publish(session, self._ready_at())
        return Rotation(active.kid, new.kid, fresh.kid, self._breaks(new))

    def revoke(self, session: Session, kid: str) -> Revocation:
        """Refuse the key from now on, for ever, and fill the place that it leaves."""
        self._lock(session)
        row = session.get(SigningKeyRow, kid, populate_existing=True)
        if row is None or row.purpose != self._purpose:
            raise NotFound("signing key", kid)
        was = self._state(row)
        row.revoked_at = row.revoked_at or self._clock()
        _destroy(session, row, "revoked")
        active, upcoming = self._fill(session)
        return Revocation(kid, was, active.kid, upcoming.kid, self._lost(was, active))

    def expire(self, session: Session) -> tuple[str, ...]:
        """Write down as gone every retired key whose time has passed, and return their names."""
        self._lock(session)
        past = [row for row in self._rows(session, "retired") if self._state(row) == "gone"]
        for row in past:
            _destroy(session, row, "gone")
        return tuple(row.kid for row in past)

    def reseal(self, session: Session) -> int:
        """Seal every private half again under the first master key and return how many."""
        self._lock(session)
        rows = self._rows(session, "active", "next")
        for row in rows:
            self._vault.reseal(row)
        session.flush()
        return len(rows)

    def list(self, session: Session) -> tuple[KeyRecord, ...]:
        """Every key that ever was, newest first."""
        rows = sorted(self._rows(session), key=lambda row: (row.created_at, row.kid), reverse=True)
        return tuple(self._record(row) for row in rows)

    def jwks(self, session: Session) -> dict[str, Sequence[dict[str, str]]]:
        """The key set of RFC 7517: the public halves of what signs, signed or will sign."""
        return {"keys": [published_form(row) for row in self._published(session)]}

    def signer(self, session: Session) -> SigningKey:
        """The active key; raises KeyRingEmpty before `ensure`, KeyUnusable if it does not open."""
        row = self._find(session, "active")
        if row is None:
            raise KeyRingEmpty(self._purpose)
        return SigningKey(row.kid, row.algorithm, row.purpose, self._vault.open(row))

    def verifiers(self, session: Session) -> Mapping[str, VerifyingKey]:
        """Every published key by name; `state` says which of them may have signed."""
        return {
            row.kid: VerifyingKey(
                row.kid,
                row.algorithm,
                row.purpose,
                self._state(row),
                public_half(row),
                row.verifies_until,
            )
            for row in self._published(session)
        }

    def _lock(self, session: Session) -> None:
        hold(session, f"keys:{self._purpose}")

    def _rows(self, session: Session, *states: State) -> Sequence[SigningKeyRow]:
        query = select(SigningKeyRow).where(SigningKeyRow.purpose == self._purpose)
        if states:
            query = query.where(SigningKeyRow.state.in_(states))
        # What this session read before it held the lock may have changed since.
        return session.scalars(query.execution_options(populate_existing=True)).all()

    def _find(self, session: Session, state: State) -> SigningKeyRow | None:
        return next(iter(self._rows(session, state)), None)

    def _published(self, session: Session) -> Sequence[SigningKeyRow]:
        rows = [row for row in self._rows(session, *PUBLISHED) if self._state(row) != "gone"]
        return sorted(rows, key=lambda row: (PUBLISHED.index(self._state(row)), row.kid))

    def _state(self, row: SigningKeyRow) -> State:
        # By the clock, not by the column: `expire` may not have run yet.
        if row.state == "retired" and self._clock() >= (row.verifies_until or 0):
            return "gone"
        return cast("State", row.state)

    def _record(self, row: SigningKeyRow) -> KeyRecord:
        return KeyRecord(
            kid=row.kid,
            purpose=row.purpose,
            algorithm=row.algorithm,
            state=self._state(row),
            created_at=row.created_at,
            signs_from=row.signs_from,
            activated_at=row.activated_at,
            retired_at=row.retired_at,
            verifies_until=row.verifies_until,
            revoked_at=row.revoked_at,
        )

    def _fill(self, session: Session) -> tuple[SigningKeyRow, SigningKeyRow]:
        """Return the active and the next key, making what is missing."""
        # No key set was ever published without the very first keys: they need not wait.
        ready_at = self._ready_at() if self._rows(session) else self._clock()
        active = self._find(session, "active")
        if active is None:
            active = self._openable(session, self._find(session, "next"), ready_at)
            self._activate(session, active)
        return active, self._find(session, "next") or self._publish(session, ready_at)

    def _ready_at(self) -> float:
        """When every key set fetched before now has been dropped by whoever cached it."""
        return self._clock() + self._settings.jwks_max_age + self._settings.publish_skew_seconds

    def _openable(
        self, session: Session, row: SigningKeyRow | None, ready_at: float
    ) -> SigningKeyRow:
        """Return the key if it opens, else a fresh one in its place."""
        if row is not None:
            try:
                self._vault.open(row)
            except KeyUnusable:
                _destroy(session, row, "gone")
            else:
                return row
        return self._publish(session, ready_at)

    def _publish(self, session: Session, signs_from: float) -> SigningKeyRow:
        row = self._vault.make(
            purpose=self._purpose,
            algorithm=self._settings.signing_algorithm,
            created_at=self._clock(),
            signs_from=signs_from,
        )
        session.add(row)
        session.flush()
        return row

    def _activate(self, session: Session, row: SigningKeyRow) -> None:
        row.state = "active"
        row.activated_at = self._clock()
        session.flush()

    def _retire(self, session: Session, row: SigningKeyRow) -> None:
        row.retired_at = self._clock()
        row.verifies_until = row.retired_at + self._settings.retired_span
        # Written before the new key is activated: the database allows one active key at a time.
        _destroy(session, row, "retired")

    def _breaks(self, new: SigningKeyRow) -> str | None:
        wait = new.signs_from - self._clock()
        if wait <= 0:
            return None
        return (
            f"for up to {wait:.0f} s a verifier that holds an older key set refuses "
            f"the tokens of {new.kid}"
        )

    def _lost(self, was: State, active: SigningKeyRow) -> str:
        match was:
            case "next":
                return "nothing: this key never signed"
            case "gone" | "revoked":
                return "nothing: no token of this key was accepted any more"
            case "retired":
                return "its tokens are refused from now on"
        after = self._breaks(active)
        return "its tokens are refused from now on" + (f"; {after}" if after else "")


def _destroy(session: Session, row: SigningKeyRow, state: State) -> None:
    """Move a key to a state in which it signs nothing, and forget its private half."""
    row.state = state
    row.private_sealed = None
    session.flush()
