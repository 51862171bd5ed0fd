"""Tenants: the walls between customers, and the data key behind each."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from auth.errors import NotFound, PlatformTenantFixed
from auth.names import PLATFORM_TENANT, lookup_name, tenant_name
from auth.plans import DEFAULT_PLAN, check_plan
from auth.records import TenantRow, new_id
from auth.rows import Page, add_unique, page
from config.sealing import Sealer

DATA_KEY_BYTES: Final = 32
State = Literal["active", "suspended"]


class OwnedByTenant(Protocol):
    """A Scope, or what was found through one, such as a version of a model."""

    @property
    def tenant_id(self) -> str:
        """The tenant's identifier."""
        ...


@dataclass(frozen=True, slots=True)
class Tenant:
    """A customer of the platform, or the operators' own tenant."""

    id: str
    name: str
    state: str
    plan: str
    created_at: float


class Tenants:
    """Makes, finds, suspends and deletes tenants; each has a random key of its own.

    Tenants are reached by name and not through a Scope: only operators and logins come here.
    """

    def __init__(self, sealer: Sealer, clock: Callable[[], float] = time.time) -> None:
        self._sealer = sealer
        self._clock = clock

    def create(self, session: Session, name: str, *, plan: str = DEFAULT_PLAN) -> Tenant:
        """Make a tenant; raises NameMalformed, NameTaken or PlanUnknown."""
        return self._insert(session, tenant_name(name), check_plan(plan))

    def ensure_platform(self, session: Session) -> Tenant:
        """Return the operators' own tenant, made on the first call."""
        row = session.scalar(select(TenantRow).where(TenantRow.name == PLATFORM_TENANT))
        return _view(row) if row else self._insert(session, PLATFORM_TENANT, "unlimited")

    def find(self, session: Session, name: str) -> Tenant:
        """The tenant of this name; raises NotFound."""
        return _view(_row(session, name))

    def list(self, session: Session, *, after: str | None = None, limit: int = 100) -> Page[Tenant]:
        """Tenants in order of name, following the one named `after`."""
        statement = select(TenantRow)
        return page(session, statement, TenantRow.name, _view, after=after, limit=limit)

    def identifiers(self, session: Session, *, state: State | None = None) -> frozenset[str]:
        """Every tenant's identifier, or those in a state; for upkeep, where there are many."""
        query = select(TenantRow.id)
        found = session.scalars(query if state is None else query.where(TenantRow.state == state))
        return frozenset(found)

    def suspend(self, session: Session, name: str) -> Tenant:
        """Refuse everything to the tenant's accounts until it is resumed."""
        return self._set_state(session, name, "suspended")

    def resume(self, session: Session, name: str) -> Tenant:
        """Admit the tenant's accounts again."""
        return self._set_state(session, name, "active")

    def set_plan(self, session: Session, name: str, plan: str) -> Tenant:
        """Move the tenant to another plan; limits set for it stay."""
        row = _row(session, name)
        row.plan = check_plan(plan)
        return _view(row)

    def delete(self, session: Session, name: str) -> Tenant:
        """Delete the tenant with its accounts and its key, without which its data is noise."""
        row = _row(session, name)
        _refuse_platform(row)
        session.delete(row)
        session.flush()
        return _view(row)

    def data_key(self, session: Session, owned: OwnedByTenant) -> bytes:
        """The 32-byte key under which the tenant's artefacts are sealed; raises NotFound."""
        sealed = session.scalar(select(TenantRow.data_key).where(TenantRow.id == owned.tenant_id))
        if sealed is None:
            raise NotFound("tenant", owned.tenant_id)
        return self._sealer.open(sealed, _context(owned.tenant_id))

    def reseal(self, session: Session) -> int:
        """Seal every data key under the first master key; returns how many."""
        rows = session.scalars(select(TenantRow)).all()
        for row in rows:
            row.data_key = self._sealer.reseal(row.data_key, _context(row.id))
        return len(rows)

    def _insert(self, session: Session, name: str, plan: str) -> Tenant:
        tenant_id = new_id("ten")
        row = TenantRow(
            id=tenant_id,
            name=name,
            state="active",
            plan=plan,
            data_key=self._sealer.seal(os.urandom(DATA_KEY_BYTES), _context(tenant_id)),
            created_at=self._clock(),
        )
        add_unique(session, row, "tenant", name)
        return _view(row)

    def _set_state(self, session: Session, name: str, state: State) -> Tenant:
        row = _row(session, name)
        _refuse_platform(row)
        row.state = state
        return _view(row)


def _row(session: Session, name: str) -> TenantRow:
    row = session.scalar(select(TenantRow).where(TenantRow.name == lookup_name(name)))
    if row is None:
        raise NotFound("tenant", name)
    return row


def _refuse_platform(row: TenantRow) -> None:
    if row.name == PLATFORM_TENANT:
        raise PlatformTenantFixed


def _view(row: TenantRow) -> Tenant:
    return Tenant(row.id, row.name, row.state, row.plan, row.created_at)


def _context(tenant_id: str) -> dict[str, str]:
    return {"tenant": tenant_id, "purpose": "data"}
