"""Models that ask the nearest rows: classes, numbers, outliers and labels that spread."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.compilation.numeric.nearest import FIELDS, Neighbours, neighbours_of
from models.compilation.numeric.taking import (
    Taken,
    Taker,
    flag,
    floats_of,
    single,
    whole,
)
from models.errors import ArraysMalformed, EstimatorNotHeld, RowsRefused
from models.labels import plain_labels
from models.layouts import Floats, flags, floats, indices, integers, labels, layout
from models.parts import Part, matrix
from models.tables import Features


class _Near(Part):
    """Asks as many neighbours as it was told to."""

    def prepare(self) -> None:
        self._neighbours = Neighbours(self.arrays)
        self._count = int(self.arrays["count"][0])
        if self._count > self.lengths["points"]:
            raise ArraysMalformed("there are fewer rows than neighbours to ask")

    def ask(self, features: Features) -> tuple[Floats, NDArray[np.int64]]:
        """Distances and places of the nearest."""
        return self._neighbours.nearest(matrix(features), self._count)


class NearClassifier(_Near):
    """The label of most of the neighbours."""

    LAYOUT = layout(
        **FIELDS,
        count=integers(1, least=1),
        weighted=flags(1),
        target=indices("points", below="classes"),
        classes=labels("classes"),
    )

    def predict(self, features: Features) -> NDArray[Any]:
        """The label with the most votes, the first of equal ones."""
        distances, places = self.ask(features)
        target, classes = self.arrays["target"][places], self.arrays["classes"]
        weights = _weights(distances) if self.arrays["weighted"][0] else np.ones_like(distances)
        votes = [(weights * (target == label)).sum(axis=1) for label in range(len(classes))]
        picked: NDArray[Any] = classes[np.argmax(votes, axis=0)]
        return picked

    def predict_proba(self, features: Features) -> Floats:
        """Each label's share of the votes."""
        distances, places = self.ask(features)
        weights = _weights(distances) if self.arrays["weighted"][0] else np.ones_like(distances)
        shares = np.zeros((len(places), self.lengths["classes"]))
        every = np.arange(len(places))
        for nearest in range(places.shape[1]):
            shares[every, self.arrays["target"][places[:, nearest]]] += weights[:, nearest]
        shares /= shares.sum(axis=1)[:, np.newaxis]
        return shares


class NearRegressor(_Near):
    """The mean of the neighbours' numbers."""

    LAYOUT = layout(
        **FIELDS,
        count=integers(1, least=1),
        weighted=flags(1),
        flat=flags(1),
        target=floats("points", "outputs"),
    )

    def predict(self, features: Features) -> Floats:
        """One number, or one row of numbers, for each row."""
        distances, places = self.ask(features)
        near = self.arrays["target"][places]
        if not self.arrays["weighted"][0]:
            answers: Floats = np.mean(near, axis=1)
        else:
            weights = _weights(distances)
            total = np.sum(weights, axis=1)
            outputs = range(near.shape[2])
            sums = [np.sum(near[:, :, at] * weights, axis=1) / total for at in outputs]
            answers = np.column_stack(sums)
        return answers.ravel() if self.arrays["flat"][0] else answers


class NearOutliers(_Near):
    """Outliers by how dense their neighbours lie."""

    LAYOUT = layout(
        **FIELDS,
        count=integers(1, least=1),
        reach=floats("points"),
        density=floats("points"),
        offset=floats(1),
    )

    def score_samples(self, features: Features) -> Floats:
        """The opposite of the local outlier factor."""
        distances, places = self.ask(features)
        reached = np.maximum(distances, self.arrays["reach"][places])
        density = 1.0 / (np.mean(reached, axis=1) + 1e-10)
        scores: Floats = -np.mean(self.arrays["density"][places] / density[:, np.newaxis], axis=1)
        return scores

    def decision_function(self, features: Features) -> Floats:
        """How far from being an outlier each row is."""
        inside: Floats = self.score_samples(features) - self.arrays["offset"][0]
        return inside

    def predict(self, features: Features) -> NDArray[Any]:
        """-1 for an outlier, else 1."""
        return np.where(self.decision_function(features) < 0, -1, 1)


class NearLabels(_Near):
    """Labels that spread from the nearest rows."""

    LAYOUT = layout(
        **FIELDS,
        count=integers(1, least=1),
        spread=floats("points", "classes"),
        classes=labels("classes"),
    )

    def predict_proba(self, features: Features) -> Floats:
        """Each label's share."""
        _, places = self.ask(features)
        shares: Floats = np.sum(self.arrays["spread"][places], axis=1)
        shares /= np.sum(shares, axis=1)[:, np.newaxis]
        return shares

    def predict(self, features: Features) -> NDArray[Any]:
        """The label with the largest share."""
        picked: NDArray[Any] = self.arrays["classes"][self.predict_proba(features).argmax(axis=1)]
        return picked


def _weights(distances: Floats) -> Floats:
    """The inverse of each distance; a row that meets a fitted one asks that one only."""
    weights: Floats = 1.0 / distances
    endless = np.isinf(weights)
    met = endless.any(axis=1)
    weights[met] = endless[met]
    if (weights == 0).all(axis=1).any():
        raise RowsRefused("a row that is endlessly far from all others")
    return weights


def _weighted(estimator: Any) -> NDArray[np.bool_]:
    if estimator.weights not in {"uniform", "distance", None}:
        raise EstimatorNotHeld("it weights neighbours with a function of its own")
    return flag(estimator.weights == "distance")


def _classifier(estimator: Any) -> Taken:
    if estimator.outputs_2d_:
        raise EstimatorNotHeld("it has several outputs")
    return "near_classifier", neighbours_of(estimator) | {
        "count": whole(estimator.n_neighbors),
        "weighted": _weighted(estimator),
        "target": np.asarray(estimator._y, np.int64),
        "classes": plain_labels(estimator.classes_),
    }


def _regressor(estimator: Any) -> Taken:
    target = np.asarray(estimator._y)
    return "near_regressor", neighbours_of(estimator) | {
        "count": whole(estimator.n_neighbors),
        "weighted": _weighted(estimator),
        "flat": flag(target.ndim == 1),
        "target": floats_of(target.reshape(len(target), -1)),
    }


def _outliers(estimator: Any) -> Taken:
    if not estimator.novelty:
        raise EstimatorNotHeld("it answers for the rows that it was fitted to alone")
    count = estimator.n_neighbors_
    return "near_outliers", neighbours_of(estimator) | {
        "count": whole(count),
        "reach": floats_of(estimator._distances_fit_X_[:, count - 1]),
        "density": floats_of(estimator._lrd),
        "offset": single(estimator.offset_),
    }


def labels_nearby(estimator: Any) -> Taken:
    """Labels that spread among neighbours."""
    return "near_labels", neighbours_of(estimator.nn_fit) | {
        "count": whole(estimator.n_neighbors),
        "spread": floats_of(estimator.label_distributions_),
        "classes": plain_labels(estimator.classes_),
    }


KINDS: Final[dict[str, type[Part]]] = {
    "near_classifier": NearClassifier,
    "near_regressor": NearRegressor,
    "near_outliers": NearOutliers,
    "near_labels": NearLabels,
}
TAKERS: Final[dict[str, Taker]] = {
    "KNeighborsClassifier": _classifier,
    "KNeighborsRegressor": _regressor,
    "LocalOutlierFactor": _outliers,
}
