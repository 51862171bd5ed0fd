"""Class labels as arrays that hold no Python objects."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import ArraysMalformed, EstimatorNotHeld

Labels = NDArray[Any]
KINDS = "ifbU"


def plain_labels(classes: object) -> Labels:
    """Labels equal one by one to an estimator's; raises EstimatorNotHeld if arrays change one."""
    if not isinstance(classes, np.ndarray) or classes.ndim != 1 or not len(classes):
        raise EstimatorNotHeld("its labels are not one list")
    if classes.dtype.kind in "iu":
        plain = classes.astype(np.int64)
    elif classes.dtype.kind == "f":
        plain = classes.astype(np.float64)
    elif all(type(label) is str for label in classes.tolist()):
        plain = classes.astype(np.str_)
    else:
        plain = classes
    # numpy's text arrays end at a trailing NUL, and hold no Python objects.
    if plain.dtype.kind not in KINDS or plain.tolist() != classes.tolist():
        raise EstimatorNotHeld("its labels are of a type that arrays do not hold")
    return plain


def check_labels(classes: Labels | None, count: int) -> Labels:
    """Return the labels; raises ArraysMalformed unless they are a list of so many."""
    if classes is None or classes.dtype.kind not in KINDS or classes.shape != (count,):
        raise ArraysMalformed(f"there are not {count} labels, of texts, numbers or truth values")
    return classes
