"""A key for each version, sealed under its tenant's: destroying it deletes the version for good.

The bytes of a deleted version may survive in a backup of the store, on a disk that was replaced,
or in an earlier state of a bucket. Without the key they are noise.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from config.sealing import Sealer
from models.errors import VersionDeleted
from models.manifest import Contents, StoredFile
from models.records import VersionRow
from models.versions import Version

KEY_BYTES: Final = 32


class TenantScope(Protocol):
    """The part of a scope that this package knows: whose models may be reached."""

    @property
    def tenant_id(self) -> str:
        """The tenant's identifier."""
        ...


@dataclass(frozen=True, slots=True)
class Draft:
    """What will be a version: its files are stored before it is registered.

    Should it never be, nobody has the key to what was stored of it.
    """

    id: str
    tenant_id: str
    model: str
    contents: Contents
    sealed_key: bytes
    sealer: Sealer

    @property
    def files(self) -> Mapping[str, StoredFile]:
        """Its files, by role."""
        return self.contents.files


DataKey = Callable[[Session, TenantScope], bytes]


class VersionKeys:
    """Makes the keys of versions, and opens them."""

    def __init__(self, data_key: DataKey) -> None:
        self._data_key = data_key

    def make(self, session: Session, scope: TenantScope, name: str, contents: Contents) -> Draft:
        """What will be a version of a model, with an identifier and a key of its own."""
        version_id, key = f"ver_{secrets.token_hex(12)}", os.urandom(KEY_BYTES)
        return Draft(
            id=version_id,
            tenant_id=scope.tenant_id,
            model=name,
            contents=contents,
            sealed_key=self._sealer(session, scope).seal(key, _context(scope, version_id)),
            sealer=Sealer((key,)),
        )

    def sealer(self, session: Session, version: Version) -> Sealer:
        """What seals and opens the version's files; raises VersionDeleted if its key is gone."""
        own = (VersionRow.id == version.id, VersionRow.tenant_id == version.tenant_id)
        sealed = session.scalar(select(VersionRow.sealed_key).where(*own))
        if sealed is None:
            raise VersionDeleted(version.model, version.number)
        return Sealer((self._sealer(session, version).open(sealed, _context(version, version.id)),))

    def _sealer(self, session: Session, scope: TenantScope) -> Sealer:
        return Sealer((self._data_key(session, scope),))


def _context(scope: TenantScope, version_id: str) -> dict[str, str]:
    return {"purpose": "version-key", "tenant": scope.tenant_id, "version": version_id}
