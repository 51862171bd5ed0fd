"""Kernels between rows and points, as scikit-learn's `pairwise_kernels` computes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.compilation.numeric.rows import in_blocks, squared_distances, squared_lengths
from models.compilation.numeric.taking import single, text
from models.errors import EstimatorNotHeld, RowsRefused
from models.layouts import Field, Floats, choice, floats

# scikit-learn takes shorter rows for rows of length 0, and leaves them as they are.
TINY: Final = 10 * np.finfo(np.float64).eps


def _linear(rows: Floats, points: Floats, _gamma: float, _degree: float, _shift: float) -> Floats:
    product: Floats = rows @ points.T
    return product


def _polynomial(rows: Floats, points: Floats, gamma: float, degree: float, shift: float) -> Floats:
    product: Floats = rows @ points.T
    product *= gamma
    product += shift
    product **= degree
    return product


def _sigmoid(rows: Floats, points: Floats, gamma: float, _degree: float, shift: float) -> Floats:
    product: Floats = rows @ points.T
    product *= gamma
    product += shift
    return np.tanh(product, out=product)


def _gaussian(rows: Floats, points: Floats, gamma: float, _degree: float, _shift: float) -> Floats:
    distances = squared_distances(rows, points, squared_lengths(points))
    distances *= -gamma
    return np.exp(distances, out=distances)


def _laplacian(rows: Floats, points: Floats, gamma: float, _degree: float, _shift: float) -> Floats:
    return np.exp(-gamma * summed_over_columns(rows, points, lambda a, b: np.abs(a - b)))


def _cosine(rows: Floats, points: Floats, _gamma: float, _degree: float, _shift: float) -> Floats:
    product: Floats = _unit(rows) @ _unit(points).T
    return product


def _additive(rows: Floats, points: Floats, _gamma: float, _degree: float, _shift: float) -> Floats:
    if (rows < 0).any():
        raise RowsRefused("a number below 0")

    def term(a: Floats, b: Floats) -> Floats:
        total, apart = a + b, a - b
        return np.where(total == 0, 0.0, apart * apart / np.where(total == 0, 1.0, total))

    return -summed_over_columns(rows, points, term)


def _chi_squared(rows: Floats, points: Floats, gamma: float, degree: float, shift: float) -> Floats:
    additive = _additive(rows, points, gamma, degree, shift)
    additive *= gamma
    return np.exp(additive, out=additive)


KERNELS: Final[Mapping[str, Callable[[Floats, Floats, float, float, float], Floats]]] = (
    MappingProxyType(
        {
            "linear": _linear,
            "poly": _polynomial,
            "polynomial": _polynomial,
            "rbf": _gaussian,
            "laplacian": _laplacian,
            "sigmoid": _sigmoid,
            "cosine": _cosine,
            "additive_chi2": _additive,
            "chi2": _chi_squared,
        }
    )
)
FIELDS: Final[Mapping[str, Field]] = MappingProxyType(
    {"kernel": choice(*KERNELS), "gamma": floats(1), "degree": floats(1), "shift": floats(1)}
)


def kernel(arrays: Mapping[str, NDArray[Any]], rows: Floats, points: Floats) -> Floats:
    """The kernel that a part's arrays name, between rows and points."""
    numbers = (float(arrays[name][0]) for name in ("gamma", "degree", "shift"))
    return KERNELS[str(arrays["kernel"][0])](rows, points, *numbers)


def kernel_of(
    name: object, columns: int, *, gamma: Any = None, degree: Any = 3, coef0: Any = 1
) -> dict[str, NDArray[Any]]:
    """A kernel's arrays, with scikit-learn's own defaults for what is not set."""
    if not isinstance(name, str) or name not in KERNELS:
        raise EstimatorNotHeld(f"its kernel {name!r} is none of {', '.join(KERNELS)}")
    if gamma is None:
        gamma = 1.0 if name == "chi2" else 1.0 / columns
    return {
        "kernel": text(name),
        "gamma": single(gamma),
        "degree": single(3 if degree is None else degree),
        "shift": single(1 if coef0 is None else coef0),
    }


def summed_over_columns(
    rows: Floats, points: Floats, term: Callable[[Floats, Floats], Floats]
) -> Floats:
    """Sum a term of each row, point and column, from the first column to the last."""
    across = points.T[:, np.newaxis]

    def block(rows: Floats) -> Floats:
        terms = term(rows.T[:, :, np.newaxis], across)
        # Reducing the first of three axes adds column by column, as SciPy's loops do.
        summed: Floats = terms[0].copy()
        for other in terms[1:]:
            summed += other
        return summed

    return in_blocks(rows, points.size, block)


def _unit(rows: Floats) -> Floats:
    lengths = np.sqrt(squared_lengths(rows))
    lengths[lengths < TINY] = 1.0
    unit: Floats = rows / lengths[:, np.newaxis]
    return unit
