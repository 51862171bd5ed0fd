"""What becomes of a version: active, retired and active again, pinned, deleted for good."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from models.errors import VersionDeleted, VersionPinned
from models.names import Reference
from models.records import RouteRow, VersionRow
from models.register.aliases import Aliases, numbers
from models.register.entries import ACTIVE, DELETED, RETIRED, Entry, Reader, find_model, refuse_used
from models.register.version_keys import TenantScope


class LifeCycle:
    """Changes the state of versions; one that something points at stays in service."""

    def __init__(
        self, reader: Reader, aliases: Aliases, clock: Callable[[], float] = time.time
    ) -> None:
        self._reader = reader
        self._aliases = aliases
        self._clock = clock

    def retire(self, session: Session, scope: TenantScope, name: str, version: Reference) -> Entry:
        """Take a version out of service that nothing points at; raises VersionInUse."""
        row, entry = self._locked(session, scope, name, version)
        entry.kept()
        refuse_used(session, entry, row)
        row.state = RETIRED
        return replace(entry, state="retired")

    def activate(
        self, session: Session, scope: TenantScope, name: str, version: Reference
    ) -> Entry:
        """Put a retired version into service again."""
        row, entry = self._locked(session, scope, name, version)
        entry.kept()
        row.state = ACTIVE
        return replace(entry, state="active")

    def pin(
        self, session: Session, scope: TenantScope, name: str, version: Reference, *, pinned: bool
    ) -> Entry:
        """Protect a version from deletion, or end that."""
        row, entry = self._locked(session, scope, name, version)
        entry.kept()
        row.pinned = pinned
        return replace(entry, pinned=pinned)

    def delete(self, session: Session, scope: TenantScope, name: str, version: Reference) -> Entry:
        """Destroy the key of a version; its number and manifest stay on record.

        Raises VersionPinned or VersionInUse. The files are the caller's to remove.
        """
        row, entry = self._locked(session, scope, name, version)
        if entry.state == DELETED:
            raise VersionDeleted(entry.model, entry.number)
        if entry.pinned:
            raise VersionPinned(entry.model, entry.number)
        refuse_used(session, entry, row)
        return _destroyed(row, entry)

    def delete_model(
        self, session: Session, scope: TenantScope, name: str, *, by: str
    ) -> tuple[Entry, ...]:
        """Delete every version that is not deleted yet, then the name; raises VersionPinned.

        A model of the same name that is registered later goes on counting where this one ended.
        """
        model = find_model(session, scope, name, lock=True)
        rows = session.scalars(
            select(VersionRow)
            .where(VersionRow.model_id == model.id, VersionRow.state != DELETED)
            .order_by(VersionRow.number)
        ).all()
        entries = [self._reader.entry(session, scope, row, name) for row in rows]
        for entry in entries:
            if entry.pinned:
                raise VersionPinned(name, entry.number)
        session.execute(delete(RouteRow).where(RouteRow.model_id == model.id))
        for alias, number in numbers(session, model.id).items():
            self._aliases.drop(session, model, alias, number, by=by, reason="model deleted")
        model.is_default = False
        model.unloaded_at = None
        deleted = map(_destroyed, rows, entries)
        return tuple(deleted)

    def unload(self, session: Session, scope: TenantScope, name: str) -> None:
        """Let a model answer nobody until it is loaded; unloaded already, it stays so."""
        model = find_model(session, scope, name, lock=True)
        model.unloaded_at = model.unloaded_at or self._clock()

    def load(self, session: Session, scope: TenantScope, name: str) -> None:
        """Let a model answer again."""
        find_model(session, scope, name, lock=True).unloaded_at = None

    def _locked(
        self, session: Session, scope: TenantScope, name: str, version: Reference
    ) -> tuple[VersionRow, Entry]:
        find_model(session, scope, name, lock=True)
        return self._reader.find(session, scope, name, version)


def _destroyed(row: VersionRow, entry: Entry) -> Entry:
    row.sealed_key = None
    row.state = DELETED
    row.pinned = False
    return replace(entry, state="deleted", pinned=False)
