"""The nearest of the rows that a model was fitted to, ties decided as scikit-learn decides them.

Distances are summed as its trees (or, without a tree, its ArgKmin) sum them, so that two are equal
here exactly where they are equal there. Which of equally distant rows is among the nearest depends
on the order in which they are met: where that matters, the search itself is repeated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.compilation.numeric.pairs import summed_over_columns
from models.compilation.numeric.rows import ranked_distances
from models.compilation.numeric.taking import floats_of, text
from models.errors import ArraysMalformed, EstimatorNotHeld
from models.layouts import (
    Arrays,
    Field,
    Floats,
    Integers,
    choice,
    flags,
    floats,
    indices,
    optional,
)

MOST_CELLS: Final = 400_000  # beyond it a tree in the model's own library is faster
FIELDS: Final[Mapping[str, Field]] = MappingProxyType(
    {
        "points": floats("points", "columns"),
        "metric": choice("euclidean", "manhattan"),
        "order": optional(indices("points", below="points")),  # of a tree: its rows, leaf by leaf
        "start": optional(indices("nodes", below="points")),
        "end": optional(Field("i", ("nodes",), least=1)),
        "leaf": optional(flags("nodes")),
        "low": optional(floats("nodes", "columns")),
        "high": optional(floats("nodes", "columns")),
    }
)
_TREE: Final = ("order", "start", "end", "leaf", "low", "high")


class Neighbours:
    """Finds the nearest points of rows, and those within a radius."""

    def __init__(self, arrays: Arrays) -> None:
        self._points = arrays["points"]
        self._plain = arrays["metric"][0] == "euclidean"
        self._tree = {name: arrays[name] for name in _TREE if name in arrays}
        if self._tree:
            self._check_tree()
        elif not self._plain:
            raise ArraysMalformed("without a tree there are only Euclidean distances")
        self._lengths = np.vecdot(self._points, self._points)

    def _check_tree(self) -> None:
        if len(self._tree) != len(_TREE):
            raise ArraysMalformed("a part of the tree is not there")
        start, end, leaf = (self._tree[name] for name in ("start", "end", "leaf"))
        inner = np.flatnonzero(~leaf)
        if (end > len(self._points)).any() or (2 * inner + 2 >= len(leaf)).any():
            raise ArraysMalformed("a node of the tree leads nowhere")
        if (end <= start).any() or int((end - start)[leaf].sum()) > len(self._points):
            raise ArraysMalformed("a node of the tree has no rows, or those of another")

    def distances(self, rows: Floats) -> Floats:
        """The reduced distances (Euclidean ones are squared) of all points."""
        if not self._tree:
            return ranked_distances(rows, self._points, self._lengths)
        if self._plain:
            return summed_over_columns(rows, self._points, lambda a, b: (a - b) * (a - b))
        return summed_over_columns(rows, self._points, lambda a, b: np.abs(a - b))

    def full(self, reduced: Floats) -> Floats:
        """Distances from reduced ones."""
        return np.sqrt(np.maximum(reduced, 0)) if self._plain else reduced

    def reduced(self, distance: float) -> float:
        """A reduced distance from a full one."""
        return distance * distance if self._plain else distance

    def nearest(self, rows: Floats, count: int) -> tuple[Floats, Integers]:
        """Distances and places of the nearest points of each row, nearest first."""
        step = max(1, (1 << 20) // max(1, len(self._points)))
        parts = [self._block(rows[at : at + step], count) for at in range(0, len(rows), step)]
        return np.concatenate([part[0] for part in parts]), np.concatenate([p[1] for p in parts])

    def _block(self, rows: Floats, count: int) -> tuple[Floats, Integers]:
        distances = self.distances(rows)
        if count < distances.shape[1]:
            places = np.argpartition(distances, count - 1, axis=1)[:, :count]
        else:
            places = np.broadcast_to(np.arange(count), (len(rows), count)).copy()
        found = np.take_along_axis(distances, places, axis=1)
        within = (distances <= found.max(axis=1, keepdims=True)).sum(axis=1)
        for row in np.flatnonzero((within != count) | ~np.isfinite(found).all(axis=1)).tolist():
            places[row] = self._met(rows[row], distances[row], count)
        found = np.take_along_axis(distances, places, axis=1)
        order = np.argsort(found, axis=1, kind="stable")
        places = np.take_along_axis(places, order, axis=1)
        return self.full(np.take_along_axis(found, order, axis=1)), places

    def _met(self, row: Floats, distances: Floats, count: int) -> list[int]:
        """The nearest as scikit-learn's heap keeps them, which drops what is not nearer."""
        heap = Heap(count)
        for places in self._leaves(row, heap) if self._tree else [np.arange(len(distances))]:
            for place in places[distances[places] < heap.largest].tolist():
                heap.push(float(distances[place]), place)
        return heap.places

    def _leaves(self, row: Floats, heap: Heap) -> Iterator[Integers]:
        """The rows of each leaf that a search looks at, in its order."""
        tree, waiting = self._tree, [(self._least(0, row), 0)]
        while waiting:
            least, node = waiting.pop()
            if least > heap.largest:
                continue
            if tree["leaf"][node]:
                yield tree["order"][tree["start"][node] : tree["end"][node]]
                continue
            left, right = 2 * node + 1, 2 * node + 2
            to_left, to_right = self._least(left, row), self._least(right, row)
            both = [(to_right, right), (to_left, left)]
            waiting.extend(both if to_left <= to_right else both[::-1])

    def _least(self, node: int, row: Floats) -> float:
        """The least reduced distance that a row of a node may have."""
        low = self._tree["low"][node] - row
        high = row - self._tree["high"][node]
        apart = 0.5 * ((low + np.abs(low)) + (high + np.abs(high)))
        terms = apart * apart if self._plain else apart
        return float(np.add.accumulate(terms)[-1])


class Heap:
    """The nearest so far: `sklearn.utils._heap.heap_push`, statement by statement."""

    def __init__(self, count: int) -> None:
        self.values = [np.inf] * count
        self.places = [0] * count

    @property
    def largest(self) -> float:
        """The distance that a nearer one has to be below."""
        return self.values[0]

    def push(self, value: float, place: int) -> None:
        """Replace the farthest, if this one is nearer."""
        values, places = self.values, self.places
        if value >= values[0]:
            return
        at, size = 0, len(values)
        while True:
            left, right = 2 * at + 1, 2 * at + 2
            if left >= size:
                break
            child = left if right >= size or values[left] >= values[right] else right
            if value >= values[child]:
                break
            values[at], places[at] = values[child], places[child]
            at = child
        values[at], places[at] = value, place


def neighbours_of(estimator: Any) -> dict[str, NDArray[Any]]:
    """The arrays of a fitted search."""
    metric = estimator.effective_metric_
    method = estimator._fit_method
    if metric not in {"euclidean", "manhattan"} or method not in {"kd_tree", "brute"}:
        raise EstimatorNotHeld(f"its neighbours are found by {metric} distances in a {method}")
    if method == "brute" and metric != "euclidean":
        raise EstimatorNotHeld(f"its neighbours are found by {metric} distances without a tree")
    points = floats_of(estimator._fit_X)
    if points.size > MOST_CELLS:
        raise EstimatorNotHeld("it was fitted to so many rows that its own tree is faster")
    arrays: dict[str, NDArray[Any]] = {"points": points, "metric": text(metric)}
    return arrays if method == "brute" else arrays | _tree_of(estimator._tree)


def _tree_of(tree: Any) -> dict[str, NDArray[Any]]:
    _, order, nodes, bounds = tree.get_arrays()
    nodes = np.asarray(nodes)
    return {
        "order": np.asarray(order, np.int64),
        "start": nodes["idx_start"].astype(np.int64),
        "end": nodes["idx_end"].astype(np.int64),
        "leaf": nodes["is_leaf"] != 0,
        "low": floats_of(np.asarray(bounds)[0]),
        "high": floats_of(np.asarray(bounds)[1]),
    }
