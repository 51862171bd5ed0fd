"""The signed record of a model version: what it is, how it was made, and by whom."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import orjson

from models.errors import ArtefactBroken
from models.parity import Parity
from models.signature import Signature

PURPOSE: Final = b"sallyport model manifest 1\n"
SCHEMA: Final = 2

Flavour = Literal["sklearn", "tensorflow"]
ENGINE: Final = "engine"  # the role of the packed arrays that an engine loads
MODEL: Final = "model"  # the role of the model's own file, which only a host opens
# The roles of what a training tells of the model that it made.
EVALUATION: Final = "evaluation"
REPORT: Final = "report"
REFERENCE: Final = "reference"  # what the table was like: later data is compared with it
IN_HOSTS: Final = frozenset({"graph", "graph-chain"})  # engines whose arrays only a host opens


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a version: the SHA-256 and size of its bytes, and what they are."""

    digest: str
    size: int
    format: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """What an intake finds out about a model, before it belongs to anyone.

    `files` are what is stored, by role; `source_digest` is the SHA-256 of the file it all came
    from, and `parents` what that was made from, as far as it is known. `engine_methods` are those
    that the engine answers in place of the model's own library, which runs the others in a host
    of the `flavour`; `parity` compares the two, and `engine_reason` says why there is no engine,
    or why there was nothing to compare.
    """

    files: Mapping[str, StoredFile]
    flavour: Flavour
    source_format: str
    source_digest: str
    estimator: str
    signature: Signature
    engine: str
    engine_methods: tuple[str, ...]
    engine_reason: str
    parity: Parity | None
    libraries: Mapping[str, str]
    parents: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """The SHA-256 of the file that a host opens: what the version is."""
        return self.files[MODEL].digest

    @property
    def size(self) -> int:
        """How many bytes are stored."""
        return sum(file.size for file in self.files.values())

    def as_json(self) -> dict[str, Any]:
        """The contents as plain JSON types."""
        return {
            "files": {role: asdict(file) for role, file in self.files.items()},
            "flavour": self.flavour,
            "source_format": self.source_format,
            "source_digest": self.source_digest,
            "estimator": self.estimator,
            "signature": self.signature.as_json(),
            "engine": self.engine,
            "engine_methods": list(self.engine_methods),
            "engine_reason": self.engine_reason,
            "parity": self.parity and self.parity.as_json(),
            "libraries": dict(self.libraries),
            "parents": list(self.parents),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Contents:
        """Read what `as_json` wrote."""
        return cls(
            files={role: StoredFile(**file) for role, file in value["files"].items()},
            flavour=value["flavour"],
            source_format=value["source_format"],
            source_digest=value["source_digest"],
            estimator=value["estimator"],
            signature=Signature.from_json(value["signature"]),
            engine=value["engine"],
            engine_methods=tuple(value["engine_methods"]),
            engine_reason=value["engine_reason"],
            parity=Parity.from_json(value["parity"]) if value["parity"] else None,
            libraries=dict(value["libraries"]),
            parents=tuple(value["parents"]),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """The contents of one version, and whose it is."""

    tenant_id: str
    model: str
    number: int
    created_by: str
    created_at: float
    contents: Contents

    def as_json(self) -> dict[str, Any]:
        """The manifest as plain JSON types."""
        return {
            "schema": SCHEMA,
            "tenant_id": self.tenant_id,
            "model": self.model,
            "number": self.number,
            "created_by": self.created_by,
            "created_at": self.created_at,
            **self.contents.as_json(),
        }

    def canonical(self) -> bytes:
        """The one JSON text of this manifest, which is what is signed."""
        return orjson.dumps(self.as_json(), option=orjson.OPT_SORT_KEYS)


def sign(text: bytes, key: bytes) -> str:
    """The signature of a canonical manifest under the artefact key."""
    return hmac.new(key, PURPOSE + text, hashlib.sha256).hexdigest()


def read_manifest(text: bytes, signature: str, key: bytes) -> Manifest:
    """Verify a manifest, then read it; raises ArtefactBroken if it is not what was signed."""
    if not hmac.compare_digest(sign(text, key).encode(), signature.encode()):
        raise ArtefactBroken("a manifest", "its signature does not verify")
    value = orjson.loads(text)
    if value.pop("schema") != SCHEMA:
        raise ArtefactBroken("a manifest", "it was written by a release that this one cannot read")
    owner = {
        name: value.pop(name)
        for name in ("tenant_id", "model", "number", "created_by", "created_at")
    }
    return Manifest(**owner, contents=Contents.from_json(value))
