"""Service accounts of a tenant."""

from __future__ import annotations

from dataclasses import dataclass, field

from auth.clients import Client
from auth.permissions import Permission, format_scope, parse_scope
from auth.rows import Page
from auth.scope import Scope
from service.bootstrap import Platform
from service.operations.recording import recorded


@dataclass(frozen=True, slots=True)
class ClientView:
    """A service account as administrators see it; the secret is shown once."""

    id: str
    name: str
    scope: str
    state: str
    expires_at: float | None
    created_at: float
    secret: str | None = field(default=None, repr=False)


def create_client(
    platform: Platform,
    scope: Scope,
    name: str,
    grants: str,
    *,
    expires_in: float | None = None,
    certificate_digest: str | None = None,
) -> ClientView:
    """Make a service account; `certificate_digest` ties a client certificate's key to it."""
    expires_at = None if expires_in is None else platform.clock() + expires_in
    with recorded(platform, scope, Permission.CLIENTS, "clients.create", name) as act:
        made = platform.clients.create(
            act.session,
            scope,
            name,
            parse_scope(grants),
            expires_at=expires_at,
            certificate_digest=certificate_digest,
        )
        act.details |= {"id": made.client.id, "grants": grants, "expires_at": expires_at}
        return _view(made.client, made.secret)


def list_clients(
    platform: Platform, scope: Scope, *, cursor: str | None = None, limit: int = 100
) -> Page[ClientView]:
    """A page of the tenant's service accounts in order of name."""
    scope.require(Permission.CLIENTS)
    with platform.database.read() as session:
        page = platform.clients.list(session, scope, after=cursor, limit=limit)
    return Page(tuple(_view(client) for client in page.items), page.next)


def revoke_client(platform: Platform, scope: Scope, client: str) -> ClientView:
    """Refuse a service account and its tokens at once."""
    with recorded(platform, scope, Permission.CLIENTS, "clients.revoke", client) as act:
        revoked = platform.clients.revoke(act.session, scope, client)
        platform.sessions.end_all(act.session, revoked.id)
        return _view(revoked)


def _view(client: Client, secret: str | None = None) -> ClientView:
    return ClientView(
        id=client.id,
        name=client.name,
        scope=format_scope(client.grants),
        state=client.state,
        expires_at=client.expires_at,
        created_at=client.created_at,
        secret=secret,
    )
