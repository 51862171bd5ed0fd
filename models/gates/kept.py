"""Gates as the database keeps them: by tenant and by the model's name, which need not exist yet."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import orjson
from sqlalchemy import delete
from sqlalchemy.orm import Session

from models.errors import GateNotFound
from models.gates.rules import Gate, read_gate
from models.names import MODEL_NAME, check_model_name
from models.records import GateRow
from models.register.version_keys import TenantScope


@dataclass(frozen=True, slots=True)
class KeptGate:
    """A model's gate as it is in force, and who set it."""

    gate: Gate
    revision: int
    created_by: str
    created_at: float


class Gates:
    """Keeps at most one gate for each name of a model."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def find(
        self, session: Session, scope: TenantScope, name: str, *, lock: bool = False
    ) -> KeptGate | None:
        """The gate of a model; None if there is none. Locked, it stays until the end."""
        if not MODEL_NAME.fullmatch(name):
            return None  # a text that no model has, and that a database may not take
        row = session.get(GateRow, (scope.tenant_id, name), with_for_update=lock)
        if row is None:
            return None
        gate = read_gate(orjson.loads(row.rules))
        return KeptGate(gate, row.revision, row.created_by, row.created_at)

    def show(
        self, session: Session, scope: TenantScope, name: str, *, lock: bool = False
    ) -> KeptGate:
        """The gate of a model; raises GateNotFound."""
        found = self.find(session, scope, name, lock=lock)
        if found is None:
            raise GateNotFound(name)
        return found

    def set(
        self, session: Session, scope: TenantScope, name: str, gate: Gate, *, created_by: str
    ) -> KeptGate:
        """Give a model a gate; raises NameRefused."""
        check_model_name(name)
        before, now = self.find(session, scope, name, lock=True), self._clock()
        row = GateRow(
            tenant_id=scope.tenant_id,
            model=name,
            rules=orjson.dumps(gate.as_json()).decode(),
            # Two changes within a millisecond are two states all the same.
            revision=max(int(now * 1000), before.revision + 1 if before else 0),
            created_by=created_by,
            created_at=now,
        )
        session.merge(row)
        session.flush()
        return KeptGate(gate, row.revision, created_by, now)

    def delete(self, session: Session, scope: TenantScope, name: str) -> KeptGate:
        """Take a model's gate away; raises GateNotFound."""
        kept = self.show(session, scope, name, lock=True)
        session.delete(session.get_one(GateRow, (scope.tenant_id, name)))
        session.flush()
        return kept

    def delete_tenant(self, session: Session, scope: TenantScope) -> None:
        """Remove every gate of the tenant."""
        session.execute(delete(GateRow).where(GateRow.tenant_id == scope.tenant_id))
