"""Gaussian processes: kernels as short programs, regression, and Laplace's classification."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.compilation.numeric.covariance import FIELDS, Covariance, covariance_of
from models.compilation.numeric.taking import Taken, Taker, flag, floats_of
from models.errors import EstimatorNotHeld
from models.labels import plain_labels
from models.layouts import Floats, flags, floats, labels, layout
from models.parts import Part, matrix
from models.tables import Features

# Williams and Barber (1998), appendix A: a sigmoid as five error functions.
LAMBDAS: Final = np.array([0.41, 0.4, 0.37, 0.44, 0.39])[:, np.newaxis]
COEFS: Final = np.array([-1854.8214151, 3516.89893646, 221.29346712, 128.12323805, -2010.49422654])[
    :, np.newaxis
]


class ProcessRegressor(Part):
    """The mean of a Gaussian process."""

    LAYOUT = layout(
        **FIELDS,
        points=floats("points", "columns"),
        coefs=floats("outputs", "points"),
        scale=floats("outputs"),
        mean=floats("outputs"),
        flat=flags(1),
    )

    def prepare(self) -> None:
        self._covariance = Covariance(self.arrays, self.lengths["columns"])

    def predict(self, features: Features) -> Floats:
        """One number, or one row of numbers, for each row."""
        coefs = self.arrays["coefs"]
        flat = bool(self.arrays["flat"][0])
        mean = self._covariance.of(matrix(features), self.arrays["points"]) @ (
            coefs[0] if flat else coefs.T
        )
        scale, offset = self.arrays["scale"], self.arrays["mean"]
        answers: Floats = (scale[0] if flat else scale) * mean + (offset[0] if flat else offset)
        return answers[:, 0] if answers.ndim == 2 and answers.shape[1] == 1 else answers


class ProcessClassifier(Part):
    """Two labels, by the sign of a latent process."""

    LAYOUT = layout(
        **FIELDS,
        points=floats("points", "columns"),
        residual=floats("points"),
        lower=floats("points", "points"),
        root=floats("points"),
        classes=labels(2),
    )

    def prepare(self) -> None:
        self._covariance = Covariance(self.arrays, self.lengths["columns"])

    def _covered(self, features: Features) -> Floats:
        return self._covariance.of(self.arrays["points"], matrix(features))

    def predict(self, features: Features) -> NDArray[Any]:
        """The second label where the latent mean is above 0."""
        latent: Floats = self._covered(features).T.dot(self.arrays["residual"])
        first, second = self.arrays["classes"]
        picked: NDArray[Any] = np.where(latent > 0, second, first)
        return picked

    def predict_proba(self, features: Features) -> Floats:
        """Each label's probability: the latent normal distribution through the sigmoid."""
        # A tenth of a second to import, which only these models pay; numpy would round otherwise.
        from scipy.linalg import solve
        from scipy.special import erf

        covered = self._covered(features)
        mean = covered.T.dot(self.arrays["residual"])
        solved = solve(self.arrays["lower"], self.arrays["root"][:, np.newaxis] * covered)
        spread = self._covariance.own(matrix(features)) - np.einsum("ij,ij->j", solved, solved)
        alpha = 1 / (2 * spread)
        bent = erf(LAMBDAS * mean * np.sqrt(alpha / (alpha + LAMBDAS**2)))
        parts = np.sqrt(np.pi / alpha) * bent / (2 * np.sqrt(spread * 2 * np.pi))
        likely = (COEFS * parts).sum(axis=0) + 0.5 * COEFS.sum()
        return np.vstack((1 - likely, likely)).T


def _regressor(estimator: Any) -> Taken:
    if not hasattr(estimator, "X_train_"):
        raise EstimatorNotHeld("it is not fitted")
    points, coefs = floats_of(estimator.X_train_), floats_of(estimator.alpha_)
    columns = coefs.reshape(len(points), -1)
    outputs = columns.shape[1]
    return "process_regressor", covariance_of(estimator.kernel_) | {
        "points": points,
        "coefs": columns.T,
        "scale": floats_of(np.broadcast_to(np.ravel(estimator._y_train_std), (outputs,))),
        "mean": floats_of(np.broadcast_to(np.ravel(estimator._y_train_mean), (outputs,))),
        "flat": flag(coefs.ndim == 1),
    }


def _classifier(estimator: Any) -> Taken:
    return "process_classifier", covariance_of(estimator.kernel_) | {
        "points": floats_of(estimator.X_train_),
        "residual": floats_of(estimator.y_train_ - estimator.pi_),
        "lower": floats_of(estimator.L_),
        "root": floats_of(estimator.W_sr_),
        "classes": plain_labels(estimator.classes_),
    }


KINDS: Final[dict[str, type[Part]]] = {
    "process_regressor": ProcessRegressor,
    "process_classifier": ProcessClassifier,
}
TAKERS: Final[dict[str, Taker]] = {
    "GaussianProcessRegressor": _regressor,
    "_BinaryGaussianProcessClassifierLaplace": _classifier,
}
