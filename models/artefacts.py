"""The sealed bytes of model versions."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import shutil
from pathlib import Path
from typing import Final, Protocol

from config.errors import SealBroken
from config.sealing import Sealer
from models.errors import ArtefactBroken, ArtefactMissing
from models.versions import Version

IDENTIFIER: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class ArtefactStore(Protocol):
    """Keeps artefacts, sealed under their tenant's data key to the one version they belong to."""

    def put(self, version: Version, role: str, artefact: bytes, sealer: Sealer) -> None:
        """Store a file of a version durably; raises ArtefactBroken unless its digest fits."""
        ...

    def open(self, version: Version, role: str, sealer: Sealer) -> bytes:
        """Return exactly the bytes that were registered; raises ArtefactMissing or -Broken."""
        ...

    def holds(self, version: Version, role: str) -> bool:
        """Say whether a file of a version is there, without opening it."""
        ...

    def delete(self, version: Version) -> None:
        """Remove every file of a version that is there."""
        ...

    def delete_tenant(self, tenant_id: str) -> None:
        """Remove every artefact of a tenant."""
        ...


class FolderStore:
    """Artefacts as files `<tenant>/<digest>.<version>`, readable by the owner alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, version: Version, role: str, artefact: bytes, sealer: Sealer) -> None:
        """Write the sealed artefact under another name, then rename: a crash leaves no half."""
        _check_digest(version, role, artefact)
        path = self._path(version, role)
        for folder in (self._folder, path.parent):
            folder.mkdir(mode=0o700, exist_ok=True, parents=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        _write_durably(partial, sealer.seal(artefact, _context(version, role)))
        partial.rename(path)
        _sync_folder(path.parent)
        _sync_folder(self._folder)

    def open(self, version: Version, role: str, sealer: Sealer) -> bytes:
        """Read, unseal and compare the digest of the very bytes that are returned."""
        try:
            descriptor = os.open(self._path(version, role), os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError as error:
            raise ArtefactMissing(version.model, version.number) from error
        except OSError as error:
            raise ArtefactBroken(_name(version), error.strerror or "unreadable") from error
        with os.fdopen(descriptor, "rb") as file:
            sealed = file.read()
        try:
            artefact = sealer.open(sealed, _context(version, role))
        except SealBroken as error:
            raise ArtefactBroken(_name(version), "its seal is broken") from error
        _check_digest(version, role, artefact)
        return artefact

    def holds(self, version: Version, role: str) -> bool:
        """Say whether the file is there."""
        return self._path(version, role).is_file()

    def delete(self, version: Version) -> None:
        """Remove the files."""
        for role in version.files:
            self._path(version, role).unlink(missing_ok=True)

    def delete_tenant(self, tenant_id: str) -> None:
        """Remove the tenant's folder."""
        folder = self._folder / _checked(IDENTIFIER, tenant_id)
        if folder.exists():
            shutil.rmtree(folder)

    def _path(self, version: Version, role: str) -> Path:
        tenant = _checked(IDENTIFIER, version.tenant_id)
        name = f"{_checked(DIGEST, version.files[role].digest)}.{_checked(IDENTIFIER, version.id)}"
        return self._folder / tenant / name


def _context(version: Version, role: str) -> dict[str, str]:
    return {
        "purpose": "artefact",
        "tenant": version.tenant_id,
        "model": version.model,
        "version": str(version.number),
        "role": role,
        "digest": version.files[role].digest,
    }


def _name(version: Version) -> str:
    return f"the artefact of {version.model!r} version {version.number}"


def _checked(rule: re.Pattern[str], text: str) -> str:
    # These come from our own database; a path is built only of what cannot leave the folder.
    if not rule.fullmatch(text):
        raise ArtefactBroken("an artefact's address", f"{text!r} is no identifier")
    return text


def _check_digest(version: Version, role: str, artefact: bytes) -> None:
    if not hmac.compare_digest(hashlib.sha256(artefact).hexdigest(), version.files[role].digest):
        raise ArtefactBroken(_name(version), "its digest differs")


def _write_durably(path: Path, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
