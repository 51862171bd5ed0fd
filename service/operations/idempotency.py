"""Requests that carry an idempotency key: reserved before they act, and remembered after."""

from __future__ import annotations

from auth.errors import KeysExhausted
from auth.idempotency import Kept, Reservation
from auth.scope import Scope
from service.bootstrap import Platform
from service.errors import RateLimited

LIMIT = "idempotency_keys"


def begin(platform: Platform, scope: Scope, key: str, request: bytes) -> Reservation | Kept:
    """Reserve the key of a request, or return what was answered to the same one.

    Raises KeyReused, StillRunning, AnswerLost, or RateLimited if the caller has too many.
    """
    try:
        with platform.database.write() as session:
            return platform.idempotency.begin(session, scope.principal, key, request)
    except KeysExhausted as error:
        raise RateLimited(LIMIT, error.seconds) from error


def finish(platform: Platform, scope: Scope, mine: Reservation, answer: Kept | None) -> None:
    """Keep what was answered; without an answer worth keeping, give the key back."""
    with platform.database.write() as session:
        if answer is None:
            platform.idempotency.release(session, mine)
        else:
            platform.idempotency.settle(session, scope.principal, mine, answer)
