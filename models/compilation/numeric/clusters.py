"""Clusters that new rows are put into: the nearest of some centres."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from models.compilation.numeric.rows import ranked_distances, squared_distances, squared_lengths
from models.compilation.numeric.taking import Taken, Taker, flag, floats_of, text
from models.errors import ArraysMalformed, EstimatorNotHeld
from models.layouts import Floats, Integers, choice, flags, floats, indices, integers, layout
from models.parts import Part, matrix
from models.tables import Features

LEAF: Final = -1


class NearestCentres(Part):
    """The label of the nearest centre; transform gives the distance to each."""

    LAYOUT = layout(
        centres=floats("centres", "columns"),
        labels=integers("centres"),
        ranking=choice("lloyd", "argkmin", "birch"),
        transforms=flags(1),
    )

    def prepare(self) -> None:
        centres = self.arrays["centres"]
        self._lengths = squared_lengths(centres)
        self._ranking = str(self.arrays["ranking"][0])
        # ArgKmin takes the centres' lengths from BLAS, unless it is given them.
        self._ranked = np.vecdot(centres, centres) if self._ranking == "argkmin" else self._lengths

    def withheld(self) -> frozenset[str]:
        return frozenset() if self.arrays["transforms"][0] else frozenset({"transform"})

    def predict(self, features: Features) -> Integers:
        """The label of the nearest centre, the first of equal ones."""
        rows, centres = matrix(features), self.arrays["centres"]
        if self._ranking == "lloyd":
            distances = -2 * (rows @ centres.T) + self._lengths
        else:
            distances = ranked_distances(rows, centres, self._ranked)
        picked: Integers = self.arrays["labels"][distances.argmin(axis=1)]
        return picked

    def transform(self, features: Features) -> Floats:
        """The distance to each centre."""
        squares = squared_distances(matrix(features), self.arrays["centres"], self._lengths)
        return np.sqrt(squares, out=squares)


class BisectedCentres(Part):
    """A tree of pairs of centres: a row goes to the nearer one until it reaches a leaf."""

    LAYOUT = layout(
        centres=floats("centres", "columns"),
        pairs=floats("nodes", 2, "columns"),
        left=indices("nodes", below="leaves"),
        right=indices("nodes", below="leaves"),
        labels=integers("leaves"),
    )

    def prepare(self) -> None:
        """Nodes come first and leaves after them, each behind the node that leads to it."""
        nodes = np.arange(self.lengths["nodes"])
        if (self.arrays["left"] <= nodes).any() or (self.arrays["right"] <= nodes).any():
            raise ArraysMalformed("a node has a child that is not behind it")
        if self.lengths["leaves"] < self.lengths["nodes"]:
            raise ArraysMalformed("there are fewer places than nodes")
        self._lengths = squared_lengths(self.arrays["centres"])
        self._pair_lengths = [squared_lengths(pair) for pair in self.arrays["pairs"]]

    def predict(self, features: Features) -> Integers:
        """The label of the leaf that each row reaches."""
        rows = matrix(features)
        at = np.zeros(len(rows), np.int64)
        for node, (pair, lengths) in enumerate(
            zip(self.arrays["pairs"], self._pair_lengths, strict=True)
        ):
            here = np.flatnonzero(at == node)
            if len(here):
                nearer = (-2 * (rows[here] @ pair.T) + lengths).argmin(axis=1)
                left, right = self.arrays["left"][node], self.arrays["right"][node]
                at[here] = np.where(nearer == 0, left, right)
        picked: Integers = self.arrays["labels"][at]
        return picked

    def transform(self, features: Features) -> Floats:
        """The distance to each centre."""
        squares = squared_distances(matrix(features), self.arrays["centres"], self._lengths)
        return np.sqrt(squares, out=squares)


def _centres(centres: Any, labels: Any = None, *, ranking: str, transforms: bool) -> Taken:
    points = floats_of(centres)
    names = np.arange(len(points)) if labels is None else np.asarray(labels)
    return "nearest_centres", {
        "centres": points,
        "labels": names.astype(np.int64),
        "ranking": text(ranking),
        "transforms": flag(transforms),
    }


def _k_means(estimator: Any) -> Taken:
    return _centres(estimator.cluster_centers_, ranking="lloyd", transforms=True)


def _mean_shift(estimator: Any) -> Taken:
    return _centres(estimator.cluster_centers_, ranking="argkmin", transforms=False)


def _birch(estimator: Any) -> Taken:
    centres, labels = estimator.subcluster_centers_, estimator.subcluster_labels_
    return _centres(centres, labels, ranking="birch", transforms=True)


def _affinity(estimator: Any) -> Taken:
    centres = getattr(estimator, "cluster_centers_", None)
    if centres is None or not len(centres):
        raise EstimatorNotHeld("it found no centres")
    return _centres(centres, ranking="argkmin", transforms=False)


def _bisecting(estimator: Any) -> Taken:
    """Number the tree's nodes breadth first, inner nodes before leaves."""
    inner, leaves = _levels(estimator._bisecting_tree)
    if not inner:
        return _k_means(estimator)
    places = {id(node): place for place, node in enumerate([*inner, *leaves])}
    mean = getattr(estimator, "_X_mean", 0.0)
    pairs = [np.vstack((node.left.center, node.right.center)) + mean for node in inner]
    return "bisected_centres", {
        "centres": floats_of(estimator.cluster_centers_),
        "pairs": floats_of(np.array(pairs)),
        "left": np.array([places[id(node.left)] for node in inner], np.int64),
        "right": np.array([places[id(node.right)] for node in inner], np.int64),
        "labels": np.array([LEAF] * len(inner) + [node.label for node in leaves], np.int64),
    }


def _levels(root: Any) -> tuple[list[Any], list[Any]]:
    inner: list[Any] = []
    leaves: list[Any] = []
    waiting = [root]
    while waiting:
        node = waiting.pop(0)
        (leaves if node.left is None else inner).append(node)
        waiting.extend([] if node.left is None else [node.left, node.right])
    return inner, leaves


KINDS: Final[dict[str, type[Part]]] = {
    "nearest_centres": NearestCentres,
    "bisected_centres": BisectedCentres,
}
TAKERS: Final[dict[str, Taker]] = {
    "KMeans": _k_means,
    "MiniBatchKMeans": _k_means,
    "MeanShift": _mean_shift,
    "Birch": _birch,
    "AffinityPropagation": _affinity,
    "BisectingKMeans": _bisecting,
}
