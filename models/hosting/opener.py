"""Opens the files of versions, within a host."""

from __future__ import annotations

from contextlib import suppress

from models.compilation import Predictor
from models.errors import ExtraMissing, FormatRefused
from models.estimators import limit_native_threads, serve_natively
from models.formats import FORMATS
from models.handlers import handler_of
from models.library_versions import refuse_other_versions, running_version


def open_model(name: str, data: bytes) -> Predictor:
    """Open a model file whose digest was compared; raises FormatRefused and its kin."""
    if name not in FORMATS or FORMATS[name].runs_code:
        raise FormatRefused(f"no host opens the format {name!r}")
    opened = handler_of(name).open(data)
    if opened.kept is None:
        # The platform may have been upgraded since the intake: no answer changes silently.
        refuse_other_versions(FORMATS[name].library, opened.other_versions)
    return serve_natively(opened.estimator)


def import_handlers(flavour: str) -> None:
    """Import what opens each format, as far as its library is installed: a host could not."""
    for name, known in FORMATS.items():
        if known.flavour == flavour:
            with suppress(ExtraMissing, ModuleNotFoundError):
                handler_of(name)
                running_version(known.library)
    limit_native_threads()
