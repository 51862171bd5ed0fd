"""Trees within ONNX graphs: a runtime follows their indices without a look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.errors import FormatRefused
from models.soundness.trees_in_arrays import refuse_no_tree

LEAF: Final = b"LEAF"
MODES: Final = frozenset(
    {b"BRANCH_LEQ", b"BRANCH_LT", b"BRANCH_GTE", b"BRANCH_GT", b"BRANCH_EQ", b"BRANCH_NEQ", LEAF}
)
MOST_COLUMNS: Final = 1_000_000

Integers = NDArray[np.int64]


def check_tree_ensemble(attributes: Mapping[str, Any], *, columns: int | None) -> None:
    """Raise FormatRefused unless the attributes of a tree operator are those of trees.

    `columns` is the width of what the trees read, where it is known.
    """
    modes = attributes.get("nodes_modes", [])
    count = len(modes)
    if not count or not MODES.issuperset(modes):
        raise FormatRefused("its trees have no nodes, or nodes of an unknown kind")
    inner = np.array([mode != LEAF for mode in modes])
    feature = _integers(attributes, "nodes_featureids", count)
    if ((feature < 0) | (feature >= (columns or MOST_COLUMNS)))[inner].any():
        raise FormatRefused("a node of a tree reads a column that is not there")
    values = attributes.get("nodes_values", attributes.get("nodes_values_as_tensor", ()))
    if len(values) != count:
        raise FormatRefused("its trees have not one threshold for each node")
    places = _check_nodes(attributes, inner)
    for kind, outputs in _outputs(attributes).items():
        _check_leaves(attributes, kind, outputs, places)


def _check_nodes(attributes: Mapping[str, Any], inner: NDArray[np.bool_]) -> dict[Any, int]:
    """Where each node lies, by its tree and its number."""
    count = len(inner)
    trees = _integers(attributes, "nodes_treeids", count)
    names = list(zip(trees.tolist(), _integers(attributes, "nodes_nodeids", count), strict=True))
    places = {(tree, int(node)): at for at, (tree, node) in enumerate(names)}
    if len(places) != count:
        raise FormatRefused("two nodes of a tree have the same number")
    children = [
        _children(places, trees, _integers(attributes, name, count), inner)
        for name in ("nodes_truenodeids", "nodes_falsenodeids")
    ]
    starts = np.flatnonzero(np.diff(trees, prepend=trees[0] - 1))
    if len(np.unique(trees)) != len(starts):
        raise FormatRefused("the nodes of a tree do not lie side by side")
    for first, end in zip(starts.tolist(), [*starts[1:].tolist(), count], strict=True):
        within = inner[first:end]
        left, right = (np.where(within, child[first:end] - first, -1) for child in children)
        refuse_no_tree(left, right, leaf=-1)
    return places


def _children(
    places: Mapping[Any, int], trees: Integers, numbers: Integers, inner: NDArray[np.bool_]
) -> Integers:
    found = np.full(len(trees), -1)
    for at in np.flatnonzero(inner).tolist():
        found[at] = places.get((int(trees[at]), int(numbers[at])), -1)
    if (found[inner] < 0).any():
        raise FormatRefused("a node of a tree has a child that is not there")
    return found


def _outputs(attributes: Mapping[str, Any]) -> dict[str, int]:
    """How many outputs leaves may add to: classes of a classifier, targets of a regressor."""
    if "n_targets" in attributes:
        return {"target": int(attributes["n_targets"])}
    labels = attributes.get("classlabels_int64s") or attributes.get("classlabels_strings") or []
    return {"class": len(labels)}


def _check_leaves(
    attributes: Mapping[str, Any], kind: str, outputs: int, places: Mapping[Any, int]
) -> None:
    ids = _integers(attributes, f"{kind}_ids")
    trees = _integers(attributes, f"{kind}_treeids", len(ids)).tolist()
    nodes = _integers(attributes, f"{kind}_nodeids", len(ids)).tolist()
    weights = attributes.get(f"{kind}_weights", attributes.get(f"{kind}_weights_as_tensor", ()))
    if len(weights) != len(ids) or ((ids < 0) | (ids >= max(outputs, 1))).any():
        raise FormatRefused("a leaf of a tree adds to an output that is not there")
    if any(place not in places for place in zip(trees, nodes, strict=True)):
        raise FormatRefused("a weight belongs to a leaf that is not there")


def _integers(attributes: Mapping[str, Any], name: str, length: int | None = None) -> Integers:
    numbers = np.array(attributes.get(name, ()), np.int64)
    if length is not None and len(numbers) != length:
        raise FormatRefused(f"its trees have not one of {name} for each node")
    return numbers
