"""The register of models, their versions and aliases, one tenant at a time."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models.errors import ArtefactBroken, ModelNotFound
from models.manifest import Contents, Manifest, read_manifest, sign
from models.names import CHAMPION, Reference, check_alias, check_model_name, read_reference
from models.records import AliasRow, ModelRow, VersionRow
from models.versions import Version


class TenantScope(Protocol):
    """The part of a scope that this package knows: whose models may be reached."""

    @property
    def tenant_id(self) -> str:
        """The tenant's identifier."""
        ...


@dataclass(frozen=True, slots=True)
class Model:
    """A model and everything that is registered under its name."""

    name: str
    is_default: bool
    created_at: float
    aliases: dict[str, int]  # alias -> number
    versions: tuple[Version, ...]

    @property
    def champion(self) -> Version | None:
        """The version that answers when none is named."""
        number = self.aliases.get(CHAMPION)
        return next((v for v in self.versions if v.number == number), None)


class Registry:
    """Registers immutable versions and moves names between them.

    Every manifest is signed when it is written, and verified against its row whenever it is read.
    """

    def __init__(
        self, manifest_key: Callable[[Session], bytes], clock: Callable[[], float] = time.time
    ) -> None:
        self._key = manifest_key
        self._clock = clock

    def register(
        self,
        session: Session,
        scope: TenantScope,
        name: str,
        contents: Contents,
        *,
        created_by: str,
        promote: bool = False,
    ) -> Version:
        """Add the next version of a model; the first, or one to promote, becomes champion."""
        check_model_name(name)
        model = self._model_for_update(session, scope, name)
        last = select(func.max(VersionRow.number)).where(VersionRow.model_id == model.id)
        number = (session.scalar(last) or 0) + 1
        manifest = Manifest(
            tenant_id=scope.tenant_id,
            model=name,
            number=number,
            created_by=created_by,
            created_at=self._clock(),
            contents=contents,
        )
        version = Version(f"ver_{secrets.token_hex(12)}", manifest)
        session.add(self._row(session, model, version))
        session.flush()
        if promote or number == 1:
            _move_alias(session, model.id, CHAMPION, version.id)
        return version

    def resolve(
        self, session: Session, scope: TenantScope, name: str | None, version: Reference = None
    ) -> Version:
        """Find the version meant: no name is the default model, no version its champion."""
        wanted = CHAMPION if version is None else read_reference(version)
        found = session.execute(_version_query(scope, name, wanted)).one_or_none()
        if found is None:
            raise ModelNotFound(name, version)
        row, model = found
        return self._read(session, scope, row, model)

    def models(self, session: Session, scope: TenantScope) -> tuple[Model, ...]:
        """Every model of the tenant, by name."""
        names = select(ModelRow.name).where(ModelRow.tenant_id == scope.tenant_id)
        found = session.scalars(names.order_by(ModelRow.name)).all()
        return tuple(self.show(session, scope, name) for name in found)

    def show(self, session: Session, scope: TenantScope, name: str) -> Model:
        """One model with its aliases and versions, oldest first; raises ModelNotFound."""
        row = _find_model(session, scope, name)
        versions = select(VersionRow).where(VersionRow.model_id == row.id)
        aliases = (
            select(AliasRow.alias, VersionRow.number)
            .join(VersionRow, VersionRow.id == AliasRow.version_id)
            .where(AliasRow.model_id == row.id)
            .order_by(AliasRow.alias)
        )
        default = session.scalars(_default_model(scope)).one()
        return Model(
            name=row.name,
            is_default=row.id == default,
            created_at=row.created_at,
            aliases={row.alias: row.number for row in session.execute(aliases)},
            versions=tuple(
                self._read(session, scope, version, name)
                for version in session.scalars(versions.order_by(VersionRow.number))
            ),
        )

    def set_default(self, session: Session, scope: TenantScope, name: str) -> None:
        """Let a model answer requests that name none."""
        model = _find_model(session, scope, name)
        own = update(ModelRow).where(ModelRow.tenant_id == scope.tenant_id)
        session.execute(own.values(is_default=ModelRow.id == model.id))

    def set_alias(
        self, session: Session, scope: TenantScope, name: str, alias: str, version: Reference
    ) -> Version:
        """Point an alias at a version of the model, and return that version."""
        check_alias(alias)
        model = _find_model(session, scope, name, lock=True)
        target = self.resolve(session, scope, name, version)
        _move_alias(session, model.id, alias, target.id)
        return target

    def delete_tenant(self, session: Session, scope: TenantScope) -> None:
        """Remove every model of the tenant, with its versions and aliases."""
        session.execute(delete(ModelRow).where(ModelRow.tenant_id == scope.tenant_id))

    def _model_for_update(self, session: Session, scope: TenantScope, name: str) -> ModelRow:
        """The model's row, locked so that two registrations cannot take one number."""
        wanted = select(ModelRow).where(
            ModelRow.tenant_id == scope.tenant_id, ModelRow.name == name
        )
        found = session.scalars(wanted.with_for_update()).one_or_none()
        if found:
            return found
        row = ModelRow(
            id=f"mdl_{secrets.token_hex(12)}",
            tenant_id=scope.tenant_id,
            name=name,
            is_default=False,
            created_at=self._clock(),
        )
        try:
            with session.begin_nested():
                session.add(row)
        except IntegrityError:  # another registration has just created it
            return session.scalars(wanted.with_for_update()).one()
        return row

    def _row(self, session: Session, model: ModelRow, version: Version) -> VersionRow:
        text = version.manifest.canonical()
        return VersionRow(
            id=version.id,
            model_id=model.id,
            tenant_id=version.tenant_id,
            number=version.number,
            digest=version.digest,
            manifest=text.decode(),
            signature=sign(text, self._key(session)),
            created_by=version.manifest.created_by,
            created_at=version.manifest.created_at,
        )

    def _read(self, session: Session, scope: TenantScope, row: VersionRow, name: str) -> Version:
        """Verify a row: a manifest that is genuine, but of another version, is refused too."""
        manifest = read_manifest(row.manifest.encode(), row.signature, self._key(session))
        said = (manifest.tenant_id, manifest.model, manifest.number, manifest.contents.digest)
        if said != (scope.tenant_id, name, row.number, row.digest):
            raise ArtefactBroken("a manifest", "it belongs to another version")
        return Version(row.id, manifest)


def _find_model(session: Session, scope: TenantScope, name: str, *, lock: bool = False) -> ModelRow:
    wanted = select(ModelRow).where(ModelRow.tenant_id == scope.tenant_id, ModelRow.name == name)
    found = session.scalars(wanted.with_for_update() if lock else wanted).one_or_none()
    if found is None:
        raise ModelNotFound(name)
    return found


def _default_model(scope: TenantScope) -> Select[str]:
    """The model marked as default; while none is, the oldest."""
    own = select(ModelRow.id).where(ModelRow.tenant_id == scope.tenant_id)
    return own.order_by(ModelRow.is_default.desc(), ModelRow.created_at, ModelRow.id).limit(1)


def _version_query(
    scope: TenantScope, name: str | None, wanted: Reference
) -> Select[VersionRow, str]:
    query = (
        select(VersionRow, ModelRow.name)
        .join(ModelRow, ModelRow.id == VersionRow.model_id)
        .where(ModelRow.tenant_id == scope.tenant_id, VersionRow.tenant_id == scope.tenant_id)
    )
    if name is None:
        query = query.where(ModelRow.id == _default_model(scope).scalar_subquery())
    else:
        query = query.where(ModelRow.name == name)
    if isinstance(wanted, int):
        return query.where(VersionRow.number == wanted)
    query = query.join(AliasRow, AliasRow.version_id == VersionRow.id)
    return query.where(AliasRow.model_id == ModelRow.id, AliasRow.alias == wanted)


def _move_alias(session: Session, model_id: str, alias: str, version_id: str) -> None:
    session.merge(AliasRow(model_id=model_id, alias=alias, version_id=version_id))
    session.flush()
