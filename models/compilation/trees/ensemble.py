"""Trees as flat arrays: every node of every tree in order, children by their place in the tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.errors import EstimatorNotHeld

Arrays = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float64]
Indices = NDArray[np.int32]
Flags = NDArray[np.bool_]
LARGEST: Final = float(np.finfo(np.float64).max)  # stands for infinity, which no file holds
SINGLE: Final = "single"
DOUBLE: Final = "double"
AT_MOST: Final = "at most"
BELOW: Final = "below"
IDENTITY: Final = "identity"
LINKS: Final = (IDENTITY, "sigmoid", "softmax", "exponential")  # treelite's own names


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree: node 0 is the root, a leaf's children are -1, `leaves` has a row for each leaf.

    `sets` holds, of nodes that test for categories, those that go to the left.
    """

    left: NDArray[Any]
    right: NDArray[Any]
    feature: NDArray[Any]
    threshold: Floats
    default_left: Flags
    leaves: Floats
    sets: Mapping[int, Sequence[int]] = field(default_factory=dict)


def stump(leaves: Floats) -> Tree:
    """A tree of one leaf, which gives every row the same."""
    alone, none = np.zeros(1, np.int32), np.full(1, -1, np.int32)
    return Tree(none, none, alone, np.zeros(1), np.zeros(1, np.bool_), leaves.reshape(1, -1))


def reachable(
    left: NDArray[np.int64], right: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The nodes that the root leads to, parents first, and each node's place among them."""
    levels = [np.zeros(1, np.int64)]
    found = 1
    while len(levels[-1]):
        inner = levels[-1][left[levels[-1]] != -1]
        levels.append(np.stack([left[inner], right[inner]], axis=1).reshape(-1))
        found += len(levels[-1])
        if found > len(left):
            raise EstimatorNotHeld("a tree leads in a circle")
    order = np.concatenate(levels)
    place = np.zeros(len(left), np.int64)
    place[order] = np.arange(len(order))
    return order, place


@dataclass(frozen=True, kw_only=True, slots=True)
class Ensemble:
    """Trees whose leaves are summed, in order, into one row of sums.

    A tree adds its leaf's row, or where `column` is given its leaf's one number to one column.
    `features` is how many columns it reads, `width` how many sums there are. A row goes to the
    left where its value is `at most` (or `below`) the threshold, and where a value is missing as
    `default_left` says. In `single` arithmetic all numbers are float32. The `link` is applied to
    the sums in the same arithmetic.
    """

    features: int
    width: int
    arithmetic: str
    test: str
    link: str
    sizes: Indices
    left: Indices
    right: Indices
    feature: Indices
    threshold: Floats
    default_left: Flags
    leaves: Floats
    column: Indices | None = None
    set_nodes: NDArray[np.int64] | None = None
    set_sizes: NDArray[np.int64] | None = None
    set_values: NDArray[np.int64] | None = None
    steps: int = 0  # through how many nodes a row goes at most, and
    depth: int = 0  # in one tree

    @property
    def trees(self) -> int:
        """How many trees there are."""
        return len(self.sizes)

    @property
    def starts(self) -> NDArray[np.int64]:
        """The position of each tree's root."""
        return np.cumsum(self.sizes, dtype=np.int64) - self.sizes

    def as_arrays(self) -> dict[str, NDArray[Any]]:
        """The ensemble as the arrays of a file."""
        arrays = {
            "extent": np.array([self.features, self.width], np.int64),
            "arithmetic": np.array([self.arithmetic]),
            "test": np.array([self.test]),
            "link": np.array([self.link]),
        }
        for name in (*ALWAYS, *SOMETIMES):
            if getattr(self, name) is not None:
                arrays[name] = getattr(self, name)
        return arrays


ALWAYS: Final = ("sizes", "left", "right", "feature", "threshold", "default_left", "leaves")
SOMETIMES: Final = ("column", "set_nodes", "set_sizes", "set_values")
NAMES: Final = ("extent", "arithmetic", "test", "link", *ALWAYS, *SOMETIMES)


def ensemble_of(
    trees: Sequence[Tree],
    *,
    features: int,
    width: int,
    columns: Sequence[int] | None = None,
    arithmetic: str = DOUBLE,
    test: str = AT_MOST,
    link: str = IDENTITY,
) -> Ensemble:
    """Put trees one behind the other; `columns` names the sum that each one adds to."""
    if not trees:
        raise EstimatorNotHeld("it has no trees")
    return Ensemble(
        features=features,
        width=width,
        arithmetic=arithmetic,
        test=test,
        link=link,
        sizes=np.array([len(tree.left) for tree in trees], np.int32),
        left=np.concatenate([tree.left for tree in trees]).astype(np.int32),
        right=np.concatenate([tree.right for tree in trees]).astype(np.int32),
        feature=np.concatenate([tree.feature for tree in trees]).astype(np.int32),
        threshold=_finite(np.concatenate([tree.threshold for tree in trees])),
        default_left=np.concatenate([tree.default_left for tree in trees]).astype(np.bool_),
        leaves=np.concatenate([tree.leaves for tree in trees]).astype(np.float64),
        column=None if columns is None else np.array(columns, np.int32),
        **_sets(trees),
    )


def _finite(threshold: NDArray[Any]) -> Floats:
    if np.isnan(threshold).any():
        raise EstimatorNotHeld("a threshold is not a number")
    return np.clip(threshold.astype(np.float64), -LARGEST, LARGEST)


def _sets(trees: Sequence[Tree]) -> dict[str, Any]:
    nodes: list[int] = []
    sizes: list[int] = []
    values: list[int] = []
    start = 0
    for tree in trees:
        for node, categories in sorted(tree.sets.items()):
            nodes.append(start + node)
            sizes.append(len(categories))
            values.extend(categories)
        start += len(tree.left)
    if not values:
        if nodes:
            raise EstimatorNotHeld("its sets of categories are all empty")
        return {}
    found = {"set_nodes": nodes, "set_sizes": sizes, "set_values": values}
    return {name: np.array(value, np.int64) for name, value in found.items()}


def divided(trees: Ensemble, *, nodes: int) -> list[Ensemble]:
    """The same trees in the same order, in parts of about so many nodes."""
    ends = np.cumsum(trees.sizes, dtype=np.int64)
    cuts = np.flatnonzero(np.diff((ends - 1) // nodes)) + 1
    edges = [0, *cuts.tolist(), trees.trees]
    leaves = np.concatenate([[0], np.cumsum(trees.left == -1)])
    return [_part(trees, a, b, leaves) for a, b in pairwise(edges)]


def _part(trees: Ensemble, first: int, stop: int, leaves: NDArray[np.int64]) -> Ensemble:
    start, end = int(trees.starts[first]), int(trees.starts[stop - 1] + trees.sizes[stop - 1])
    every = ("left", "right", "feature", "threshold", "default_left")
    nodes: dict[str, Any] = {name: getattr(trees, name)[start:end] for name in every}
    return replace(
        trees,
        sizes=trees.sizes[first:stop],
        leaves=trees.leaves[leaves[start] : leaves[end]],
        column=None if trees.column is None else trees.column[first:stop],
        **nodes,
        **_part_of_sets(trees, start, end),
    )


def _part_of_sets(trees: Ensemble, start: int, end: int) -> dict[str, Any]:
    none: dict[str, Any] = dict.fromkeys(("set_nodes", "set_sizes", "set_values"))
    if trees.set_nodes is None or trees.set_sizes is None or trees.set_values is None:
        return none
    first, stop = np.searchsorted(trees.set_nodes, [start, end]).tolist()
    if first == stop:
        return none
    bounds = np.concatenate([[0], np.cumsum(trees.set_sizes)])
    return {
        "set_nodes": trees.set_nodes[first:stop] - start,
        "set_sizes": trees.set_sizes[first:stop],
        "set_values": trees.set_values[bounds[first] : bounds[stop]],
    }
