"""What several families compute alike: rows in blocks, and sums of exponentials."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from models.layouts import Floats

CELLS: int = 1 << 20  # 8 MiB of float64: what one step may hold beside its input


def in_blocks(rows: Floats, cells: int, work: Callable[[Floats], Floats]) -> Floats:
    """Work on as many rows at once as keep `cells` per row within bounds."""
    step = max(1, CELLS // max(1, cells))
    if len(rows) <= step:
        return work(rows)
    parts = [work(rows[start : start + step]) for start in range(0, len(rows), step)]
    return np.concatenate(parts)


def log_sum_exp(rows: Floats) -> Floats:
    """The logarithm of each row's sum of exponentials, in scikit-learn's order of operations."""
    most = rows.max(axis=1, keepdims=True)
    at_most = rows == most
    count = at_most.sum(axis=1, keepdims=True, dtype=np.float64)
    shift = np.where(np.isfinite(most), most, 0)
    others = np.exp(np.where(at_most, -np.inf, rows) - shift).sum(axis=1, keepdims=True)
    others = np.where(others == 0, others, others / count)
    summed: Floats = (np.log1p(others) + np.log(count) + most)[:, 0]
    return summed


def log_normalised(scores: Floats) -> Floats:
    """Logarithms of probabilities from log-likelihoods, as discriminants make them."""
    shifted = scores - scores.max(axis=1)[:, np.newaxis]
    normalised: Floats = shifted - np.log(np.exp(shifted).sum(axis=1)[:, np.newaxis])
    return normalised


def logistic(numbers: Floats) -> Floats:
    """1 / (1 + exp(-x)), in SciPy's order of operations."""
    squashed: Floats = 1.0 / (1.0 + np.exp(-numbers))
    return squashed


def softmax(scores: Floats) -> Floats:
    """Each row as probabilities."""
    raised: Floats = np.exp(scores - scores.max(axis=1)[:, np.newaxis])
    raised /= raised.sum(axis=1)[:, np.newaxis]
    return raised


def sequential_sum(terms: Floats) -> Floats:
    """The sum over the last axis from first to last, as a loop in C adds."""
    summed: Floats = np.add.accumulate(terms, axis=-1)[..., -1]
    return summed


def squared_lengths(rows: Floats) -> Floats:
    """The squared Euclidean length of each row."""
    lengths: Floats = np.einsum("ij,ij->i", rows, rows)
    return lengths


def squared_distances(rows: Floats, points: Floats, lengths: Floats) -> Floats:
    """scikit-learn's squared Euclidean distances; `lengths` are the points' squared lengths."""
    distances: Floats = -2 * (rows @ points.T)
    distances += squared_lengths(rows)[:, np.newaxis]
    distances += lengths
    return np.maximum(distances, 0, out=distances)


def ranked_distances(rows: Floats, points: Floats, lengths: Floats) -> Floats:
    """The squared distances by which scikit-learn ranks neighbours, ties among them included.

    They are summed in the order of its ArgKmin, whose maximum takes NaN for 0; `lengths` are the
    points' squared lengths.
    """
    # A product of one row would go to another routine of BLAS, which rounds otherwise.
    doubled = np.repeat(rows, 2, axis=0) if len(rows) == 1 else rows
    products = (doubled @ points.T)[: len(rows)]
    distances: Floats = np.vecdot(rows, rows)[:, np.newaxis] + -2 * products
    distances += lengths
    return np.fmax(distances, 0, out=distances)


def chosen(classes: NDArray[np.generic], scores: Floats) -> NDArray[np.generic]:
    """The label whose score is highest, the first of equal ones."""
    picked: NDArray[np.generic] = classes[scores.argmax(axis=1)]
    return picked
