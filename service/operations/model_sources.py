"""Where an operator's model comes from: a file, or a folder that MLflow saved."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from models.errors import FormatRefused
from models.formats import FORMATS
from models.intake import open_regular
from models.sealed_files import Given
from models.stages import Prepared
from models.wanted_signatures import WantedSignature
from service.operations.uploads import HARMLESS

if TYPE_CHECKING:
    from models.mlflow_folders import MlflowModel

# How files are called whose opening runs code: whoever gives one by such a name knows.
PICKLED_SUFFIXES: Final = frozenset({".joblib", ".pkl", ".pickle"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """An open file and what it may be; rows to try it on and a signature, if they came with it.

    `told` is what else there is to know, for people.
    """

    file: int
    formats: frozenset[str]
    rows: Given | None = None
    signature: WantedSignature | None = None
    told: Mapping[str, str] = field(default_factory=dict)

    def stated(self, prepared: Prepared) -> Prepared:
        """What was prepared, under the names that were stated; raises SignatureRefused."""
        if self.signature is None:
            return prepared
        contents = prepared.contents
        signature = self.signature.adopted(contents.signature)
        return Prepared(replace(contents, signature=signature), prepared.blobs)


def open_material(stack: ExitStack, path: Path, declared: str) -> Material:
    """Open a model file or an MLflow folder; `declared` is the format that was named, if any."""
    if path.is_dir():
        return _from_folder(stack, path, declared)
    return Material(file=opened(stack, path), formats=_formats(declared, path))


def opened(stack: ExitStack, path: Path) -> int:
    """A descriptor of a regular file, until the stack is closed."""
    descriptor = open_regular(path)
    stack.callback(os.close, descriptor)
    return descriptor


def _formats(declared: str, path: Path) -> frozenset[str]:
    """What a file may be: as was declared, or as its bytes tell if its name admits of it."""
    if declared:
        return frozenset({declared})
    return frozenset(FORMATS) if path.suffix.lower() in PICKLED_SUFFIXES else HARMLESS


def _from_folder(stack: ExitStack, path: Path, declared: str) -> Material:
    from models.mlflow_folders import opened_folder  # no worker has to know how YAML is read

    with opened_folder(path) as folder:
        model = folder.read()
        _check_declared(model, declared)
        descriptor = folder.open(model.file)
    stack.callback(os.close, descriptor)
    signature = "none stated" if model.signature is None else "as stated"
    return Material(
        file=descriptor,
        formats=frozenset({model.format}),
        rows=model.example,
        signature=model.signature,
        told={"flavour": model.flavour, "signature": signature, **model.versions},
    )


def _check_declared(model: MlflowModel, declared: str) -> None:
    """Refuse a format that was not meant, and one that runs code unless it was said."""
    if declared and declared != model.format:
        raise FormatRefused(f"the folder says that it is {model.format}, not {declared}")
    if FORMATS[model.format].runs_code and not declared:
        raise FormatRefused(
            f"the folder's model is {model.format}, and opening one runs what its author put in",
            f"declare it, with --format {model.format}, or save it with "
            'mlflow.sklearn.save_model(..., serialization_format="skops")',
        )
