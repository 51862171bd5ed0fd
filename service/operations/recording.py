"""The form of every operation: check the permission, act, record; all or nothing.

Invariant 5: the change and its audit record commit together. Invariant 3: a change of the control
plane raises the epoch in the same transaction and publishes it after the commit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy.orm import Session

from auth.errors import CredentialsWrong, OneTimeCodeWrong
from auth.idempotency import Reservation
from auth.permissions import Permission
from auth.scope import Scope
from service.bootstrap import Platform

# The idempotency key of the request under way, if it has one. Whatever changes something comes
# through here, so that no operation can forget to say so in its transaction.
RESERVED: Final[ContextVar[Reservation | None]] = ContextVar("reserved", default=None)


@dataclass(slots=True)
class Act:
    """An operation while it runs: its transaction, and what its record will say."""

    session: Session
    subject: str
    concerns: str  # the tenant whose caches the change makes stale, or EVERYONE
    details: dict[str, object] = field(default_factory=dict)


@contextmanager
def recorded(
    platform: Platform,
    scope: Scope,
    permission: Permission,
    action: str,
    subject: str = "",
    *,
    model: str | None = None,
) -> Iterator[Act]:
    """Run the block as one permitted, recorded change that every worker follows at once."""
    scope.require(permission, model)
    with platform.database.write() as session:
        act = Act(session, subject, scope.tenant_id)
        yield act
        platform.audit.append(
            session,
            actor=str(scope.principal),
            tenant_id=scope.tenant_id,
            action=action,
            subject=act.subject,
            details=act.details,
        )
        platform.epoch.raise_in(session, act.concerns)
        reserved = RESERVED.get()
        if reserved is not None:
            platform.idempotency.mark(session, reserved)
    platform.epoch.publish()


@contextmanager
def refusal_recorded(platform: Platform, scope: Scope, action: str) -> Iterator[None]:
    """Put on record that a caller did not prove itself: so guesses whoever stole a token."""
    try:
        yield
    except (CredentialsWrong, OneTimeCodeWrong):
        with platform.database.write() as session:
            platform.audit.append(
                session,
                actor=str(scope.principal),
                tenant_id=scope.tenant_id,
                action=action,
                subject=scope.principal.name,
                outcome="refused",
            )
        raise
