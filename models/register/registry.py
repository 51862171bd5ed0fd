"""The register of models and their versions, one tenant at a time."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from config.sealing import Sealer
from models.manifest import Contents, Manifest, sign
from models.names import CHAMPION, Reference, check_model_name
from models.records import AliasRow, ModelRow, VersionRow
from models.register.aliases import Aliases
from models.register.entries import Entry, ManifestKey, Reader, find_model
from models.register.life_cycle import LifeCycle
from models.register.listing import Model, list_models, show_model
from models.register.version_keys import DataKey, Draft, TenantScope, VersionKeys
from models.versions import Version


class Registry:
    """Registers immutable versions, each with a signed manifest and a key of its own.

    `aliases` moves names between them, `life_cycle` changes what may be done with them.
    """

    def __init__(
        self,
        manifest_key: ManifestKey,
        data_key: DataKey,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._manifest_key = manifest_key
        self._keys = VersionKeys(data_key)
        self._clock = clock
        self._reader = Reader(manifest_key)
        self.aliases = Aliases(self._reader, clock)
        self.life_cycle = LifeCycle(self._reader, self.aliases, clock)

    def draft(self, session: Session, scope: TenantScope, name: str, contents: Contents) -> Draft:
        """What will be a version of a model once it is registered; raises NameRefused."""
        check_model_name(name)
        return self._keys.make(session, scope, name, contents)

    def register(
        self,
        session: Session,
        scope: TenantScope,
        draft: Draft,
        *,
        created_by: str,
        promote: bool = False,
        crown: bool = True,
    ) -> Version:
        """Make a draft the next version of its model, with its files stored already.

        The first version, or one to promote, becomes champion; without `crown` none does.
        """
        model = self._model_for_update(session, scope, draft.model)
        last = select(func.max(VersionRow.number)).where(VersionRow.model_id == model.id)
        manifest = Manifest(
            tenant_id=scope.tenant_id,
            model=draft.model,
            number=(session.scalar(last) or 0) + 1,
            created_by=created_by,
            created_at=self._clock(),
            contents=draft.contents,
        )
        version = Version(draft.id, manifest)
        row = self._row(session, model, version, draft.sealed_key)
        session.add(row)
        session.flush()
        if crown and (promote or not _has_champion(session, model)):
            self.aliases.point(session, model, CHAMPION, row, by=created_by, reason="registered")
        return version

    def resolve(
        self, session: Session, scope: TenantScope, name: str | None, version: Reference = None
    ) -> Version:
        """Find the version that shall answer: no name is the default model, no version its
        champion; raises ModelNotFound, or what keeps it from answering.
        """
        return self.find(session, scope, name, version).servable()

    def find(
        self, session: Session, scope: TenantScope, name: str | None, version: Reference = None
    ) -> Entry:
        """Find a version in whatever state; raises ModelNotFound."""
        return self._reader.find(session, scope, name, version)[1]

    def models(
        self,
        session: Session,
        scope: TenantScope,
        *,
        after: str | None = None,
        limit: int | None = None,
    ) -> tuple[Model, ...]:
        """The models of the tenant, by name: those that follow `after`, at most `limit`."""
        return list_models(session, scope, after=after, limit=limit)

    def show(self, session: Session, scope: TenantScope, name: str) -> Model:
        """One model with its aliases and versions; raises ModelNotFound."""
        return show_model(session, scope, name)

    def page(
        self,
        session: Session,
        scope: TenantScope,
        name: str,
        *,
        before: int | None = None,
        limit: int = 100,
    ) -> tuple[Entry, ...]:
        """Versions of a model, deleted ones too, newest first, from below a number on."""
        model = find_model(session, scope, name)
        query = select(VersionRow).where(VersionRow.model_id == model.id)
        if before is not None:
            query = query.where(VersionRow.number < before)
        rows = session.scalars(query.order_by(VersionRow.number.desc()).limit(limit))
        return tuple(self._reader.entry(session, scope, row, name) for row in rows)

    def kept(self, session: Session, scope: TenantScope) -> Iterator[Version]:
        """Every version of the tenant whose files are kept, retired ones too."""
        query = select(VersionRow, ModelRow.name).join(ModelRow, ModelRow.id == VersionRow.model_id)
        own = query.where(ModelRow.tenant_id == scope.tenant_id, VersionRow.sealed_key.is_not(None))
        for row, name in session.execute(own.order_by(ModelRow.name, VersionRow.number)):
            yield self._reader.entry(session, scope, row, name).kept()

    def count_kept(self, session: Session, scope: TenantScope) -> int:
        """How many versions of the tenant are not deleted."""
        own = (VersionRow.tenant_id == scope.tenant_id, VersionRow.sealed_key.is_not(None))
        return session.scalar(select(func.count()).where(*own)) or 0

    def sealer(self, session: Session, version: Version) -> Sealer:
        """What seals and opens a version's files; raises VersionDeleted if its key is gone."""
        return self._keys.sealer(session, version)

    def set_default(self, session: Session, scope: TenantScope, name: str) -> None:
        """Let a model answer requests that name none."""
        model = find_model(session, scope, name)
        own = update(ModelRow).where(ModelRow.tenant_id == scope.tenant_id)
        session.execute(own.values(is_default=ModelRow.id == model.id))

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

    def _row(
        self, session: Session, model: ModelRow, version: Version, sealed_key: bytes
    ) -> VersionRow:
        text = version.manifest.canonical()
        return VersionRow(
            id=version.id,
            model_id=model.id,
            tenant_id=version.tenant_id,
            number=version.number,
            digest=version.digest,
            manifest=text.decode(),
            signature=sign(text, self._manifest_key(session)),
            sealed_key=sealed_key,
            created_by=version.manifest.created_by,
            created_at=version.manifest.created_at,
        )


def _has_champion(session: Session, model: ModelRow) -> bool:
    """Say whether a model has one that can answer; an outdated one cannot."""
    query = select(AliasRow).join(VersionRow, VersionRow.id == AliasRow.version_id)
    serving = query.where(
        AliasRow.model_id == model.id,
        AliasRow.alias == CHAMPION,
        VersionRow.sealed_key.is_not(None),
    )
    return session.scalars(serving).one_or_none() is not None
