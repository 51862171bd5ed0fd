"""Models of kernels between a row and the rows that they were fitted to."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.compilation.numeric.neighbours import labels_nearby
from models.compilation.numeric.pairs import FIELDS, kernel, kernel_of
from models.compilation.numeric.taking import Taken, Taker, floats_of
from models.errors import EstimatorNotHeld
from models.labels import plain_labels
from models.layouts import Floats, floats, labels, layout
from models.parts import Part, matrix
from models.tables import Features


class KernelRegressor(Part):
    """One product of the kernels with coefficients."""

    LAYOUT = layout(**FIELDS, points=floats("points", "columns"), coefs=floats("points", "outputs"))

    def predict(self, features: Features) -> Floats:
        """One number, or one row of numbers, for each row."""
        kernels = kernel(self.arrays, matrix(features), self.arrays["points"])
        coefs = self.arrays["coefs"]
        if coefs.shape[1] == 1:  # BLAS sums a vector in another order than a matrix of one column
            coefs = coefs[:, 0]
        answers: Floats = np.dot(kernels, coefs)
        return answers


class KernelMap(Part):
    """Columns made of kernels."""

    LAYOUT = layout(
        **FIELDS, points=floats("points", "columns"), directions=floats("outputs", "points")
    )

    def transform(self, features: Features) -> Floats:
        """The new columns."""
        kernels = kernel(self.arrays, matrix(features), self.arrays["points"])
        made: Floats = kernels @ self.arrays["directions"].T
        return made


class KernelComponents(Part):
    """The principal components of centred kernels."""

    LAYOUT = layout(
        **FIELDS,
        points=floats("points", "columns"),
        directions=floats("points", "outputs"),
        means=floats("points"),
        mean=floats(1),
    )

    def transform(self, features: Features) -> Floats:
        """The components."""
        kernels = kernel(self.arrays, matrix(features), self.arrays["points"])
        own = (np.sum(kernels, axis=1) / kernels.shape[1])[:, np.newaxis]
        kernels -= self.arrays["means"]
        kernels -= own
        kernels += self.arrays["mean"][0]
        made: Floats = np.dot(kernels, self.arrays["directions"])
        return made


class KernelLabels(Part):
    """Labels that spread from the rows that have them to those that are alike."""

    LAYOUT = layout(
        **FIELDS,
        points=floats("points", "columns"),
        spread=floats("points", "classes"),
        classes=labels("classes"),
    )

    def predict_proba(self, features: Features) -> Floats:
        """Each label's share."""
        weights = kernel(self.arrays, self.arrays["points"], matrix(features)).T
        shares: Floats = weights @ self.arrays["spread"]
        shares /= np.atleast_2d(np.sum(shares, axis=1)).T
        return shares

    def predict(self, features: Features) -> NDArray[Any]:
        """The label with the largest share."""
        picked: NDArray[Any] = self.arrays["classes"][self.predict_proba(features).argmax(axis=1)]
        return picked


def _ridge(estimator: Any) -> Taken:
    points, coefs = floats_of(estimator.X_fit_), floats_of(estimator.dual_coef_)
    arrays = kernel_of(
        estimator.kernel,
        points.shape[1],
        gamma=estimator.gamma,
        degree=estimator.degree,
        coef0=estimator.coef0,
    )
    if coefs.shape == (len(points), 1):
        raise EstimatorNotHeld("its target was a matrix of one column")
    return "kernel_regressor", arrays | {"points": points, "coefs": coefs.reshape(len(points), -1)}


def _nystroem(estimator: Any) -> Taken:
    points = floats_of(estimator.components_)
    arrays = kernel_of(estimator.kernel, points.shape[1], **estimator._get_kernel_params())
    return "kernel_map", arrays | {
        "points": points,
        "directions": floats_of(estimator.normalization_),
    }


def _components(estimator: Any) -> Taken:
    points, values = floats_of(estimator.X_fit_), floats_of(estimator.eigenvalues_)
    arrays = kernel_of(
        estimator.kernel,
        points.shape[1],
        gamma=estimator.gamma_,
        degree=estimator.degree,
        coef0=estimator.coef0,
    )
    used = np.flatnonzero(values)
    directions = np.zeros_like(estimator.eigenvectors_)
    directions[:, used] = estimator.eigenvectors_[:, used] / np.sqrt(values[used])
    centre = estimator._centerer
    return "kernel_components", arrays | {
        "points": points,
        "directions": floats_of(directions),
        "means": floats_of(centre.K_fit_rows_),
        "mean": floats_of([float(centre.K_fit_all_)]),
    }


def _labels(estimator: Any) -> Taken:
    if estimator.kernel == "knn":
        return labels_nearby(estimator)
    if estimator.kernel != "rbf":
        raise EstimatorNotHeld(f"its kernel is {estimator.kernel!r}")
    points = floats_of(estimator.X_)
    return "kernel_labels", kernel_of("rbf", points.shape[1], gamma=estimator.gamma) | {
        "points": points,
        "spread": floats_of(estimator.label_distributions_),
        "classes": plain_labels(estimator.classes_),
    }


KINDS: Final[dict[str, type[Part]]] = {
    "kernel_regressor": KernelRegressor,
    "kernel_map": KernelMap,
    "kernel_components": KernelComponents,
    "kernel_labels": KernelLabels,
}
TAKERS: Final[dict[str, Taker]] = {
    "KernelRidge": _ridge,
    "Nystroem": _nystroem,
    "KernelPCA": _components,
    "LabelPropagation": _labels,
    "LabelSpreading": _labels,
}
