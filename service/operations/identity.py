"""Whose a credential is: access token, service account's secret, or client certificate."""

from __future__ import annotations

import hashlib
import hmac
import math
from dataclasses import replace

from sqlalchemy.orm import Session

from auth.errors import CredentialsWrong, KeyNotActive, TokenRefused
from auth.permissions import Grants, Permission, narrow
from auth.scope import Principal, Scope, own_scope
from auth.tokens import Claims
from certs.inspection import public_key_digest
from service.bootstrap import Caller, Platform
from service.errors import ClientRefused


def identify(platform: Platform, token: str) -> Scope:
    """The scope of whoever holds the access token; raises TokenRefused.

    The answer is remembered until the token, its session or its account ends, or the epoch moves.
    """
    known = platform.caches.callers.fetch(
        token, lambda: _identify(platform, token), expires=lambda caller: caller.until
    )
    return known.scope


def identify_client(platform: Platform, client_id: str, secret: str) -> Scope:
    """The scope of a service account that proves itself by its secret."""
    try:
        with platform.database.read() as session:
            return own_scope(platform.clients.authenticate(session, client_id, secret))
    except CredentialsWrong as error:
        raise ClientRefused from error


def identify_basic(platform: Platform, client_id: str, secret: str) -> Scope:
    """The scope of a service account that proves itself by its secret with every call.

    The answer is remembered until the account ends or the epoch moves; raises ClientRefused.
    """
    known = platform.caches.basics.fetch(
        credential_key(platform, client_id, secret),
        lambda: _identify_basic(platform, client_id, secret),
        expires=lambda caller: caller.until,
    )
    return known.scope


def credential_key(platform: Platform, client_id: str, secret: str) -> bytes:
    """Under what Basic credentials are remembered: their keyed hash, which tells no secret."""
    digest = hmac.new(platform.basic_key, client_id.encode(), hashlib.sha256)
    digest.update(b"\0" + secret.encode())  # no identifier that is one holds a NUL
    return digest.digest()


def identify_certificate(platform: Platform, certificate: bytes) -> Scope:
    """The scope of a service account whose client certificate TLS has verified.

    The answer is remembered until the account ends or the epoch moves.
    """
    known = platform.caches.certified.fetch(
        certificate,
        lambda: _identify_certificate(platform, certificate),
        expires=lambda caller: caller.until,
    )
    return known.scope


def _identify(platform: Platform, token: str) -> Caller:
    claims = read_token(platform, token)
    with platform.database.read() as session:
        until = require_standing(platform, session, claims)
        principal = _live_principal(platform, session, claims)
    grants: Grants = narrow(principal.grants, claims.grants)
    scope = own_scope(replace(principal, grants=grants, session_id=claims.session_id))
    ends = principal.expires_at  # a service account may end before its token does
    return Caller(scope, until if ends is None else min(until, ends))


def _identify_basic(platform: Platform, client_id: str, secret: str) -> Caller:
    scope = identify_client(platform, client_id, secret)
    ends = scope.principal.expires_at
    return Caller(scope, math.inf if ends is None else ends)


def _identify_certificate(platform: Platform, certificate: bytes) -> Caller:
    digest = public_key_digest(certificate)
    try:
        with platform.database.read() as session:
            principal = platform.clients.authenticate_certificate(session, digest)
    except CredentialsWrong as error:
        raise ClientRefused from error
    ends = principal.expires_at
    return Caller(own_scope(principal), math.inf if ends is None else ends)


def read_token(platform: Platform, token: str) -> Claims:
    """What an access token says, whether or not it was revoked; raises TokenRefused."""
    try:
        return platform.tokens.read(token, platform.verifiers(), platform.clock())
    except KeyNotActive:
        # The key was activated after the verifiers were cached, by a change still being published.
        with platform.database.read() as session:
            fresh = platform.keys.verifiers(session)
        return platform.tokens.read(token, fresh, platform.clock())


def require_standing(platform: Platform, session: Session, claims: Claims) -> float:
    """Until when the token stands if nothing changes; raises TokenRefused."""
    if platform.revoked.is_revoked(session, claims.token_id):
        raise TokenRefused("it was revoked")
    if claims.session_id is None:
        return claims.expires_at
    session_ends = platform.sessions.expiry(session, claims.session_id)
    if session_ends is None:
        raise TokenRefused("its session has ended")
    return min(claims.expires_at, session_ends)


def require_live(platform: Platform, scope: Scope, permission: Permission, model: str) -> None:
    """Raise TokenRefused or PermissionMissing if the scope's account may not do this any more.

    For calls that go on while accounts change; that a token runs out does not end one.
    """
    known = scope.principal
    if known.kind == "operator":
        return
    with platform.database.read() as session:
        ended = known.session_id and platform.sessions.expiry(session, known.session_id) is None
        principal = None if ended else platform.principals.of(session, known.id)
    if principal is None or principal.tenant_id != known.tenant_id:
        raise TokenRefused("its account may not act any more")
    own_scope(principal).require(permission, model)


def _live_principal(platform: Platform, session: Session, claims: Claims) -> Principal:
    principal = platform.principals.of(session, claims.subject)
    if principal is None or principal.tenant_id != claims.tenant_id:
        raise TokenRefused("its account may not act any more")
    return principal
