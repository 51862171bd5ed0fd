"""Whether an opened model means what it says: native code follows its indices unchecked.

An altered child or feature index in a tree is data by every rule of a file format, and makes
scikit-learn read or write outside its memory, or walk in a circle for ever.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import FormatRefused
from models.estimators import parts_of

Indices = NDArray[np.int64]


def refuse_unsound(estimator: object) -> None:
    """Raise FormatRefused if a tree within an estimator has an index that leads nowhere."""
    columns = getattr(estimator, "n_features_in_", None)
    for part in parts_of(estimator):
        name = type(part).__name__
        if name == "Tree":
            _check_tree(part.__getstate__()["nodes"], int(part.n_features), columns)
        elif name == "TreePredictor":
            _check_histogram_tree(part, columns)
        elif name in {"KDTree64", "BallTree64", "KDTree", "BallTree"}:
            _check_neighbour_tree(part.__getstate__(), 2 if name.startswith("KD") else 1)


def _check_tree(nodes: NDArray[Any], features: int, columns: int | None) -> None:
    left, right = nodes["left_child"].astype(np.int64), nodes["right_child"].astype(np.int64)
    leaf = left == -1
    if columns is not None and features > columns:
        raise FormatRefused("a tree takes more columns than its model")
    if (leaf != (right == -1)).any():
        raise FormatRefused("a node of a tree has one child")
    _check_children(left[~leaf], right[~leaf], np.flatnonzero(~leaf), len(nodes))
    _check_features(nodes["feature"][~leaf].astype(np.int64), features)


def _check_histogram_tree(part: Any, columns: int | None) -> None:
    nodes = part.nodes
    inner = nodes["is_leaf"] == 0
    left, right = nodes["left"].astype(np.int64), nodes["right"].astype(np.int64)
    _check_children(left[inner], right[inner], np.flatnonzero(inner), len(nodes))
    if columns is not None:
        _check_features(nodes["feature_idx"][inner].astype(np.int64), columns)
    categorical = inner & (nodes["is_categorical"] != 0)
    sets = min(len(part.raw_left_cat_bitsets), len(part.binned_left_cat_bitsets))
    if (nodes["bitset_idx"][categorical].astype(np.int64) >= sets).any():
        raise FormatRefused("a node of a tree names a set of categories that is not there")


def _check_neighbour_tree(state: tuple[Any, ...], corners: int) -> None:
    """Check the state of sklearn.neighbors' binary trees: children of i are 2i+1 and 2i+2."""
    data, order, nodes, bounds, _leaf_size, levels, count, *_ = state
    start, end = nodes["idx_start"], nodes["idx_end"]
    inner = np.flatnonzero(nodes["is_leaf"] == 0)
    rows = len(data)
    if len(nodes) != count or count != 2**levels - 1:
        raise FormatRefused("a tree of neighbours has not as many nodes as it says")
    if bounds.shape != (corners, count, data.shape[1]) or len(order) != rows:
        raise FormatRefused("a tree of neighbours has arrays of other sizes than its data")
    if ((start < 0) | (end < start) | (end > rows)).any() or (2 * inner + 2 >= count).any():
        raise FormatRefused("a node of a tree of neighbours leads nowhere")
    if ((order < 0) | (order >= rows)).any():
        raise FormatRefused("a tree of neighbours names rows that are not there")


def _check_children(left: Indices, right: Indices, own: Indices, count: int) -> None:
    # A child behind its parent cannot lead back to it: no walk is longer than the tree.
    for child in (left, right):
        if (child <= own).any() or (child >= count).any():
            raise FormatRefused("a node of a tree has a child that is not behind it in the tree")


def _check_features(feature: Indices, count: int) -> None:
    if (feature < 0).any() or (feature >= count).any():
        raise FormatRefused("a node of a tree reads a column that the model does not take")
