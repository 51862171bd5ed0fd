"""The files of model versions, stored by content and sealed to the one version they belong to."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, Protocol, Self

from config.errors import SealBroken
from config.sealing import Sealer
from models.errors import ArtefactBroken, ArtefactMissing, FormatRefused
from models.manifest import StoredFile
from models.stores import Store
from models.stores.folder import FolderStore
from models.versions import Version

if TYPE_CHECKING:
    from config.settings import Settings

IDENTIFIER: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
DIGEST: Final = re.compile(r"[0-9a-f]{64}")
FOLDER: Final = "artefacts"
MOST_BYTES: Final = 2**31 - 1024  # AES-GCM seals at most 2^31 - 1 at once


class Owner(Protocol):
    """A version, or the draft of one."""

    @property
    def id(self) -> str:
        """Its identifier, which no other version ever has."""
        ...

    @property
    def tenant_id(self) -> str:
        """The tenant that owns it."""
        ...

    @property
    def model(self) -> str:
        """The name of its model."""
        ...

    @property
    def files(self) -> Mapping[str, StoredFile]:
        """Its files, by role."""
        ...


class Artefacts:
    """Puts files into a store and takes them out, each under its version's own key.

    A store sees sealed bytes under `<tenant>/<digest>.<version>`. A file that was exchanged for
    another, even for one of the same tenant and key, does not open.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Over the store that the settings name."""
        if not settings.artefacts_url:
            return cls(FolderStore(settings.instance / FOLDER))
        from models.stores.s3 import S3Store  # its library is not always installed

        return cls(S3Store(settings))

    @property
    def place(self) -> str:
        """Where the files are, for people."""
        return self._store.name

    def put(self, version: Owner, role: str, artefact: bytes, sealer: Sealer) -> None:
        """Store a file of a version durably; raises ArtefactBroken unless its digest fits."""
        if len(artefact) > MOST_BYTES:
            raise FormatRefused(f"{len(artefact)} bytes would be stored, at most {MOST_BYTES} can")
        _check_digest(version, role, artefact)
        self._store.put(_address(version, role), sealer.seal(artefact, _context(version, role)))

    def open(self, version: Version, role: str, sealer: Sealer) -> bytes:
        """Return exactly the bytes that were registered; raises ArtefactMissing or -Broken.

        The digest is compared over the very bytes that are returned.
        """
        sealed = self._store.get(_address(version, role))
        if sealed is None:
            raise ArtefactMissing(version.model, version.number)
        try:
            artefact = sealer.open(sealed, _context(version, role))
        except SealBroken as error:
            raise ArtefactBroken(_name(version), "its seal is broken") from error
        _check_digest(version, role, artefact)
        return artefact

    def holds(self, version: Version) -> bool:
        """Say whether every file of a version is there, without opening one."""
        return all(self._store.holds(_address(version, role)) for role in version.files)

    def delete(self, version: Version) -> None:
        """Remove every file of a version that is there."""
        for role in version.files:
            self._store.delete(_address(version, role))

    def delete_tenant(self, tenant_id: str) -> None:
        """Remove every file of a tenant."""
        self._store.delete_tenant(_checked(IDENTIFIER, tenant_id))

    def strays(self, tenant_id: str, versions: Iterable[Version]) -> set[str]:
        """The addresses of a tenant's files that belong to none of these versions.

        An intake that was interrupted leaves such files; they are sealed under keys that are gone.
        """
        owned = {_address(version, role) for version in versions for role in version.files}
        return set(self._store.addresses(_checked(IDENTIFIER, tenant_id))) - owned

    def probe(self, content: bytes) -> bool:
        """Say whether the store gives back what it is given, under an address of no tenant."""
        address = f"probe/{hashlib.sha256(content).hexdigest()}"
        self._store.put(address, content)
        try:
            return self._store.get(address) == content
        finally:
            self._store.delete(address)


def _address(version: Owner, role: str) -> str:
    tenant = _checked(IDENTIFIER, version.tenant_id)
    digest = _checked(DIGEST, version.files[role].digest)
    return f"{tenant}/{digest}.{_checked(IDENTIFIER, version.id)}"


def _context(version: Owner, role: str) -> dict[str, str]:
    return {
        "purpose": "artefact",
        "tenant": version.tenant_id,
        "model": version.model,
        "version": version.id,
        "role": role,
        "digest": version.files[role].digest,
    }


def _name(version: Owner) -> str:
    return f"the artefact {version.id} of {version.model!r}"


def _checked(rule: re.Pattern[str], text: str) -> str:
    # These come from our own database; an address is built only of what cannot leave its place.
    if not rule.fullmatch(text):
        raise ArtefactBroken("an artefact's address", f"{text!r} is no identifier")
    return text


def _check_digest(version: Owner, role: str, artefact: bytes) -> None:
    if not hmac.compare_digest(hashlib.sha256(artefact).hexdigest(), version.files[role].digest):
        raise ArtefactBroken(_name(version), "its digest differs")
