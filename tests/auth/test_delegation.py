"""What a principal may hand on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from auth.delegation import require_grantable
from auth.errors import GrantsExceeded
from auth.names import PLATFORM_TENANT
from auth.permissions import Grants, Role, grants_of_role, parse_scope
from auth.scope import Principal, Scope

PLATFORM = Scope(
    "ten_p",
    PLATFORM_TENANT,
    Principal("user", "usr_olga", "olga", "ten_p", PLATFORM_TENANT, grants_of_role(Role.OPERATOR)),
)


def narrowed(scope: Scope, grants: str) -> Scope:
    return replace(scope, principal=replace(scope.principal, grants=parse_scope(grants)))


@pytest.mark.parametrize("grants", ["audit", "usage", "clients", "models.write", "users audit"])
def test_narrowed_operator_gives_no_operator_more_than_its_own(grants: str) -> None:
    narrow = narrowed(PLATFORM, "tenants users account")

    with pytest.raises(GrantsExceeded):
        require_grantable(narrow, parse_scope(grants))
    require_grantable(narrow, parse_scope("users account"))


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.AUDITOR])
def test_operator_appoints_to_every_role_of_the_platform(role: Role) -> None:
    require_grantable(PLATFORM, grants_of_role(role))


def test_operator_gives_in_a_tenant_what_its_admin_could() -> None:
    guest = narrowed(PLATFORM.within("ten_a", "acme"), "tenants users")
    admin: Grants = grants_of_role(Role.ADMIN)

    require_grantable(guest, admin)
    with pytest.raises(GrantsExceeded):
        require_grantable(guest, parse_scope("metrics"))
