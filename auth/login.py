"""The password login, in three steps so that the slow one holds no transaction open.

`lookup` reads, `verify` hashes, `admit` writes. Whatever is wrong (tenant, user, password, code,
a barred user, a suspended tenant), all three do the same work and end in the same error.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from auth.errors import CredentialsWrong
from auth.names import lookup_name
from auth.otp import Otp
from auth.passwords import PasswordHasher
from auth.principals import ACTIVE, user_principal
from auth.records import TenantRow, UserRow
from auth.scope import Principal, Scope


@dataclass(frozen=True, slots=True)
class Candidate:
    """Who claims to log in: the names as they are stored, and the user if there is one."""

    tenant: str
    username: str
    user_id: str | None = None
    password_hash: str | None = field(default=None, repr=False)
    has_otp: bool = False


@dataclass(frozen=True, slots=True)
class Proof:
    """What the password proved; only `admit` says whether the login succeeds."""

    candidate: Candidate
    matched: bool
    long_alone: bool  # long enough without a second factor
    renewed_hash: str | None = field(default=None, repr=False)


class Login:
    """Turns names, a password and a one-time code into a principal."""

    def __init__(self, hasher: PasswordHasher, otp: Otp) -> None:
        self._hasher = hasher
        self._otp = otp

    def lookup(self, session: Session, tenant: str, username: str) -> Candidate:
        """Find who claims to log in; nobody is a candidate too."""
        names = lookup_name(tenant), lookup_name(username)
        found = _find(session, TenantRow.name == names[0], UserRow.username == names[1])
        return _candidate(*names, found[0] if found else None)

    def lookup_self(self, session: Session, scope: Scope) -> Candidate:
        """The caller, about to prove the own password again."""
        mine = UserRow.id == scope.principal.id
        found = _find(session, mine, UserRow.tenant_id == scope.tenant_id)
        return _candidate(scope.tenant, scope.principal.name, found[0] if found else None)

    def verify(self, candidate: Candidate, password: str) -> Proof:
        """Compare the password with one Argon2id computation, whoever the candidate is.

        Call it outside any transaction. Raises HashingBusy.
        """
        long_alone = self._hasher.is_long_alone(password)
        encoded = candidate.password_hash
        if encoded is None:
            self._hasher.burn(password)
            return Proof(candidate, matched=False, long_alone=long_alone)
        matched = self._hasher.verify(encoded, password)
        # A second computation for a wrong password as well: it must not answer sooner.
        renewed = self._hasher.renew(encoded, password)
        return Proof(candidate, matched, long_alone, renewed if matched else None)

    def admit(self, session: Session, proof: Proof, code: str | None = None) -> Principal:
        """Use the one-time code up and return the principal; raises CredentialsWrong.

        Call it also after a password that did not match: it refuses in the same time.
        """
        found = _find(session, UserRow.id == (proof.candidate.user_id or ""))
        user, tenant = found or (None, None)
        factor = self._otp.check(session, user, code)
        if user is None or tenant is None or not _is_welcome(user, tenant, proof):
            raise CredentialsWrong
        if not factor.passed or not self._otp.spend(session, user, factor):
            raise CredentialsWrong
        if proof.renewed_hash is not None:
            user.password_hash = proof.renewed_hash
        return user_principal(user, tenant)


def _find(session: Session, *which: ColumnElement[bool]) -> tuple[UserRow, TenantRow] | None:
    found = session.execute(
        select(UserRow, TenantRow)
        .join(TenantRow, TenantRow.id == UserRow.tenant_id)
        .where(*which)
        .execution_options(populate_existing=True)
    ).first()
    return (found[0], found[1]) if found else None


def _candidate(tenant: str, username: str, user: UserRow | None) -> Candidate:
    if user is None:
        return Candidate(tenant, username)
    return Candidate(tenant, username, user.id, user.password_hash, user.otp_confirmed)


def _is_welcome(user: UserRow, tenant: TenantRow, proof: Proof) -> bool:
    """Say whether user and tenant are active and the password proved is still in force."""
    in_force = user.password_hash == proof.candidate.password_hash
    return proof.matched and in_force and user.state == ACTIVE and tenant.state == ACTIVE
