"""From a stored account to the principal that it is right now."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.orm import Session

from auth.permissions import Grants, Role, grants_of_role, narrow, parse_scope
from auth.records import ClientRow, TenantRow, UserRow
from auth.scope import Principal

ACTIVE = "active"


class Principals:
    """Answers whether an account may still act, and with which grants."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def of(self, session: Session, subject_id: str) -> Principal | None:
        """The principal of a user or client, or None if it or its tenant may not act now."""
        if subject_id.startswith("cli_"):
            return self._client(session, subject_id)
        return self._user(session, subject_id)

    def _user(self, session: Session, user_id: str) -> Principal | None:
        found = session.execute(
            select(UserRow, TenantRow)
            .join(TenantRow, TenantRow.id == UserRow.tenant_id)
            .where(UserRow.id == user_id, UserRow.state == ACTIVE, TenantRow.state == ACTIVE)
        ).first()
        return user_principal(*found) if found else None

    def _client(self, session: Session, client_id: str) -> Principal | None:
        found = session.execute(
            select(ClientRow, TenantRow)
            .join(TenantRow, TenantRow.id == ClientRow.tenant_id)
            .where(ClientRow.id == client_id, TenantRow.state == ACTIVE)
        ).first()
        if found is None or not client_is_active(found[0], self._clock()):
            return None
        return client_principal(*found)


def user_principal(user: UserRow, tenant: TenantRow) -> Principal:
    """The principal of a user; whether it may act is decided elsewhere."""
    grants = user_grants(Role(user.role), user.scope)
    return Principal("user", user.id, user.username, tenant.id, tenant.name, grants)


def client_principal(client: ClientRow, tenant: TenantRow) -> Principal:
    """The principal of a service account; whether it may act is decided elsewhere."""
    grants = parse_scope(client.scope)
    return Principal(
        "client",
        client.id,
        client.name,
        tenant.id,
        tenant.name,
        grants,
        expires_at=client.expires_at,
    )


def user_grants(role: Role, scope: str | None) -> Grants:
    """The role's grants, narrowed by the user's own scope if it has one."""
    grants = grants_of_role(role)
    return grants if scope is None else narrow(grants, parse_scope(scope))


def client_is_active(client: ClientRow, now: float) -> bool:
    """Say whether a service account is neither revoked nor expired."""
    return client.state == ACTIVE and (client.expires_at is None or now < client.expires_at)
