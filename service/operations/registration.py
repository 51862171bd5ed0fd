"""How what an intake has prepared becomes a version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlalchemy.orm import Session

from auth.permissions import Permission
from auth.rows import lock_tenant
from auth.scope import Scope
from models.intake import Prepared
from models.versions import Version
from service.bootstrap import Platform
from service.errors import QuotaReached
from service.operations.recording import Act, recorded

KEPT: Final = "kept_versions"


def require_room(platform: Platform, session: Session, scope: Scope) -> None:
    """Raise QuotaReached unless the tenant may keep one more version."""
    most = platform.limits_of(scope.tenant_id).of(KEPT)
    if platform.registry.count_kept(session, scope) >= most:
        raise QuotaReached(KEPT, most)


def register(
    platform: Platform,
    scope: Scope,
    name: str,
    prepared: Prepared,
    *,
    promote: bool = False,
    along: Callable[[Act, Version], None] | None = None,
) -> Version:
    """Store the files, then register the version; the first, or one to promote, is champion.

    Where the model has a gate, none is champion before it was judged: that is for `imports.point`.

    The files are stored outside of the transaction, which would keep every other writer waiting.
    Those of a version that is never registered are noise: its key is in no row. `along` is done
    in the transaction of the registration.
    """
    scope.require(Permission.MODELS_WRITE, name)
    with platform.database.read() as session:
        require_room(platform, session, scope)
        draft = platform.registry.draft(session, scope, name, prepared.contents)
    for role, blob in prepared.blobs.items():
        platform.artefacts.put(draft, role, blob, draft.sealer)
    with recorded(
        platform, scope, Permission.MODELS_WRITE, "models.import", name, model=name
    ) as act:
        lock_tenant(act.session, scope.tenant_id)
        require_room(platform, act.session, scope)
        version = platform.registry.register(
            act.session,
            scope,
            draft,
            created_by=str(scope.principal),
            promote=promote,
            crown=platform.gates.find(act.session, scope, name, lock=True) is None,
        )
        act.details |= {"version": version.number, "digest": version.digest}
        if along is not None:
            along(act, version)
    return version
