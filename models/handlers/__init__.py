"""Formats: how a model file is opened, and what comes out of it.

`models.formats` knows the formats; a handler is one module here, and one line in this table.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Protocol

from models.compilation import Predictor
from models.errors import ExtraMissing
from models.formats import FORMATS
from models.signature import Signature

MOST_OPENED_BYTES: Final = 4 * 1024**3


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """How a model answers that is no estimator of scikit-learn.

    `data` is what a host opens, in the format named; `name` is what the model calls itself.
    `tolerance` is the relative difference that an engine's numbers may have, where the model's
    own arithmetic is float32; None stands for the platform's own.
    """

    predictor: Predictor
    signature: Signature
    format: str
    data: bytes
    name: str
    libraries: Mapping[str, str] = field(default_factory=dict)
    tolerance: float | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """What engines may compile, and the versions of its library that saved it, if not ours.

    `served` is None for an estimator of scikit-learn.
    """

    estimator: Any
    other_versions: tuple[str, ...]
    served: Served | None = None


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
    opened = handler_of(name).open(data)
    if opened.served is not None:
        return opened.served.predictor
    from models.estimators import serve_natively  # scikit-learn, which other formats do not need

    return serve_natively(opened.estimator)
