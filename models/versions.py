"""A registered version, as it travels between the registry, the store and the executors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from models.manifest import Manifest, StoredFile
from models.signature import Signature


@dataclass(frozen=True, slots=True)
class Version:
    """One immutable version; its manifest was verified when this value was made."""

    id: str
    manifest: Manifest

    @property
    def tenant_id(self) -> str:
        """The tenant that owns it."""
        return self.manifest.tenant_id

    @property
    def model(self) -> str:
        """The name of its model."""
        return self.manifest.model

    @property
    def number(self) -> int:
        """Its number within its model, from 1."""
        return self.manifest.number

    @property
    def digest(self) -> str:
        """The SHA-256 of its model file."""
        return self.manifest.contents.digest

    @property
    def files(self) -> Mapping[str, StoredFile]:
        """What is stored of it, by role."""
        return self.manifest.contents.files

    @property
    def signature(self) -> Signature:
        """What it takes and gives."""
        return self.manifest.contents.signature
