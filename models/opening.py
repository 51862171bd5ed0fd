"""From verified bytes to something that predicts: what a web worker may open, and nothing else."""

from __future__ import annotations

from models.arrays import unpack_arrays
from models.compilation import Predictor
from models.engines import ENGINES, NATIVE
from models.errors import ArraysMalformed, ArtefactBroken
from models.library_versions import refuse_other_versions
from models.manifest import ENGINE, MODEL, Contents


def role_in_process(contents: Contents) -> str:
    """Which of a version's files `open_artefact` takes."""
    return MODEL if contents.engine == NATIVE else ENGINE


def open_artefact(contents: Contents, data: bytes) -> Predictor:
    """Open an artefact whose digest and manifest were verified; raises ArtefactBroken."""
    what = f"the artefact of a {contents.estimator}"
    role = role_in_process(contents)
    match contents.files[role].format, contents.engine:
        case "skops", engine if engine == NATIVE:
            return _open_native(data)
        case "arrays", engine if engine in ENGINES:
            try:
                return ENGINES[engine].load(unpack_arrays(data))
            except ArraysMalformed as error:
                raise ArtefactBroken(what, error.problem) from error
        case _:
            raise ArtefactBroken(what, f"no engine {contents.engine!r} opens it")


def _open_native(data: bytes) -> Predictor:
    # scikit-learn takes seconds and 100 MB to import: only where a model needs it.
    from models.estimators import limit_native_threads, serve_natively

    limit_native_threads()
    from models.handlers.skops_file import SkopsFile

    handler = SkopsFile()
    opened = handler.open(data)
    # The platform may have been upgraded since the import: no answer changes silently.
    refuse_other_versions(handler.library, opened.other_versions)
    return serve_natively(opened.estimator)
