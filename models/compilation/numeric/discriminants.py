"""Quadratic discriminants and nearest centroids."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.compilation.numeric.rows import (
    chosen,
    in_blocks,
    log_normalised,
    ranked_distances,
    squared_distances,
    squared_lengths,
)
from models.compilation.numeric.taking import Taken, Taker, floats_of, ragged, text
from models.errors import ArraysMalformed, EstimatorNotHeld
from models.labels import plain_labels
from models.layouts import Floats, choice, floats, integers, labels, layout, optional
from models.parts import Part, matrix
from models.tables import Features


class _Discriminant(Part):
    """Answers from the logarithmic posterior of each class."""

    def scores(self, rows: Floats) -> Floats:
        """The score of each row and class."""
        raise NotImplementedError

    def predict(self, features: Features) -> NDArray[Any]:
        """The label of the highest score."""
        return chosen(self.arrays["classes"], self.scores(matrix(features)))

    def decision_function(self, features: Features) -> Floats:
        """The scores; of two labels, the second's over the first's."""
        scores = self.scores(matrix(features))
        if scores.shape[1] == 2:
            over: Floats = scores[:, 1] - scores[:, 0]
            return over
        return scores

    def predict_log_proba(self, features: Features) -> Floats:
        """The logarithm of each label's probability."""
        return log_normalised(self.scores(matrix(features)))

    def predict_proba(self, features: Features) -> Floats:
        """Each label's probability."""
        return np.exp(self.predict_log_proba(features))


class QuadraticDiscriminant(_Discriminant):
    """Classes with a covariance each."""

    LAYOUT = layout(
        means=floats("classes", "columns"),
        rotations=floats("axes", "columns"),  # of all classes, one below the other
        ends=integers("classes", least=1),
        spread=floats("classes"),
        prior=floats("classes"),
        classes=labels("classes"),
    )

    def prepare(self) -> None:
        ends = self.arrays["ends"]
        if (np.diff(ends) < 0).any() or ends[-1] != self.lengths["axes"]:
            raise ArraysMalformed("the classes' axes are not one after another")
        self._rotations = np.split(self.arrays["rotations"], ends[:-1])

    def scores(self, rows: Floats) -> Floats:
        means = self.arrays["means"]
        squares = [
            np.sum(np.dot(rows - mean, rotation.T) ** 2, axis=1)
            for mean, rotation in zip(means, self._rotations, strict=True)
        ]
        scores: Floats = -0.5 * (np.array(squares).T + self.arrays["spread"]) + self.arrays["prior"]
        return scores


class NearestCentroids(_Discriminant):
    """The class whose centroid is nearest, or likeliest where classes have priors."""

    LAYOUT = layout(
        centroids=floats("classes", "columns"),
        spread=optional(floats("columns")),  # of each column within the classes; 1 where it is 0
        prior=optional(floats("classes")),
        metric=choice("euclidean", "manhattan"),
        even=choice("even", "uneven"),
        classes=labels("classes"),
    )

    def prepare(self) -> None:
        if ("spread" in self.arrays) != ("prior" in self.arrays):
            raise ArraysMalformed("there is a spread or a prior, and not both")
        self._even = self.arrays["even"][0] == "even"
        if not self._even and "prior" not in self.arrays:
            raise ArraysMalformed("the classes' priors are not there")
        self._plain = self.arrays["metric"][0] == "euclidean"
        self._scaled = self.arrays["centroids"] / self.arrays.get("spread", 1.0)

    def withheld(self) -> frozenset[str]:
        scored = frozenset({"decision_function", "predict_proba", "predict_log_proba"})
        return frozenset() if "prior" in self.arrays else scored

    def predict(self, features: Features) -> NDArray[Any]:
        """The label of the nearest centroid."""
        if not self._even:
            return super().predict(features)
        rows, centroids = matrix(features), self.arrays["centroids"]
        if self._plain:
            distances = ranked_distances(rows, centroids, np.vecdot(centroids, centroids))
        else:
            distances = self._manhattan(rows, centroids)
        picked: NDArray[Any] = self.arrays["classes"][distances.argmin(axis=1)]
        return picked

    def scores(self, rows: Floats) -> Floats:
        rows = rows / self.arrays["spread"]
        if self._plain:
            lengths = squared_lengths(self._scaled)
            distances = np.sqrt(squared_distances(rows, self._scaled, lengths))
        else:
            distances = self._manhattan(rows, self._scaled)
        scores: Floats = -(distances**2) + 2.0 * np.log(self.arrays["prior"])
        return scores

    def _manhattan(self, rows: Floats, centroids: Floats) -> Floats:
        def block(rows: Floats) -> Floats:
            apart = np.abs(rows.T[:, :, np.newaxis] - centroids.T[:, np.newaxis])
            summed: Floats = np.add.reduce(apart, axis=0)
            return summed

        return in_blocks(rows, centroids.size, block)


def _quadratic(estimator: Any) -> Taken:
    scalings = [floats_of(one) for one in estimator.scalings_]
    pairs = zip(estimator.rotations_, scalings, strict=True)
    scaled = [floats_of(rotation * scaling ** (-0.5)) for rotation, scaling in pairs]
    rotations, ends = ragged([one.T for one in scaled])
    return "quadratic_discriminant", {
        "means": floats_of(estimator.means_),
        "rotations": rotations,
        "ends": ends,
        "spread": floats_of([np.sum(np.log(one)) for one in scalings]),
        "prior": floats_of(np.log(estimator.priors_)),
        "classes": plain_labels(estimator.classes_),
    }


def _centroids(estimator: Any) -> Taken:
    prior = floats_of(estimator.class_prior_)
    even = bool(np.isclose(prior, 1 / len(prior)).all())
    arrays = {
        "centroids": floats_of(estimator.centroids_),
        "metric": text(estimator.metric),
        "even": text("even" if even else "uneven"),
        "classes": plain_labels(estimator.classes_),
    }
    if "decision_function" in dir(estimator) and (prior > 0).all():
        spread = floats_of(estimator.within_class_std_dev_)
        arrays |= {"spread": np.where(spread == 0, 1.0, spread), "prior": prior}
    if not even and "prior" not in arrays:
        raise EstimatorNotHeld("a class has no prior")
    return "nearest_centroids", arrays


KINDS: Final[dict[str, type[Part]]] = {
    "quadratic_discriminant": QuadraticDiscriminant,
    "nearest_centroids": NearestCentroids,
}
TAKERS: Final[dict[str, Taker]] = {
    "QuadraticDiscriminantAnalysis": _quadratic,
    "NearestCentroid": _centroids,
}
