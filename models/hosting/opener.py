"""Opens the files of versions, within a host."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from typing import Final

from models.arrays import unpack_arrays
from models.compilation import Predictor
from models.engines import FOR_HOSTS
from models.errors import ExtraMissing, FormatRefused
from models.estimators import limit_native_threads, serve_natively
from models.formats import FORMATS
from models.handlers import handler_of
from models.library_versions import refuse_other_versions, running_version

ARRAYS: Final = "arrays:"  # before the name of the engine that opens them
# What engines import at their first use only.
LATE: Final = ("onnx", "onnxruntime", "scipy.fft", "scipy.linalg", "scipy.special")


def open_model(name: str, data: bytes) -> Predictor:
    """Open a file whose digest was compared; raises FormatRefused and its kin."""
    if name.startswith(ARRAYS):
        return _open_arrays(name.removeprefix(ARRAYS), data)
    if name not in FORMATS or FORMATS[name].runs_code:
        raise FormatRefused(f"no host opens the format {name!r}")
    opened = handler_of(name).open(data)
    if opened.kept is None:
        # The platform may have been upgraded since the intake: no answer changes silently.
        refuse_other_versions(FORMATS[name].library, opened.other_versions)
    return serve_natively(opened.estimator)


def _open_arrays(name: str, data: bytes) -> Predictor:
    if name not in FOR_HOSTS:
        raise FormatRefused(f"no host opens arrays of the engine {name!r}")
    return FOR_HOSTS[name].load(unpack_arrays(data))


def import_handlers(flavour: str) -> None:
    """Import what opens each file, as far as its library is installed: a host could not."""
    for name, known in FORMATS.items():
        if known.flavour == flavour:
            with suppress(ExtraMissing, ModuleNotFoundError):
                handler_of(name)
                running_version(known.library)
    for late in LATE if flavour == "sklearn" else ():
        with suppress(ModuleNotFoundError):
            import_module(late)
    limit_native_threads()
