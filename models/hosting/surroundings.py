"""What a process has around it: descriptors, standard streams, environment."""

from __future__ import annotations

import os
from itertools import pairwise
from typing import Final

from models.hosting.confinement import Confinement

STANDARD: Final = (0, 1, 2)
MOST: Final = 2**31 - 1
# What native libraries read when they are imported. A parent must have it before it imports any.
LIBRARIES: Final = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # ONNX Runtime would keep a database in the home folder, and report to its maker from a thread.
    "ORT_DISABLE_TELEMETRY": "1",
    # Arrow's own allocators start a thread, or reserve more than a host may have.
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    # oneDNN writes machine code as it runs, which the sandbox forbids, and rounds differently.
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
    "KERAS_BACKEND": "tensorflow",
}
# What libraries may ask for at any time; nothing of the machine or its user.
ENVIRONMENT: Final = {"HOME": "/", "LANG": "C.UTF-8"} | LIBRARIES


def clear(confinement: Confinement) -> None:
    """Leave this process nothing but what it is meant to have; raises OSError."""
    os.environ.clear()
    os.environ.update(ENVIRONMENT)
    _point_standard_streams(confinement.log)
    kept = sorted({*STANDARD, *confinement.keep})
    for before, after in pairwise([*kept, MOST]):
        os.closerange(before + 1, after)


def _point_standard_streams(log: int | None) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in STANDARD:
        os.dup2(nothing if stream == 0 or log is None else log, stream, inheritable=True)
