"""The signed record of a model version: what it is, how it was made, and by whom."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from models.errors import ArtefactBroken
from models.parity import Parity
from models.signature import Signature

PURPOSE: Final = b"sallyport model manifest 1\n"
SCHEMA: Final = 1

ArtefactFormat = Literal["arrays", "skops"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """What an intake finds out about a model, before it belongs to anyone.

    `digest` is the SHA-256 of the stored artefact, `source_digest` that of the file it came from;
    `parity` compares the engine with the model's own library, and `engine_reason` says why the
    model is served natively, or why that could not be compared.
    """

    digest: str
    size: int
    artefact_format: ArtefactFormat
    source_format: str
    source_digest: str
    estimator: str
    signature: Signature
    engine: str
    engine_reason: str
    parity: Parity | None
    libraries: Mapping[str, str]


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
        contents = self.contents
        return {
            "schema": SCHEMA,
            "tenant_id": self.tenant_id,
            "model": self.model,
            "number": self.number,
            "created_by": self.created_by,
            "created_at": self.created_at,
            "digest": contents.digest,
            "size": contents.size,
            "artefact_format": contents.artefact_format,
            "source_format": contents.source_format,
            "source_digest": contents.source_digest,
            "estimator": contents.estimator,
            "signature": contents.signature.as_json(),
            "engine": contents.engine,
            "engine_reason": contents.engine_reason,
            "parity": contents.parity and contents.parity.as_json(),
            "libraries": dict(contents.libraries),
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
    value["signature"] = Signature.from_json(value["signature"])
    value["parity"] = Parity(**value["parity"]) if value["parity"] else None
    return Manifest(**owner, contents=Contents(**value))
