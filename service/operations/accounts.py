"""Users of a tenant: their accounts, passwords and second factors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from auth.accounts import User
from auth.errors import CredentialsWrong, PasswordRefused
from auth.permissions import Permission, Role, format_scope, parse_scope
from auth.rows import Page
from auth.scope import Scope
from service.bootstrap import Platform
from service.errors import InputMalformed
from service.operations.guesses import charged_guess
from service.operations.recording import Act, recorded, refusal_recorded
from service.operations.sessions import require_user


@dataclass(frozen=True, slots=True)
class UserView:
    """A user as administrators see it; a generated password is shown once."""

    username: str
    role: str
    scope: str | None
    state: str
    otp: bool
    created_at: float
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class OtpState:
    """The state of a second factor after a step of enrolling or removing it."""

    enrolled: bool
    secret: str | None = field(default=None, repr=False)
    uri: str | None = field(default=None, repr=False)
    recovery_codes: tuple[str, ...] | None = field(default=None, repr=False)


def create_user(
    platform: Platform,
    scope: Scope,
    username: str,
    role: str,
    *,
    narrowing: str | None = None,
    password: str | None = None,
) -> UserView:
    """Make a user; the password is generated unless given."""
    scope.require(Permission.USERS)  # before the expensive hash
    prepared = platform.hasher.prepare(password, context_words=(scope.tenant, username))
    grants = None if narrowing is None else parse_scope(narrowing)
    with recorded(platform, scope, Permission.USERS, "users.create", username) as act:
        user = platform.accounts.create(
            act.session, scope, username, Role(role), password=prepared, grants=grants
        )
        act.details |= {"role": user.role, "grants": narrowing}
        return _view(user, prepared.generated)


def list_users(
    platform: Platform, scope: Scope, *, cursor: str | None = None, limit: int = 100
) -> Page[UserView]:
    """A page of the tenant's users in order of name."""
    scope.require(Permission.USERS)
    with platform.database.read() as session:
        page = platform.accounts.list(session, scope, after=cursor, limit=limit)
    return Page(tuple(_view(user) for user in page.items), page.next)


def show_user(platform: Platform, scope: Scope, username: str) -> UserView:
    """One user of the tenant."""
    scope.require(Permission.USERS)
    with platform.database.read() as session:
        return _view(platform.accounts.find(session, scope, username))


def change_user(
    platform: Platform,
    scope: Scope,
    username: str,
    *,
    state: str | None = None,
    role: str | None = None,
    narrowing: str | None = None,
) -> UserView:
    """Disable or enable a user, give another role, or narrow the role; empty lifts a narrowing.

    A disabled user's sessions end.
    """
    with recorded(platform, scope, Permission.USERS, "users.change", username) as act:
        act.details |= {"state": state, "role": role, "grants": narrowing}
        if role is not None:
            platform.accounts.set_role(act.session, scope, username, Role(role))
        if narrowing is not None:
            grants = parse_scope(narrowing) if narrowing else None
            platform.accounts.set_grants(act.session, scope, username, grants)
        if state == "disabled":
            user = platform.accounts.disable(act.session, scope, username)
            platform.sessions.end_all(act.session, user.id)
        elif state == "active":
            platform.accounts.enable(act.session, scope, username)
        return _view(platform.accounts.find(act.session, scope, username))


def reset_password(
    platform: Platform, scope: Scope, username: str, *, remove_otp: bool = False
) -> UserView:
    """Give a user a new generated password and end the user's sessions."""
    scope.require(Permission.USERS)
    prepared = platform.hasher.prepare()
    with recorded(platform, scope, Permission.USERS, "users.reset-password", username) as act:
        act.details["removed_second_factor"] = remove_otp
        user = platform.accounts.reset_password(
            act.session, scope, username, prepared, remove_otp=remove_otp
        )
        platform.sessions.end_all(act.session, user.id)
        return _view(user, prepared.generated)


def change_password(
    platform: Platform, scope: Scope, address: str, *, password: str, new_password: str
) -> None:
    """Replace the caller's own password; every session of the user ends."""
    require_user(scope)
    with (
        charged_guess(platform, scope.tenant, scope.principal.name, address),
        refusal_recorded(platform, scope, "users.change-password"),
    ):
        with platform.database.read() as session:
            candidate = platform.login.lookup_self(session, scope)
        proof = platform.login.verify(candidate, password)
        if not proof.matched:
            raise CredentialsWrong
    words = (scope.tenant, scope.principal.name)
    try:
        prepared = platform.hasher.prepare(
            new_password, has_otp=candidate.has_otp, context_words=words
        )
    except PasswordRefused as error:
        raise InputMalformed({"/new_password": error.reason}) from error
    with recorded(platform, scope, Permission.ACCOUNT, "users.change-password") as act:
        act.subject = scope.principal.name
        user = platform.accounts.change_password(act.session, scope, proof, prepared)
        platform.sessions.end_all(act.session, user.id)


def change_otp(
    platform: Platform,
    scope: Scope,
    address: str,
    *,
    action: Literal["enrol", "confirm", "remove"],
    password: str,
    otp: str | None = None,
) -> OtpState:
    """Enrol, confirm or remove the caller's own second factor, the password being proved."""
    require_user(scope)
    with (
        charged_guess(platform, scope.tenant, scope.principal.name, address),
        refusal_recorded(platform, scope, f"users.otp-{action}"),
    ):
        with platform.database.read() as session:
            candidate = platform.login.lookup_self(session, scope)
        proof = platform.login.verify(candidate, password)
        with recorded(platform, scope, Permission.ACCOUNT, f"users.otp-{action}") as act:
            act.subject = scope.principal.name
            if action == "confirm":
                if not proof.matched:
                    raise CredentialsWrong
                return _confirm(platform, scope, act, otp or "")
            platform.login.admit(act.session, proof, otp)
            if action == "enrol":
                enrolment = platform.otp.enrol(act.session, scope)
                return OtpState(enrolled=False, secret=enrolment.secret, uri=enrolment.uri)
            platform.accounts.remove_otp(act.session, scope, proof)
            return OtpState(enrolled=False)


def _confirm(platform: Platform, scope: Scope, act: Act, code: str) -> OtpState:
    codes = platform.otp.confirm(act.session, scope, code)
    return OtpState(enrolled=True, recovery_codes=codes)


def _view(user: User, password: str | None = None) -> UserView:
    return UserView(
        username=user.username,
        role=user.role.value,
        scope=None if user.grants is None else format_scope(user.grants),
        state=user.state,
        otp=user.has_otp,
        created_at=user.created_at,
        password=password,
    )
