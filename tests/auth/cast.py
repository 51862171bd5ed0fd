"""The cast: Acme has Ada, Ben and Rob; Globex has Gail; Olga operates the platform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy.orm import Session

from auth.accounts import Accounts, User
from auth.clients import Clients
from auth.login import Login
from auth.otp import Otp
from auth.passwords import NewPassword, PasswordHasher
from auth.permissions import Role, grants_of_role
from auth.plans import Plans
from auth.principals import Principals
from auth.scope import Principal, Scope, own_scope
from auth.sessions import Sessions
from auth.tenants import Tenants
from config.database import Database
from config.sealing import Sealer
from config.settings import Settings
from tests.auth.clock import Clock

PASSWORD: Final = "quiet harbour lights"
USERS: Final = (
    ("platform", "olga", Role.OPERATOR),
    ("acme", "ada", Role.ADMIN),
    ("acme", "ben", Role.DEVELOPER),
    ("acme", "rob", Role.CALLER),
    ("globex", "gail", Role.ADMIN),
)


@dataclass(frozen=True)
class Cast:
    """Real accounts in a real store, and the scopes in which they act."""

    database: Database
    clock: Clock
    settings: Settings
    hasher: PasswordHasher
    otp: Otp
    tenants: Tenants
    accounts: Accounts
    login: Login
    clients: Clients
    sessions: Sessions
    principals: Principals
    plans: Plans
    scopes: dict[str, Scope]
    password: NewPassword

    def __getitem__(self, username: str) -> Scope:
        return self.scopes[username]

    def operator_in(self, tenant: str) -> Scope:
        """Olga, acting within a tenant."""
        other = next(scope for scope in self.scopes.values() if scope.tenant == tenant)
        return self["olga"].within(other.tenant_id, other.tenant)

    def user(self, username: str) -> User:
        """The account as it is stored now."""
        with self.database.read() as session:
            return self.accounts.find(session, self[username], username)

    def log_in(self, tenant: str, username: str, password: str, code: str | None = None) -> Scope:
        """Log in as the service does: read, hash without a transaction, write."""
        with self.database.read() as session:
            candidate = self.login.lookup(session, tenant, username)
        proof = self.login.verify(candidate, password)
        with self.database.write() as session:
            return own_scope(self.login.admit(session, proof, code))


def build_cast(
    database: Database,
    clock: Clock,
    settings: Settings,
    hasher: PasswordHasher,
    password: NewPassword,
) -> Cast:
    """Create everybody; all have the same password, hashed once per test run."""
    sealer = Sealer(settings.master_keys)
    otp = Otp(sealer, clock)
    cast = Cast(
        database=database,
        clock=clock,
        settings=settings,
        hasher=hasher,
        otp=otp,
        tenants=Tenants(sealer, clock),
        accounts=Accounts(otp, clock),
        login=Login(hasher, otp),
        clients=Clients(clock),
        sessions=Sessions(settings, clock),
        principals=Principals(clock),
        plans=Plans(),
        scopes={},
        password=password,
    )
    with database.write() as session:
        cast.tenants.ensure_platform(session)
        for name in ("acme", "globex"):
            cast.tenants.create(session, name)
        for tenant, username, role in USERS:
            cast.scopes[username] = _appoint(cast, session, tenant, username, role)
    return cast


def _appoint(cast: Cast, session: Session, tenant: str, username: str, role: Role) -> Scope:
    scope = first_operator(cast.tenants.find(session, tenant).id, tenant)
    user = cast.accounts.create(session, scope, username, role, password=cast.password)
    principal = cast.principals.of(session, user.id)
    assert principal is not None
    return own_scope(principal)


def first_operator(tenant_id: str, tenant: str) -> Scope:
    """Whoever runs the installation's commands, within a tenant."""
    grants = grants_of_role(Role.OPERATOR)
    return Scope(tenant_id, tenant, Principal("operator", "cli", "cli", "", "platform", grants))
