"""Who acts, and within which tenant: the value without which nothing can be reached."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from auth.errors import PermissionMissing
from auth.permissions import Grant, Grants, Permission


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated user or service account, or the operator at the command line."""

    kind: Literal["user", "client", "operator"]
    id: str
    name: str
    tenant_id: str
    tenant: str
    grants: Grants
    session_id: str | None = None
    expires_at: float | None = None  # when the account itself ends, if it does

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}@{self.tenant}"


@dataclass(frozen=True, slots=True)
class Scope:
    """A principal acting within one tenant: its own, or for an operator the one it administers."""

    tenant_id: str
    tenant: str
    principal: Principal

    def allows(self, permission: Permission, model: str | None = None) -> bool:
        """Say whether the principal may do this, on the model if one is named."""
        wanted = Grant(permission, model)
        return any(grant.covers(wanted) for grant in self.principal.grants)

    def require(self, permission: Permission, model: str | None = None) -> None:
        """Raise PermissionMissing unless the principal may do this."""
        if not self.allows(permission, model):
            raise PermissionMissing(permission, model)

    def within(self, tenant_id: str, tenant: str) -> Scope:
        """The same principal in another tenant; only an operator may cross."""
        if tenant_id != self.tenant_id:
            self.require(Permission.TENANTS)
        return replace(self, tenant_id=tenant_id, tenant=tenant)


def own_scope(principal: Principal) -> Scope:
    """The scope of a principal in its own tenant."""
    return Scope(principal.tenant_id, principal.tenant, principal)
