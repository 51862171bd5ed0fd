"""The audit trail, read and verified."""

from __future__ import annotations

from collections.abc import Callable

from auth.audit import AuditRecord, Head
from auth.permissions import Permission
from auth.rows import Page
from auth.scope import Scope
from service.bootstrap import Platform
from service.operations.cursors import number_before


def list_records(
    platform: Platform,
    scope: Scope,
    *,
    cursor: str | None = None,
    limit: int = 100,
    every_tenant: bool = False,
) -> Page[AuditRecord]:
    """A page of the tenant's records, or of all tenants' for an operator, newest first."""
    before = number_before(cursor)
    with platform.database.read() as session:
        records = platform.audit.list(
            session, scope, every_tenant=every_tenant, before=before, limit=limit + 1
        )
    more = len(records) > limit
    return Page(records[:limit], str(records[limit - 1].sequence) if more else None)


def verify(
    platform: Platform,
    scope: Scope,
    *,
    noted: str | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Head:
    """Check the whole chain, and that it contains the head noted earlier; raises AuditBroken."""
    scope.require(Permission.AUDIT)
    scope.require(Permission.TENANTS)
    head = Head.parse(noted) if noted else None
    with platform.database.read() as session:
        return platform.audit.verify(session, head, progress=progress)
