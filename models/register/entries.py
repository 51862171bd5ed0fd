"""What the register says of a version, and how its rows are found and read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

import orjson
from sqlalchemy import Exists, Select, exists, or_, select
from sqlalchemy.orm import Session, aliased

from models.errors import (
    ArtefactBroken,
    ModelNotFound,
    ModelUnloaded,
    VersionDeleted,
    VersionInUse,
    VersionOutdated,
    VersionRetired,
)
from models.manifest import SCHEMA, read_manifest
from models.names import CHAMPION, MODEL_NAME, Reference, read_reference
from models.records import AliasRow, ModelRow, RouteRow, VersionRow
from models.register.version_keys import TenantScope
from models.routes import read_route
from models.versions import Version

ACTIVE: Final = "active"
RETIRED: Final = "retired"
DELETED: Final = "deleted"
OUTDATED: Final = "outdated"

Query = TypeVar("Query", bound=Select[*tuple[Any, ...]])
State = Literal["active", "retired", "deleted", "outdated"]
ManifestKey = Callable[[Session], bytes]


@dataclass(frozen=True, slots=True)
class Entry:
    """A version in the register: what it is, and what became of it.

    `version` is None where an earlier release registered it, and kept too little to serve it.
    """

    model: str
    number: int
    state: State
    pinned: bool
    created_by: str
    created_at: float
    version: Version | None

    def servable(self) -> Version:
        """The version itself; raises unless it may answer predictions."""
        if self.state == RETIRED:
            raise VersionRetired(self.model, self.number)
        return self.kept()

    def kept(self) -> Version:
        """The version itself; raises if it was deleted, or is outdated."""
        if self.state == DELETED:
            raise VersionDeleted(self.model, self.number)
        if self.version is None:
            raise VersionOutdated(self.model, self.number)
        return self.version


class Reader:
    """Finds rows within a scope; every manifest is verified against its row when it is read."""

    def __init__(self, manifest_key: ManifestKey) -> None:
        self._key = manifest_key

    def find(
        self, session: Session, scope: TenantScope, name: str | None, reference: Reference
    ) -> tuple[VersionRow, Entry]:
        """The version meant, in whatever state: no name is the default model, no version its
        champion; raises ModelNotFound.
        """
        wanted = CHAMPION if reference is None else read_reference(reference)
        if wanted is None or (name is not None and not MODEL_NAME.fullmatch(name)):
            raise ModelNotFound(name, reference)
        found = session.execute(_version_query(scope, name, wanted)).one_or_none()
        if found is None:
            raise ModelNotFound(name, reference)
        row, model = found
        return row, self.entry(session, scope, row, model)

    def entry(self, session: Session, scope: TenantScope, row: VersionRow, name: str) -> Entry:
        """What a row says."""
        state = state_of(row.state, is_sealed=row.sealed_key is not None)
        return Entry(
            model=name,
            number=row.number,
            state=state,
            pinned=row.pinned,
            created_by=row.created_by,
            created_at=row.created_at,
            version=None if _is_older(row) else self._read(session, scope, row, name),
        )

    def _read(self, session: Session, scope: TenantScope, row: VersionRow, name: str) -> Version:
        """Verify a row: a manifest that is genuine, but of another version, is refused too."""
        manifest = read_manifest(row.manifest.encode(), row.signature, self._key(session))
        said = (manifest.tenant_id, manifest.model, manifest.number, manifest.contents.digest)
        if said != (scope.tenant_id, name, row.number, row.digest):
            raise ArtefactBroken("a manifest", "it belongs to another version")
        return Version(row.id, manifest)


def _is_older(row: VersionRow) -> bool:
    """Say whether an earlier release wrote the manifest; read before it is verified."""
    try:
        return int(orjson.loads(row.manifest)["schema"]) < SCHEMA
    except (ValueError, TypeError, KeyError):
        return False  # what is no manifest at all fails to verify


def state_of(stored: str, *, is_sealed: bool) -> State:
    """The state of a version; without a key it is deleted, or of before versions had keys."""
    if stored == DELETED:
        return "deleted"
    if not is_sealed:
        return "outdated"
    return "retired" if stored == RETIRED else "active"


def find_model(session: Session, scope: TenantScope, name: str, *, lock: bool = False) -> ModelRow:
    """The model of this name; raises ModelNotFound. Locked, one writer at a time changes it."""
    if not MODEL_NAME.fullmatch(name):
        raise ModelNotFound(name)  # a text that no model has, and that a database may not take
    query = living(select(ModelRow), scope).where(ModelRow.name == name)
    found = session.scalars(query.with_for_update(of=ModelRow) if lock else query).one_or_none()
    if found is None:
        raise ModelNotFound(name)
    return found


def refuse_unloaded(session: Session, scope: TenantScope, name: str | None) -> None:
    """Raise ModelUnloaded if the model of this name, or the default one, is unloaded."""
    query = living(select(ModelRow.name), scope).where(ModelRow.unloaded_at.is_not(None))
    if name is None:
        query = query.where(ModelRow.id == default_model(scope).scalar_subquery())
    elif not MODEL_NAME.fullmatch(name):
        return  # a text that a database may not take
    else:
        query = query.where(ModelRow.name == name)
    unloaded = session.scalars(query).one_or_none()
    if unloaded is not None:
        raise ModelUnloaded(unloaded)


def living(query: Query, scope: TenantScope) -> Query:
    """The same query, of the scope's models that were not deleted.

    Those have a champion, or versions of which none has passed the model's gate yet.
    """
    version = aliased(VersionRow)
    has_versions = exists().where(
        version.model_id == ModelRow.id,
        version.state != DELETED,
        version.sealed_key.is_not(None),
    )
    return query.where(ModelRow.tenant_id == scope.tenant_id, or_(_has_champion(), has_versions))


def _has_champion() -> Exists:
    champion = aliased(AliasRow)
    return exists().where(champion.model_id == ModelRow.id, champion.alias == CHAMPION)


def default_model(scope: TenantScope) -> Select[str]:
    """The identifier of the model marked as default; while none is, of the oldest.

    One without a champion has nothing to answer with.
    """
    own = select(ModelRow.id).where(ModelRow.tenant_id == scope.tenant_id, _has_champion())
    return own.order_by(ModelRow.is_default.desc(), ModelRow.created_at, ModelRow.id).limit(1)


def refuse_used(session: Session, entry: Entry, row: VersionRow) -> None:
    """Raise VersionInUse if an alias or the model's route points at the version."""
    pointing = select(AliasRow.alias).where(AliasRow.version_id == row.id).order_by(AliasRow.alias)
    users = [f"the alias {alias!r}" for alias in session.scalars(pointing)]
    if route_names(session, row.model_id, row.number):
        users.append("the route")
    if users:
        raise VersionInUse(entry.model, entry.number, tuple(users))


def route_names(session: Session, model_id: str, version: int | str) -> bool:
    """Say whether the model's route names this number or alias."""
    definition = session.scalar(select(RouteRow.definition).where(RouteRow.model_id == model_id))
    return definition is not None and version in read_route(orjson.loads(definition)).versions


def _version_query(
    scope: TenantScope, name: str | None, wanted: int | str
) -> Select[VersionRow, str]:
    query = living(
        select(VersionRow, ModelRow.name)
        .join(ModelRow, ModelRow.id == VersionRow.model_id)
        .where(VersionRow.tenant_id == scope.tenant_id),
        scope,
    )
    if name is None:
        query = query.where(ModelRow.id == default_model(scope).scalar_subquery())
    else:
        query = query.where(ModelRow.name == name)
    if isinstance(wanted, int):
        return query.where(VersionRow.number == wanted)
    query = query.join(AliasRow, AliasRow.version_id == VersionRow.id)
    return query.where(AliasRow.model_id == ModelRow.id, AliasRow.alias == wanted)
