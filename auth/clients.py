"""Service accounts: machines that call with an identifier and a secret, or with a certificate."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from auth.delegation import require_grantable
from auth.errors import CredentialsWrong, ExpiryRefused, GrantsExceeded, NameMalformed, NotFound
from auth.names import account_name, lookup_name
from auth.permissions import Grants, format_scope, parse_scope
from auth.principals import ACTIVE, client_is_active, client_principal
from auth.records import ClientRow, TenantRow, new_id
from auth.rows import Page, add_unique, lock_tenant, page
from auth.scope import Principal, Scope

SECRET_BYTES: Final = 32
NO_DIGEST: Final = "0" * 64

_IDENTIFIER: Final = re.compile(r"cli_[0-9a-f]{24}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Client:
    """A service account, without its secret."""

    id: str
    tenant_id: str
    name: str
    grants: Grants
    state: str
    certificate_digest: str | None
    expires_at: float | None
    created_at: float


@dataclass(frozen=True, slots=True)
class NewClient:
    """A service account just made, with the secret that is shown this once."""

    client: Client
    secret: str = field(repr=False)


class Clients:
    """Makes, lists, revokes and authenticates service accounts."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def create(
        self,
        session: Session,
        scope: Scope,
        name: str,
        grants: Grants,
        *,
        expires_at: float | None = None,
        certificate_digest: str | None = None,
    ) -> NewClient:
        """Make a service account; `certificate_digest` is the SHA-256 of a public key, in hex.

        Raises GrantsExceeded, NameTaken, NameMalformed or ExpiryRefused.
        """
        self._check(scope, grants, expires_at, certificate_digest)
        name = account_name("service account", name)
        lock_tenant(session, scope.tenant_id)
        secret = f"sps_{secrets.token_urlsafe(SECRET_BYTES)}"
        row = ClientRow(
            id=new_id("cli"),
            tenant_id=scope.tenant_id,
            name=name,
            scope=format_scope(grants),
            state=ACTIVE,
            secret_digest=_digest(secret),
            certificate_digest=certificate_digest,
            expires_at=expires_at,
            created_at=self._clock(),
        )
        add_unique(session, row, "service account", name)
        return NewClient(_view(row), secret)

    def list(
        self, session: Session, scope: Scope, *, after: str | None = None, limit: int = 100
    ) -> Page[Client]:
        """The tenant's service accounts in order of name, following the one named `after`."""
        statement = select(ClientRow).where(ClientRow.tenant_id == scope.tenant_id)
        return page(session, statement, ClientRow.name, _view, after=after, limit=limit)

    def find(self, session: Session, scope: Scope, name: str) -> Client:
        """The tenant's service account of this name or identifier; raises NotFound."""
        return _view(_row(session, scope, name))

    def revoke(self, session: Session, scope: Scope, name: str) -> Client:
        """Refuse the service account from now on; its certificate may be registered anew."""
        row = _row(session, scope, name)
        row.state = "revoked"
        row.certificate_digest = None
        return _view(row)

    def authenticate(self, session: Session, client_id: str, secret: str) -> Principal:
        """The principal of an identifier and its secret; raises CredentialsWrong."""
        identifier = client_id if _IDENTIFIER.fullmatch(client_id) else ""
        found = _with_tenant(session, ClientRow.id == identifier)
        stored = found[0].secret_digest if found else NO_DIGEST
        same = hmac.compare_digest(stored, _digest(secret))
        return self._admit(found if same else None)

    def authenticate_certificate(self, session: Session, digest: str) -> Principal:
        """The principal of a client certificate whose key TLS has proved; or CredentialsWrong."""
        known = digest if _DIGEST.fullmatch(digest) else ""
        return self._admit(_with_tenant(session, ClientRow.certificate_digest == known))

    def _admit(self, found: tuple[ClientRow, TenantRow] | None) -> Principal:
        if found is None:
            raise CredentialsWrong
        client, tenant = found
        if tenant.state != ACTIVE or not client_is_active(client, self._clock()):
            raise CredentialsWrong
        return client_principal(client, tenant)

    def _check(
        self, scope: Scope, grants: Grants, expires_at: float | None, digest: str | None
    ) -> None:
        require_grantable(scope, grants)
        if not grants:
            raise GrantsExceeded("", "nothing: a service account needs at least one grant")
        if expires_at is not None and not self._clock() < expires_at < float("inf"):
            raise ExpiryRefused(expires_at)
        if digest is not None and not _DIGEST.fullmatch(digest):
            raise NameMalformed("certificate", digest[:64], "give the SHA-256 of its key in hex")


def _row(session: Session, scope: Scope, name: str) -> ClientRow:
    by_id = _IDENTIFIER.fullmatch(name)
    which = ClientRow.id == name if by_id else ClientRow.name == lookup_name(name)
    row = session.scalar(select(ClientRow).where(ClientRow.tenant_id == scope.tenant_id, which))
    if row is None:
        raise NotFound("service account", name)
    return row


def _with_tenant(
    session: Session, which: ColumnElement[bool]
) -> tuple[ClientRow, TenantRow] | None:
    statement = select(ClientRow, TenantRow).join(TenantRow, TenantRow.id == ClientRow.tenant_id)
    found = session.execute(statement.where(which)).first()
    return (found[0], found[1]) if found else None


def _digest(secret: str) -> str:
    """SHA-256 suffices: nobody searches 256 random bits, and machines log in often."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _view(row: ClientRow) -> Client:
    return Client(
        id=row.id,
        tenant_id=row.tenant_id,
        name=row.name,
        grants=parse_scope(row.scope),
        state=row.state,
        certificate_digest=row.certificate_digest,
        expires_at=row.expires_at,
        created_at=row.created_at,
    )
