"""Formats: how a model file is opened, and what comes out of it.

`models.formats` knows the formats; a handler is one module here, and one line in this table.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Protocol

from models.compilation import Predictor
from models.errors import ExtraMissing
from models.formats import FORMATS

MOST_OPENED_BYTES: Final = 4 * 1024**3


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that is stored as it came, since its own library opens it again.

    `tolerance` is the relative difference that an engine's numbers may have where the model's own
    arithmetic is float32; None stands for the platform's own.
    """

    format: str
    data: bytes
    tolerance: float | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """An estimator, and the versions of its library that saved it, if not ours.

    A model of another library is an estimator all the same: it has its methods and attributes.
    What is not `kept` is stored as a skops file.
    """

    estimator: Any
    other_versions: tuple[str, ...]
    kept: Kept | None = None


class Handler(Protocol):
    """Opens files of one format, in a sandbox."""

    def open(self, data: bytes) -> Opened:
        """Open a model file; raises FormatRefused saying what it holds that it may not."""
        ...


# Imported by name, since each brings a library of seconds and a hundred megabytes.
_CLASSES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "skops": "models.handlers.skops_file:SkopsFile",
        "joblib": "models.handlers.joblib_file:JoblibFile",
        "onnx": "models.handlers.onnx_file:OnnxFile",
        "xgboost": "models.handlers.xgboost_file:XgboostFile",
        "lightgbm": "models.handlers.lightgbm_file:LightgbmFile",
        "keras": "models.handlers.keras_file:KerasFile",
        "savedmodel": "models.handlers.savedmodel_file:SavedModelFile",
    }
)


def handler_of(name: str) -> Handler:
    """The handler of a format; raises ExtraMissing where its library is not installed."""
    module, _, class_name = _CLASSES[name].partition(":")
    try:
        handler: Handler = getattr(importlib.import_module(module), class_name)()
    except ModuleNotFoundError as error:
        extra = FORMATS[name].extra
        if extra is None or (error.name or "").partition(".")[0] in {"models", "config"}:
            raise
        raise ExtraMissing(name, extra) from error
    return handler


def open_predictor(name: str, data: bytes) -> Predictor:
    """Open a file of a format and answer with its own library; raises FormatRefused."""
    from models.estimators import serve_natively  # only processes that open files need it

    return serve_natively(handler_of(name).open(data).estimator)
