"""Gaussian mixtures, and the distance from one Gaussian."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.compilation.numeric.rows import in_blocks, log_sum_exp, squared_lengths
from models.compilation.numeric.taking import Taken, Taker, floats_of, single, text
from models.errors import ArraysMalformed
from models.layouts import Floats, Integers, choice, floats, layout
from models.parts import Part, matrix
from models.tables import Features


class Mixture(Part):
    """Components by their means and the factors of their precisions."""

    LAYOUT = layout(
        means=floats("components", "columns"),
        factors=floats("factors", "high", "wide"),
        covariance=choice("full", "tied", "diag", "spherical"),
        terms=floats("terms", "components"),  # added one after another
    )

    def prepare(self) -> None:
        self._kind = str(self.arrays["covariance"][0])
        count, columns = self.arrays["means"].shape
        shapes = {
            "full": (count, columns, columns),
            "tied": (1, columns, columns),
            "diag": (1, count, columns),
            "spherical": (1, 1, count),
        }
        self._expect(shapes[self._kind])
        if self._kind in {"full", "tied"}:
            factors = self.arrays["factors"]
            means = self.arrays["means"]
            self._factors = [factors[min(k, len(factors) - 1)] for k in range(count)]
            self._shifts = [mean @ f for mean, f in zip(means, self._factors, strict=True)]

    def _expect(self, shape: tuple[int, ...]) -> None:
        if self.arrays["factors"].shape != shape:
            raise ArraysMalformed("the factors have the shape of another covariance")

    def _weighted(self, rows: Floats) -> Floats:
        columns = self.lengths["columns"]
        weighted = -0.5 * (columns * math.log(2 * math.pi) + self._spread(rows))
        for term in self.arrays["terms"]:
            weighted = weighted + term
        return weighted

    def _spread(self, rows: Floats) -> Floats:
        means = self.arrays["means"]
        if self._kind in {"full", "tied"}:
            spread = np.empty((len(rows), len(means)))
            for k, (factor, shift) in enumerate(zip(self._factors, self._shifts, strict=True)):
                spread[:, k] = np.sum(np.square((rows @ factor) - shift), axis=1)
            return spread
        precisions = self.arrays["factors"][0] ** 2
        if self._kind == "diag":
            own = np.sum((means**2 * precisions), axis=1)
            crossed = 2.0 * (rows @ (means * precisions).T)
            diagonal: Floats = own - crossed + (rows**2 @ precisions.T)
            return diagonal
        precisions = precisions[0]
        crossed = 2 * (rows @ means.T * precisions)
        outer = np.multiply.outer(squared_lengths(rows), precisions)
        spherical: Floats = np.sum(means**2, axis=1) * precisions - crossed + outer
        return spherical

    def predict(self, features: Features) -> Integers:
        """The likeliest component."""
        picked: Integers = self._weighted(matrix(features)).argmax(axis=1)
        return picked

    def predict_proba(self, features: Features) -> Floats:
        """Each component's probability."""
        weighted = self._weighted(matrix(features))
        return np.exp(weighted - log_sum_exp(weighted)[:, np.newaxis])

    def score_samples(self, features: Features) -> Floats:
        """The logarithmic likelihood of each row."""
        return log_sum_exp(self._weighted(matrix(features)))


class Ellipse(Part):
    """Outliers by their distance from one Gaussian."""

    LAYOUT = layout(
        location=floats("columns"), precision=floats("columns", "columns"), offset=floats(1)
    )

    def score_samples(self, features: Features) -> Floats:
        """The opposite of the squared Mahalanobis distance, summed in SciPy's order."""
        precision = self.arrays["precision"]

        def block(rows: Floats) -> Floats:
            apart = (rows - self.arrays["location"]).T
            turned = np.add.reduce(apart[:, np.newaxis] * precision.T[:, :, np.newaxis], axis=0)
            squares: Floats = np.sqrt(np.add.reduce(apart * turned, axis=0)) ** 2
            return squares

        return -in_blocks(matrix(features), precision.size, block)

    def decision_function(self, features: Features) -> Floats:
        """How far within the ellipse each row is."""
        inside: Floats = self.score_samples(features) - self.arrays["offset"][0]
        return inside

    def predict(self, features: Features) -> NDArray[Any]:
        """1 within the ellipse, -1 outside."""
        return np.where(self.decision_function(features) >= 0, 1, -1)


def _mixture(estimator: Any) -> Taken:
    """Read constants off the estimator's own functions, so that they are its own to the bit."""
    from sklearn.mixture._gaussian_mixture import _compute_log_det_cholesky

    means, kind = floats_of(estimator.means_), estimator.covariance_type
    factors = floats_of(estimator.precisions_cholesky_)
    count, columns = means.shape
    base = np.broadcast_to(_compute_log_det_cholesky(factors, kind, columns), (count,))
    terms = [base]
    if type(estimator).__name__ == "BayesianGaussianMixture":
        terms += _bayesian_terms(estimator, count, columns)
    terms.append(estimator._estimate_log_weights())
    return "mixture", {
        "means": means,
        "factors": factors.reshape((1,) * (3 - factors.ndim) + factors.shape),
        "covariance": text(kind),
        "terms": floats_of(np.array(terms)),
    }


def _bayesian_terms(estimator: Any, count: int, columns: int) -> list[Floats]:
    from scipy.special import digamma

    freedom = np.broadcast_to(estimator.degrees_of_freedom_, (count,))
    halves = 0.5 * (freedom - np.arange(0, columns)[:, np.newaxis])
    scale = columns * np.log(2.0) + np.sum(digamma(halves), 0)
    last = 0.5 * (scale - columns / estimator.mean_precision_)
    return [-0.5 * columns * np.log(freedom), last]


def _ellipse(estimator: Any) -> Taken:
    return "ellipse", {
        "location": floats_of(estimator.location_),
        "precision": floats_of(estimator.get_precision()),
        "offset": single(estimator.offset_),
    }


KINDS: Final[dict[str, type[Part]]] = {"mixture": Mixture, "ellipse": Ellipse}
TAKERS: Final[dict[str, Taker]] = {
    "GaussianMixture": _mixture,
    "BayesianGaussianMixture": _mixture,
    "EllipticEnvelope": _ellipse,
}
