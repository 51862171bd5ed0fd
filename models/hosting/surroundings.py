"""What a process has around it: descriptors, standard streams, environment."""

from __future__ import annotations

import os
from itertools import pairwise
from typing import Final

from models.hosting.confinement import Confinement

STANDARD: Final = (0, 1, 2)
MOST: Final = 2**31 - 1
# What libraries may ask for at any time; nothing of the machine or its user.
ENVIRONMENT: Final = {
    "HOME": "/",
    "LANG": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


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
