"""Logins, tokens and their end."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy.orm import Session

from auth.errors import (
    CredentialsWrong,
    NotFound,
    PermissionMissing,
    RefreshRefused,
    TokenRefused,
)
from auth.permissions import Permission, format_scope, narrow, parse_scope
from auth.scope import Principal, Scope
from auth.sessions import Issued, Reused
from auth.tokens import Claims
from service.bootstrap import Platform
from service.errors import ClientRefused, ScopeRefused
from service.operations.guesses import charged_guess
from service.operations.identity import read_token, require_standing
from service.operations.recording import recorded


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a login or a grant answers with."""

    access_token: str = field(repr=False)
    expires_in: int
    scope: str
    refresh_token: str | None = field(default=None, repr=False)


def login(
    platform: Platform,
    *,
    tenant: str,
    username: str,
    password: str,
    address: str,
    otp: str | None = None,
) -> Tokens:
    """Open a session for a person; raises CredentialsWrong whichever part was wrong."""
    with charged_guess(platform, tenant, username, address):
        with platform.database.read() as session:
            candidate = platform.login.lookup(session, tenant, username)
        proof = platform.login.verify(candidate, password)
        try:
            with platform.database.write() as session:
                principal = platform.login.admit(session, proof, otp)
                issued = platform.sessions.start(session, principal, principal.grants)
                _record(platform, session, principal, "sessions.login")
        except CredentialsWrong:
            _record_failure(platform, candidate.tenant, candidate.username, address)
            raise
    platform.telemetry.logins.labels("admitted").inc()
    return _tokens(platform, principal, issued)


def refresh(platform: Platform, token: str) -> Tokens:
    """Exchange a refresh token for a new pair; one used before ends its whole session."""
    with platform.database.write() as session:
        outcome = platform.sessions.refresh(session, token)
        principal = platform.principals.of(session, outcome.session.subject_id)
        if isinstance(outcome, Reused):
            _record_reuse(platform, session, outcome)
    if isinstance(outcome, Reused):
        platform.epoch.publish()
        raise outcome.refusal
    if principal is None:
        raise RefreshRefused("its account may not act any more")
    narrowed = replace(principal, grants=narrow(principal.grants, outcome.session.grants))
    return _tokens(platform, narrowed, outcome)


def logout(platform: Platform, scope: Scope) -> None:
    """End the session that the access token belongs to; a service account's has none to end."""
    require_user(scope)
    with recorded(platform, scope, Permission.ACCOUNT, "sessions.logout") as act:
        act.subject = scope.principal.name
        platform.sessions.end(act.session, scope.principal.session_id or "")


def require_user(scope: Scope) -> None:
    """Raise PermissionMissing for a service account: it has no password, factor or session."""
    if scope.principal.kind != "user":
        raise PermissionMissing(Permission.ACCOUNT)


def grant(platform: Platform, client: Scope, wanted: str | None) -> Tokens:
    """Give a service account an access token for all, or the part asked for, of its grants."""
    held = client.principal.grants
    asked = held if wanted is None else parse_scope(wanted)
    if not asked or asked - narrow(held, asked):
        raise ScopeRefused(wanted or "")
    principal = replace(client.principal, grants=asked)
    with platform.database.write() as session:
        _record(platform, session, principal, "sessions.grant")
    return _tokens(platform, principal, None)


def revoke(platform: Platform, token: str, client: Scope | None) -> None:
    """End a token; an unknown one, or another client's, changes nothing (RFC 7009, 2.2)."""
    owner = _owner(platform, token)
    if owner is None or (client is not None and client.principal.id != owner.subject):
        return
    if owner.is_client and client is None:
        raise ClientRefused  # RFC 7009, section 2.1: a confidential client proves itself
    with platform.database.write() as session:
        if owner.session_id is not None:
            platform.sessions.end(session, owner.session_id)
        elif owner.claims is not None:
            platform.revoked.revoke_token(session, owner.claims.token_id, owner.claims.expires_at)
        platform.audit.append(
            session,
            actor=_actor(platform, session, owner.subject),
            tenant_id=owner.tenant_id,
            action="sessions.revoke",
            subject=owner.session_id or "access",
            details={},
        )
        platform.epoch.raise_in(session, owner.tenant_id)
    platform.epoch.publish()


def introspect(platform: Platform, scope: Scope, token: str) -> dict[str, Any]:
    """What a token of the caller's own is; `active: false` for any other (RFC 7662, 2.2)."""
    owner = _owner(platform, token)
    if owner is None or owner.subject != scope.principal.id:
        return {"active": False}
    if owner.claims is None:
        return {"active": True, "sub": owner.subject, "token_type": "refresh_token"}
    claims = owner.claims
    return {
        "active": True,
        "scope": format_scope(claims.grants),
        "client_id": claims.client_id,
        "username": scope.principal.name,
        "token_type": "Bearer",
        "exp": int(claims.expires_at),
        "iat": int(claims.issued_at),
        "nbf": int(claims.not_before),
        "sub": claims.subject,
        "aud": platform.settings.audience,
        "iss": platform.settings.issuer,
        "jti": claims.token_id,
        "tenant": scope.tenant,
    }


@dataclass(frozen=True, slots=True)
class _Owner:
    """Whose token it is, and which one."""

    subject: str
    tenant_id: str
    session_id: str | None
    claims: Claims | None

    @property
    def is_client(self) -> bool:
        return self.subject.startswith("cli_")


def _owner(platform: Platform, token: str) -> _Owner | None:
    """The owner of a token that stands, access or refresh, also while its account may not act.

    A token revoked while its tenant is suspended must not come back with the tenant.
    """
    try:
        claims = read_token(platform, token)
        with platform.database.read() as session:
            require_standing(platform, session, claims)
        return _Owner(claims.subject, claims.tenant_id, claims.session_id, claims)
    except TokenRefused:
        pass
    with platform.database.read() as session:
        if not platform.sessions.is_live(session, token):
            return None
        login_session = platform.sessions.owner_of(session, token)
    return _Owner(login_session.subject_id, login_session.tenant_id, login_session.id, None)


def _tokens(platform: Platform, principal: Principal, issued: Issued | None) -> Tokens:
    session_id = issued.session.id if issued else None
    token, claims = platform.tokens.mint(
        platform.signer(), replace(principal, session_id=session_id), platform.clock()
    )
    return Tokens(
        access_token=token,
        expires_in=int(claims.expires_at - claims.issued_at),
        scope=format_scope(claims.grants),
        refresh_token=issued.refresh_token if issued else None,
    )


def _record(platform: Platform, session: Session, principal: Principal, action: str) -> None:
    platform.audit.append(
        session,
        actor=str(principal),
        tenant_id=principal.tenant_id,
        action=action,
        subject=principal.name,
        details={},
    )


def _record_failure(platform: Platform, tenant: str, username: str, address: str) -> None:
    """A failed login is on record; the names are the caller's claim, cut to the column."""
    platform.telemetry.logins.labels("refused").inc()
    with platform.database.write() as session:
        platform.audit.append(
            session,
            actor=f"anonymous@{address}"[:255],
            tenant_id=_tenant_id(platform, session, tenant),
            action="sessions.login",
            subject=f"{username}@{tenant}"[:255],
            outcome="refused",
            details={},
        )


def _tenant_id(platform: Platform, session: Session, name: str) -> str | None:
    try:
        return platform.tenants.find(session, name).id
    except NotFound:
        return None


def _actor(platform: Platform, session: Session, subject_id: str) -> str:
    """Whose token it is, by name; by identifier if the account may not act any more."""
    return str(platform.principals.of(session, subject_id) or subject_id)


def _record_reuse(platform: Platform, session: Session, reused: Reused) -> None:
    platform.audit.append(
        session,
        actor=_actor(platform, session, reused.session.subject_id),
        tenant_id=reused.session.tenant_id,
        action="sessions.reuse",
        subject=reused.session.id,
        outcome="refused",
        details={"ended": "the session, for a refresh token was used twice"},
    )
    platform.epoch.raise_in(session, reused.session.tenant_id)
