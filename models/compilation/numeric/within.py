"""Models that ask all rows within a radius."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.compilation.numeric.nearest import FIELDS, Neighbours, neighbours_of
from models.compilation.numeric.taking import Taken, Taker, flag, floats_of, single
from models.errors import EstimatorNotHeld, RowsRefused
from models.labels import plain_labels
from models.layouts import Floats, Integers, flags, floats, indices, labels, layout, optional
from models.parts import Part, matrix
from models.tables import Features


class _Within(Part):
    """Asks every row that is not farther than its radius."""

    def prepare(self) -> None:
        self._neighbours = Neighbours(self.arrays)
        self._radius = self._neighbours.reduced(float(self.arrays["radius"][0]))

    def ask(self, features: Features) -> list[tuple[Integers, Floats]]:
        """For each row the places within the radius, and how much each counts."""
        asked = []
        for row in matrix(features):
            distances = self._neighbours.distances(row[np.newaxis])[0]
            places = np.flatnonzero(distances <= self._radius)
            asked.append((places, self._count(self._neighbours.full(distances[places]))))
        return asked

    def _count(self, distances: Floats) -> Floats:
        if not self.arrays["weighted"][0] or not len(distances):
            return np.ones_like(distances)
        if (distances == 0).any():
            met: Floats = (distances == 0).astype(np.float64)
            return met
        return 1.0 / distances


class WithinClassifier(_Within):
    """The label of most of the rows within the radius."""

    LAYOUT = layout(
        **FIELDS,
        radius=floats(1, least=0),
        weighted=flags(1),
        target=indices("points", below="classes"),
        classes=labels("classes"),
        outlier=optional(labels(1)),
    )

    def predict_proba(self, features: Features) -> Floats:
        """Each label's share; of a row with no neighbours, the label that outliers have."""
        classes = self.arrays["classes"]
        asked = self.ask(features)
        shares = np.zeros((len(asked), len(classes)))
        for at, (places, weights) in enumerate(asked):
            if len(places):
                target = self.arrays["target"][places]
                shares[at] = np.bincount(target, weights, minlength=len(classes))
            elif "outlier" not in self.arrays:
                raise RowsRefused("a row without neighbours within the radius")
            else:
                shares[at, classes == self.arrays["outlier"][0]] = 1.0
        total = shares.sum(axis=1)[:, np.newaxis]
        total[total == 0.0] = 1.0
        shares /= total
        return shares

    def predict(self, features: Features) -> NDArray[Any]:
        """The label with the largest share."""
        shares = self.predict_proba(features)
        picked: NDArray[Any] = self.arrays["classes"][shares.argmax(axis=1)]
        alone = (shares == 0).all(axis=1)
        return np.where(alone, self.arrays["outlier"][0], picked) if alone.any() else picked


class WithinRegressor(_Within):
    """The mean of the numbers of the rows within the radius."""

    LAYOUT = layout(
        **FIELDS,
        radius=floats(1, least=0),
        weighted=flags(1),
        flat=flags(1),
        target=floats("points", "outputs"),
    )

    def predict(self, features: Features) -> Floats:
        """One number, or one row of numbers; not a number without neighbours."""
        answers = np.array([self._mean(*asked) for asked in self.ask(features)])
        return answers.ravel() if self.arrays["flat"][0] else answers

    def _mean(self, places: Integers, weights: Floats) -> Floats:
        target = self.arrays["target"][places]
        if not len(places):
            return np.full(self.lengths["outputs"], np.nan)
        if self.arrays["weighted"][0]:
            mean: Floats = np.average(target, axis=0, weights=weights)
        else:
            mean = np.mean(target, axis=0)
        return mean


def _weighted(estimator: Any) -> NDArray[np.bool_]:
    if estimator.weights not in {"uniform", "distance", None}:
        raise EstimatorNotHeld("it weights neighbours with a function of its own")
    return flag(estimator.weights == "distance")


def _classifier(estimator: Any) -> Taken:
    if estimator.outputs_2d_:
        raise EstimatorNotHeld("it has several outputs")
    arrays = neighbours_of(estimator) | {
        "radius": single(estimator.radius),
        "weighted": _weighted(estimator),
        "target": np.asarray(estimator._y, np.int64),
        "classes": plain_labels(estimator.classes_),
    }
    if estimator.outlier_label_ is not None:
        arrays["outlier"] = plain_labels(np.asarray(estimator.outlier_label_[:1]))
    return "within_classifier", arrays


def _regressor(estimator: Any) -> Taken:
    target = np.asarray(estimator._y)
    return "within_regressor", neighbours_of(estimator) | {
        "radius": single(estimator.radius),
        "weighted": _weighted(estimator),
        "flat": flag(target.ndim == 1),
        "target": floats_of(target.reshape(len(target), -1)),
    }


KINDS: Final[dict[str, type[Part]]] = {
    "within_classifier": WithinClassifier,
    "within_regressor": WithinRegressor,
}
TAKERS: Final[dict[str, Taker]] = {
    "RadiusNeighborsClassifier": _classifier,
    "RadiusNeighborsRegressor": _regressor,
}
