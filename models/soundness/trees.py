"""Whether the nodes of an opened model's trees lead somewhere; see `estimators`."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.errors import FormatRefused

Indices = NDArray[np.int64]

# They hand rows to their trees as they come: no tree checks again how wide they are.
TRUSTING: Final = frozenset(
    {
        "ExtraTreesClassifier",
        "ExtraTreesRegressor",
        "GradientBoostingClassifier",
        "GradientBoostingRegressor",
        "IsolationForest",
        "RandomForestClassifier",
        "RandomForestRegressor",
        "RandomTreesEmbedding",
    }
)


def check_tree(tree: Any) -> None:
    """Check the nodes of a decision tree."""
    nodes = tree.__getstate__()["nodes"]
    left, right = nodes["left_child"].astype(np.int64), nodes["right_child"].astype(np.int64)
    leaf = left == -1
    if not len(nodes):
        raise FormatRefused("a tree has no node")
    if (leaf != (right == -1)).any():
        raise FormatRefused("a node of a tree has one child")
    _check_children(left[~leaf], right[~leaf], np.flatnonzero(~leaf), len(nodes))
    _check_features(nodes["feature"][~leaf].astype(np.int64), int(tree.n_features))
    if np.isnan(nodes["threshold"][~leaf]).any():
        raise FormatRefused("a node of a tree has a threshold that is no number")


def check_owner(part: Any) -> None:
    """Check that trees take the columns that their owner, or their forest, hands them."""
    inside = getattr(part, "__dict__", {})
    if type(inside.get("tree_")).__name__ == "Tree":
        _check_width(part.tree_, part.n_features_in_)
    if type(part).__name__ not in TRUSTING or "estimators_" not in inside:
        return
    trees = np.asarray(part.estimators_, dtype=object).ravel().tolist()
    chosen = getattr(part, "estimators_features_", None) or [None] * len(trees)
    for child, features in zip(trees, chosen, strict=True):
        _check_width(child.tree_, part.n_features_in_ if features is None else len(features))


def _check_width(tree: Any, columns: int) -> None:
    if int(tree.n_features) != columns:
        raise FormatRefused("a tree takes more or fewer columns than its model")


def check_histogram_model(part: Any) -> None:
    """Check the nodes of a histogram gradient boosting model, and its sets of categories."""
    columns = int(part.n_features_in_)
    categorical = part._bin_mapper.is_categorical_
    known = np.zeros(columns, bool) if categorical is None else np.asarray(categorical, bool)
    if len(known) != columns or len(part._bin_mapper.bin_thresholds_) != columns:
        raise FormatRefused("its bins are not as many as its columns")
    for tree in [tree for stage in part._predictors for tree in stage]:
        _check_histogram_tree(tree, known)


def _check_histogram_tree(tree: Any, known: NDArray[np.bool_]) -> None:
    nodes = tree.nodes
    inner = nodes["is_leaf"] == 0
    if not len(nodes):
        raise FormatRefused("a tree has no node")
    left, right = nodes["left"].astype(np.int64), nodes["right"].astype(np.int64)
    _check_children(left[inner], right[inner], np.flatnonzero(inner), len(nodes))
    features = nodes["feature_idx"].astype(np.int64)
    _check_features(features[inner], len(known))
    sets = inner & (nodes["is_categorical"] != 0)
    many = min(len(tree.raw_left_cat_bitsets), len(tree.binned_left_cat_bitsets))
    if (nodes["bitset_idx"][sets].astype(np.int64) >= many).any() or not known[
        features[sets]
    ].all():
        raise FormatRefused("a node of a tree names a set of categories that is not there")


def check_neighbours(tree: Any) -> None:
    """Check sklearn.neighbors' binary trees: children of i are 2i+1 and 2i+2."""
    state = tree.__getstate__()
    data, order, nodes, bounds, _leaf_size, levels, count = state[:7]
    start, end = nodes["idx_start"], nodes["idx_end"]
    inner = np.flatnonzero(nodes["is_leaf"] == 0)
    rows, columns = data.shape
    corners = 2 if type(tree).__name__.startswith("KD") else 1
    if len(nodes) != count or count != 2**levels - 1:
        raise FormatRefused("a tree of neighbours has not as many nodes as it says")
    if bounds.shape != (corners, count, columns) or len(order) != rows:
        raise FormatRefused("a tree of neighbours has arrays of other sizes than its data")
    if ((start < 0) | (end < start) | (end > rows)).any() or (2 * inner + 2 >= count).any():
        raise FormatRefused("a node of a tree of neighbours leads nowhere")
    if ((order < 0) | (order >= rows)).any():
        raise FormatRefused("a tree of neighbours names rows that are not there")
    weights = state[12]
    if weights is not None and len(weights) != rows:
        raise FormatRefused("a tree of neighbours has not one weight for each row")
    _check_metric(state[11], columns)


def _check_metric(metric: Any, columns: int) -> None:
    """Weights of a distance are read as far as rows are long; metrics without hold one zero."""
    vector, matrix = metric.__getstate__()[1:3]
    if len(vector) not in (0, 1, columns) or len(matrix) not in (0, 1, columns):
        raise FormatRefused("the metric of a tree of neighbours takes other columns")
    if type(metric).__name__.startswith(("SEuclidean", "Mahalanobis")):
        weights = matrix if type(metric).__name__.startswith("Mahalanobis") else vector
        if len(weights) != columns or matrix.shape[0] != matrix.shape[1]:
            raise FormatRefused("the metric of a tree of neighbours takes other columns")


def _check_children(left: Indices, right: Indices, own: Indices, count: int) -> None:
    # A child behind its parent cannot lead back to it: no walk is longer than the tree.
    for child in (left, right):
        if (child <= own).any() or (child >= count).any():
            raise FormatRefused("a node of a tree has a child that is not behind it in the tree")


def _check_features(feature: Indices, count: int) -> None:
    if (feature < 0).any() or (feature >= count).any():
        raise FormatRefused("a node of a tree reads a column that the model does not take")
