"""From verified bytes to something that predicts: what a web worker may open, and nothing else."""

from __future__ import annotations

from models.arrays import unpack_arrays
from models.engines import FOR_WORKERS
from models.errors import ArraysMalformed, ArtefactBroken
from models.manifest import ENGINE, Contents
from models.portions import Portioned


def open_artefact(contents: Contents, data: bytes) -> Portioned:
    """Open the arrays of a compiled model, once verified; raises ArtefactBroken."""
    what = f"the artefact of a {contents.estimator}"
    engine = FOR_WORKERS.get(contents.engine)
    if engine is None or contents.files[ENGINE].format != "arrays":
        raise ArtefactBroken(what, f"no engine {contents.engine!r} opens it in a worker")
    try:
        return engine.load(unpack_arrays(data))
    except ArraysMalformed as error:
        raise ArtefactBroken(what, error.problem) from error
