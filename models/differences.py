"""How two predictors' answers to the same rows differ: counted as labels, measured as numbers."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

# An answer is measured against no less than this part of what is usual for its method, or of the
# largest beside it: where numbers cancel, or a probability is what another leaves of 1, the last
# digits are rounding. The absolute difference that passes is a hundred-million-millionth of that.
SMALLEST_PART: Final = 1e-5
# The same of answers in float32, whose last digits are so much larger: about as many of them.
SMALLEST_PART_OF_SINGLE: Final = 0.5

Answers = NDArray[Any]


def labels_differing(own: Answers, other: Answers, loose: Answers | None, *, exactly: bool) -> int:
    """Count answers that differ, where answers are labels; a wrong shape differs everywhere.

    `exactly` says that numbers are labels too; where `loose` is not zero, an answer may differ.
    """
    numbers = own.dtype.kind == "f"
    if own.shape != other.shape or numbers != (other.dtype.kind == "f"):
        return max(1, own.size)
    if numbers and not exactly:
        return 0
    if own.dtype.kind == other.dtype.kind and own.dtype.kind in "fbiuU":
        differ = own != other
    else:
        pairs = zip(own.ravel().tolist(), other.ravel().tolist(), strict=True)
        unlike = [type(a) is not type(b) or a != b for a, b in pairs]
        differ = np.array(unlike, bool).reshape(own.shape)
    return int((differ if loose is None else differ & (loose == 0)).sum())


def largest(answers: Answers) -> Answers:
    """The size of the largest answer to each row, one column wide."""
    if answers.dtype.kind != "f" or not answers.size:
        return np.zeros(0)
    sizes: Answers = np.abs(answers).reshape(len(answers), -1).max(axis=1, keepdims=True)
    return sizes


def relative_error(own: Answers, other: Answers, loose: Answers | None, usual: float) -> float:
    """The largest difference of numbers, relative to their size, beyond what is `loose`.

    `usual` is the size of the method's answers to ordinary rows.
    """
    if own.dtype.kind != "f" or own.shape != other.shape or not own.size:
        return 0.0
    same = (own == other) | (np.isnan(own) & np.isnan(other))
    if same.all():
        return 0.0
    size = np.maximum(np.abs(own), np.abs(other))
    beside = np.maximum(largest(own), usual).reshape((len(own),) + (1,) * (own.ndim - 1))
    part = SMALLEST_PART_OF_SINGLE if own.dtype == np.float32 else SMALLEST_PART
    size = np.maximum(size, part * np.where(np.isfinite(beside), beside, 0.0))
    with np.errstate(all="ignore"):
        apart = np.abs(own - other) - (0.0 if loose is None else loose)
        errors = np.where(same, 0.0, np.maximum(apart, 0) / np.where(size == 0, 1.0, size))
    worst = float(np.nan_to_num(errors, nan=np.inf).max(initial=0.0))
    return min(worst, float(np.finfo(np.float64).max))  # JSON has no infinity
