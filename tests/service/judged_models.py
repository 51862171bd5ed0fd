"""Versions with an evaluation on record, as a training registers them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import orjson

from models.manifest import EVALUATION, StoredFile
from models.stages import Prepared
from service.operations.registration import register
from tests.house import House

SAME = "ab" * 32


def evaluation(
    *, digest: str = SAME, target: str = "y", **metrics: tuple[float, float | None, float | None]
) -> dict[str, Any]:
    """What a training writes down: of each metric its value, and its interval."""
    named = {
        name: dict(zip(("value", "low", "high"), m, strict=True)) for name, m in metrics.items()
    }
    return {
        "schema": 1,
        "data": {"digest": digest, "target": target},
        "holdout": {"rows": 50, "metrics": named},
    }


def with_file(prepared: Prepared, role: str, said: Any) -> Prepared:
    """What an intake has made, with one file more."""
    text = orjson.dumps(said)
    stored = StoredFile(hashlib.sha256(text).hexdigest(), len(text), "json")
    contents = replace(prepared.contents, files={**prepared.contents.files, role: stored})
    return Prepared(contents, {**prepared.blobs, role: text})


def prepared_of(house: House, model: str = "linear") -> Prepared:
    """The first version of a model of Acme's as an intake made it."""
    scope, platform = house.operator("acme"), house.platform
    with platform.database.read() as session:
        version = platform.registry.resolve(session, scope, model, 1)
        sealer = platform.registry.sealer(session, version)
    blobs = {role: platform.artefacts.open(version, role, sealer) for role in version.files}
    return Prepared(version.manifest.contents, blobs)


def trained(house: House, model: str = "linear", **metrics: Any) -> int:
    """Register a version with an evaluation; its number."""
    prepared = with_file(prepared_of(house), EVALUATION, evaluation(**metrics))
    return register(house.platform, house.operator("acme"), model, prepared).number
