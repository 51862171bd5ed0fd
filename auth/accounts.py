"""Users of a tenant: made, listed, changed and barred, each only within a Scope."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from auth.delegation import require_grantable
from auth.errors import (
    CredentialsWrong,
    GrantsExceeded,
    LastAdmin,
    NotFound,
    PasswordRefused,
    RoleRefused,
)
from auth.login import Proof
from auth.names import PLATFORM_TENANT, account_name, lookup_name
from auth.otp import Otp
from auth.passwords import NewPassword
from auth.permissions import Grants, Role, format_scope, grants_of_role, narrow, parse_scope
from auth.principals import ACTIVE, user_grants
from auth.records import UserRow, new_id
from auth.rows import Page, add_unique, lock_tenant, page
from auth.scope import Scope

DISABLED = "disabled"
PLATFORM_ROLES = (Role.OPERATOR, Role.AUDITOR)
TENANT_ROLES = (Role.ADMIN, Role.DEVELOPER, Role.CALLER, Role.AUDITOR)


@dataclass(frozen=True, slots=True)
class User:
    """A person's account; `grants` narrow the role, None means the whole role."""

    id: str
    tenant_id: str
    username: str
    role: Role
    grants: Grants | None
    state: str
    has_otp: bool
    created_at: float
    password_changed_at: float


class Accounts:
    """Keeps the users of tenants. Passwords come hashed: hashing holds no transaction open."""

    def __init__(self, otp: Otp, clock: Callable[[], float] = time.time) -> None:
        self._otp = otp
        self._clock = clock

    def create(
        self,
        session: Session,
        scope: Scope,
        username: str,
        role: Role,
        *,
        password: NewPassword,
        grants: Grants | None = None,
    ) -> User:
        """Make a user; raises NameMalformed, NameTaken, RoleRefused or GrantsExceeded."""
        name = account_name("user", username)
        _refuse_short(password, has_otp=False)
        lock_tenant(session, scope.tenant_id)
        now = self._clock()
        row = UserRow(
            id=new_id("usr"),
            tenant_id=scope.tenant_id,
            username=name,
            role=_role_of_tenant(scope, role),
            scope=_narrowing(role, grants),
            state=ACTIVE,
            password_hash=password.hash,
            password_changed_at=now,
            otp_confirmed=False,
            otp_last_step=0,
            created_at=now,
        )
        _require_power_over(scope, row)
        add_unique(session, row, "user", name)
        return _view(row)

    def list(
        self, session: Session, scope: Scope, *, after: str | None = None, limit: int = 100
    ) -> Page[User]:
        """The tenant's users in order of name, following the one named `after`."""
        statement = select(UserRow).where(UserRow.tenant_id == scope.tenant_id)
        return page(session, statement, UserRow.username, _view, after=after, limit=limit)

    def find(self, session: Session, scope: Scope, username: str) -> User:
        """The tenant's user of this name; raises NotFound."""
        return _view(_row(session, scope, username))

    def disable(self, session: Session, scope: Scope, username: str) -> User:
        """Bar a user; raises LastAdmin or GrantsExceeded. End the user's sessions as well."""
        row = _locked_row(session, scope, username)
        _require_power_over(scope, row)
        _require_another_admin(session, scope, row)
        row.state = DISABLED
        return _view(row)

    def enable(self, session: Session, scope: Scope, username: str) -> User:
        """Admit a barred user again."""
        row = _locked_row(session, scope, username)
        _require_power_over(scope, row)
        row.state = ACTIVE
        return _view(row)

    def set_role(self, session: Session, scope: Scope, username: str, role: Role) -> User:
        """Give another role; the user's own narrowing stays. Raises LastAdmin or RoleRefused."""
        row = _locked_row(session, scope, username)
        return self._regrant(session, scope, row, _role_of_tenant(scope, role), row.scope)

    def set_grants(
        self, session: Session, scope: Scope, username: str, grants: Grants | None
    ) -> User:
        """Narrow the user's role to these grants; None lifts the narrowing."""
        row = _locked_row(session, scope, username)
        role = Role(row.role)
        return self._regrant(session, scope, row, role, _narrowing(role, grants))

    def reset_password(
        self,
        session: Session,
        scope: Scope,
        username: str,
        password: NewPassword,
        *,
        remove_otp: bool = False,
    ) -> User:
        """Replace the password of another user. End the user's sessions as well."""
        row = _locked_row(session, scope, username)
        _require_power_over(scope, row)
        self._set_password(row, password, has_otp=row.otp_confirmed and not remove_otp)
        if remove_otp:
            self._otp.remove(session, row)
        return _view(row)

    def change_password(
        self, session: Session, scope: Scope, proof: Proof, password: NewPassword
    ) -> User:
        """Replace the caller's own password, the old one being proved; or CredentialsWrong."""
        row = _proved_row(session, scope, proof)
        self._set_password(row, password, has_otp=row.otp_confirmed)
        return _view(row)

    def remove_otp(self, session: Session, scope: Scope, proof: Proof) -> User:
        """Remove the caller's own second factor, the password being proved.

        Raises PasswordRefused if that password is long enough only with a second factor.
        """
        row = _proved_row(session, scope, proof)
        if not proof.long_alone:
            raise PasswordRefused(
                "it is too short without a second factor; change it to a longer one first"
            )
        self._otp.remove(session, row)
        return _view(row)

    def _regrant(
        self, session: Session, scope: Scope, row: UserRow, role: Role, narrowing: str | None
    ) -> User:
        _require_power_over(scope, row)
        require_grantable(scope, user_grants(role, narrowing))
        if (role, narrowing) != (row.role, row.scope):
            _require_another_admin(session, scope, row)
        row.role = role
        row.scope = narrowing
        return _view(row)

    def _set_password(self, row: UserRow, password: NewPassword, *, has_otp: bool) -> None:
        _refuse_short(password, has_otp=has_otp)
        row.password_hash = password.hash
        row.password_changed_at = self._clock()


def _row(session: Session, scope: Scope, username: str) -> UserRow:
    name = lookup_name(username)
    row = session.scalar(
        select(UserRow)
        .where(UserRow.tenant_id == scope.tenant_id, UserRow.username == name)
        .execution_options(populate_existing=True)
    )
    if row is None:
        raise NotFound("user", username)
    return row


def _locked_row(session: Session, scope: Scope, username: str) -> UserRow:
    lock_tenant(session, scope.tenant_id)
    return _row(session, scope, username)


def _proved_row(session: Session, scope: Scope, proof: Proof) -> UserRow:
    """The caller's own row, if the password proved is still the one in force."""
    row = _locked_row(session, scope, scope.principal.name)
    own = proof.candidate.user_id == row.id == scope.principal.id
    current = proof.candidate.password_hash == row.password_hash and row.state == ACTIVE
    if not (proof.matched and own and current):
        raise CredentialsWrong
    return row


def _refuse_short(password: NewPassword, *, has_otp: bool) -> None:
    if password.needs_otp and not has_otp:
        raise PasswordRefused("it is too short without a second factor")


def _role_of_tenant(scope: Scope, role: Role) -> Role:
    allowed = PLATFORM_ROLES if scope.tenant == PLATFORM_TENANT else TENANT_ROLES
    if role not in allowed:
        raise RoleRefused(role, scope.tenant, tuple(allowed))
    return role


def _narrowing(role: Role, grants: Grants | None) -> str | None:
    if grants is None:
        return None
    excess = grants - narrow(grants_of_role(role), grants)
    if excess:
        raise GrantsExceeded(format_scope(excess), f"the role {str(role)!r}")
    return format_scope(grants)


def _require_power_over(scope: Scope, row: UserRow) -> None:
    """Refuse whoever holds less than the user does: it could act as that user."""
    require_grantable(scope, user_grants(Role(row.role), row.scope))


def _require_another_admin(session: Session, scope: Scope, row: UserRow) -> None:
    """Raise LastAdmin if nobody else has the tenant's full power; the tenant is locked."""
    chief = Role.OPERATOR if scope.tenant == PLATFORM_TENANT else Role.ADMIN
    if row.role != chief or row.scope is not None or row.state != ACTIVE:
        return
    others = select(func.count()).where(
        UserRow.tenant_id == scope.tenant_id,
        UserRow.role == chief,
        UserRow.scope.is_(None),
        UserRow.state == ACTIVE,
        UserRow.id != row.id,
    )
    if not session.scalar(others):
        raise LastAdmin(row.username)


def _view(row: UserRow) -> User:
    return User(
        id=row.id,
        tenant_id=row.tenant_id,
        username=row.username,
        role=Role(row.role),
        grants=None if row.scope is None else parse_scope(row.scope),
        state=row.state,
        has_otp=row.otp_confirmed,
        created_at=row.created_at,
        password_changed_at=row.password_changed_at,
    )
