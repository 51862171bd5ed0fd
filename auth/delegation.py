"""What one principal may hand on to another: never more than it has, nor than the tenant has."""

from __future__ import annotations

from auth.errors import GrantsExceeded
from auth.names import PLATFORM_TENANT
from auth.permissions import Grants, Permission, Role, format_scope, grants_of_role, narrow
from auth.scope import Scope


def require_grantable(scope: Scope, grants: Grants) -> None:
    """Raise GrantsExceeded naming what this principal cannot give within this tenant.

    In a customer's tenant an operator may give whatever its admin could; among operators, only
    what is its own. Without this rule a user whose own grants are narrowed could appoint, or
    reset the password of, somebody with more.
    """
    excess = grants - narrow(_ceiling(scope), narrow(_held(scope), grants))
    if excess:
        raise GrantsExceeded(format_scope(excess), "what you may hand on in this tenant")


def _held(scope: Scope) -> Grants:
    own = scope.principal.grants
    is_guest = scope.tenant != PLATFORM_TENANT and scope.allows(Permission.TENANTS)
    return own | grants_of_role(Role.ADMIN) if is_guest else own


def _ceiling(scope: Scope) -> Grants:
    platform = scope.tenant == PLATFORM_TENANT
    return grants_of_role(Role.OPERATOR if platform else Role.ADMIN)
