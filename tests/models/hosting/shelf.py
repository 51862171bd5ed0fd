"""Versions for hosts to run: registered nowhere, their files kept in memory."""

from __future__ import annotations

import hashlib
import itertools
from typing import Any

import numpy as np

from models.manifest import MODEL, Contents, Manifest, StoredFile
from models.signature import METHODS, Output, Signature
from models.versions import Version
from tests.models.files import skops_bytes

_numbers = itertools.count(1)


class Shelf:
    """Makes versions of estimators, and returns their files as a store would."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}
        self.fetched: list[str] = []

    def version(
        self,
        estimator: Any,
        *,
        tenant: str = "tnt_acme",
        engine_methods: tuple[str, ...] = (),
        engine: str = "native",
    ) -> Version:
        """A version of a fitted estimator, with whatever methods it has."""
        data = skops_bytes(estimator)
        trial = np.ones((1, estimator.n_features_in_))
        with np.errstate(divide="ignore"):
            outputs = {
                m: np.asarray(getattr(estimator, m)(trial))
                for m in METHODS
                if hasattr(estimator, m)
            }
        return self.file(
            data,
            tenant=tenant,
            columns=int(estimator.n_features_in_),
            methods={name: _output(values) for name, values in outputs.items()},
            engine=engine,
            engine_methods=engine_methods,
        )

    def file(
        self,
        data: bytes,
        *,
        columns: int,
        tenant: str = "tnt_acme",
        methods: dict[str, Output] | None = None,
        engine: str = "native",
        engine_methods: tuple[str, ...] = (),
        format: str = "skops",
    ) -> Version:
        """A version of any bytes."""
        stored = StoredFile(hashlib.sha256(data).hexdigest(), len(data), format)
        contents = Contents(
            files={MODEL: stored},
            flavour="sklearn",
            source_format=format,
            source_digest=stored.digest,
            estimator="something",
            signature=Signature(
                task="other",
                columns=columns,
                feature_names=None,
                classes=None,
                methods=methods or {"predict": Output("number")},
            ),
            engine=engine,
            engine_methods=engine_methods,
            engine_reason="",
            parity=None,
            libraries={},
        )
        number = next(_numbers)
        manifest = Manifest(
            tenant_id=tenant,
            model="model",
            number=number,
            created_by="ada",
            created_at=0.0,
            contents=contents,
        )
        version = Version(f"ver_{number}", manifest)
        self._files[version.id] = data
        return version

    def doing(
        self, text: str, *, tenant: str = "tnt_acme", engine_methods: tuple[str, ...] = ()
    ) -> Version:
        """A version for a light parent: its model does what the text says."""
        methods = {"predict": Output("number"), "transform": Output("number", 1)}
        return self.file(
            text.encode(),
            columns=2,
            tenant=tenant,
            methods=methods,
            engine_methods=engine_methods,
        )

    def replace(self, version: Version, data: bytes) -> None:
        """Put other bytes in the place of a version's file."""
        self._files[version.id] = data

    def fetch(self, version: Version, _role: str = MODEL) -> bytes:
        """The file of a version."""
        self.fetched.append(version.id)
        return self._files[version.id]


def _output(values: np.ndarray[Any, Any]) -> Output:
    kinds = {"f": "number", "i": "integer", "b": "boolean"}
    dtype: Any = kinds.get(values.dtype.kind, "text")
    return Output(dtype, None if values.ndim == 1 else int(values.shape[1]))
