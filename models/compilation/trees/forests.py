"""Takes scikit-learn's trees apart, alone and in forests, bags, votes and isolation forests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.compilation.trees.ensemble import Arrays, Floats, Tree, ensemble_of
from models.compilation.trees.readings import AS_SINGLE
from models.errors import EstimatorNotHeld
from models.labels import plain_labels

Columns = NDArray[np.int64]
Leaves = Callable[[Any], Floats]


def tree_of(fitted: Any, leaves: Floats, columns: Columns | None = None) -> Tree:
    """A fitted tree whose leaves hold what is given; `columns` are those that it was shown."""
    tree = fitted.tree_
    leaf = tree.children_left == -1
    feature = np.where(leaf, 0, tree.feature)
    if columns is not None:
        feature = np.where(leaf, 0, np.asarray(columns)[feature])
    return Tree(
        left=tree.children_left,
        right=tree.children_right,
        feature=feature,
        threshold=np.where(leaf, 0.0, tree.threshold),
        default_left=(tree.missing_go_to_left != 0) & ~leaf,
        leaves=leaves,
    )


def leaf_values(fitted: Any) -> NDArray[np.float64]:
    """What a fitted tree's leaves say, as (leaves, outputs, classes)."""
    values: NDArray[np.float64] = fitted.tree_.value[fitted.tree_.children_left == -1]
    return values


def forest_arrays(estimator: Any) -> Arrays:
    """A forest, or a tree alone."""
    trees = getattr(estimator, "estimators_", None) or [estimator]
    if not hasattr(estimator, "classes_"):
        return _regressor(estimator, trees, repeat(None, len(trees)))
    if estimator.n_outputs_ > 1:
        return _several_questions(estimator, trees)
    return _classifier(estimator, trees, repeat(None, len(trees)))


def bag_arrays(estimator: Any) -> Arrays:
    """A bag of trees, each of which may have been shown some of the columns."""
    trees, shown = estimator.estimators_, estimator.estimators_features_
    kinds = {type(tree).__name__ for tree in trees}
    if not kinds <= TREES:
        raise EstimatorNotHeld(f"it holds {', '.join(sorted(kinds))}, not trees alone")
    if hasattr(estimator, "classes_"):
        arrays = _classifier(estimator, trees, shown)
        # The logarithms of a bag are added in another way than here.
        return {**arrays, "withheld": np.array(["predict_log_proba"])}
    return _regressor(estimator, trees, shown)


def isolation_arrays(estimator: Any) -> Arrays:
    """An isolation forest: its leaves hold how deep a row was parted from the others."""
    from sklearn.ensemble._iforest import _average_path_length

    trees = []
    for number, (fitted, columns) in enumerate(
        zip(estimator.estimators_, estimator.estimators_features_, strict=True)
    ):
        depths = (
            estimator._decision_path_lengths[number]
            + estimator._average_path_length_per_tree[number]
            - 1.0
        )
        leaf = fitted.tree_.children_left == -1
        trees.append(tree_of(fitted, depths[leaf].reshape(-1, 1), columns))
    usual = len(trees) * float(_average_path_length([estimator._max_samples])[0])
    return {
        **ensemble_of(trees, features=estimator.n_features_in_, width=1).as_arrays(),
        "reading": np.array([AS_SINGLE]),
        "outcome": np.array(["isolation"]),
        "numbers": np.array([usual, float(estimator.offset_)]),
    }


def vote_arrays(estimator: Any) -> Arrays:
    """AdaBoost's classifier: each leaf holds the votes of its tree."""
    classes, weights = estimator.classes_, estimator.estimator_weights_
    count = len(classes)
    if count < 2 or _kinds(estimator.estimators_) - CLASSIFIER_TREES:
        raise EstimatorNotHeld("it does not vote with trees on two labels or more")
    trees = []
    for fitted, weight in zip(estimator.estimators_, weights, strict=False):
        chosen = fitted.classes_.take(leaf_values(fitted)[:, 0].argmax(axis=1))
        votes = np.where(chosen[:, None] == classes, weight, -1 / (count - 1) * weight)
        trees.append(tree_of(fitted, votes))
    return {
        **ensemble_of(trees, features=estimator.n_features_in_, width=count).as_arrays(),
        "reading": np.array([AS_SINGLE]),
        "outcome": np.array(["votes"]),
        "classes": plain_labels(classes),
        "numbers": np.array([weights.sum()]),
    }


def median_arrays(estimator: Any) -> Arrays:
    """AdaBoost's regressor: the weighted median of its trees."""
    if _kinds(estimator.estimators_) - REGRESSOR_TREES:
        raise EstimatorNotHeld("it takes the median of others than trees")
    trees = [tree_of(fitted, leaf_values(fitted)[:, :, 0]) for fitted in estimator.estimators_]
    return {
        **ensemble_of(trees, features=estimator.n_features_in_, width=1).as_arrays(),
        "reading": np.array([AS_SINGLE]),
        "outcome": np.array(["median"]),
        "numbers": estimator.estimator_weights_[: len(trees)].astype(np.float64),
    }


def _regressor(estimator: Any, fitted: Sequence[Any], shown: Any) -> Arrays:
    trees = [
        tree_of(tree, leaf_values(tree)[:, :, 0], columns)
        for tree, columns in zip(fitted, shown, strict=True)
    ]
    width = trees[0].leaves.shape[1]
    return {
        **ensemble_of(trees, features=estimator.n_features_in_, width=width).as_arrays(),
        "reading": np.array([AS_SINGLE]),
        "outcome": np.array(["mean"]),
    }


def _classifier(estimator: Any, fitted: Sequence[Any], shown: Any) -> Arrays:
    classes = plain_labels(estimator.classes_)
    trees = [
        tree_of(tree, _probabilities(tree, len(classes)), columns)
        for tree, columns in zip(fitted, shown, strict=True)
    ]
    ensemble = ensemble_of(trees, features=estimator.n_features_in_, width=len(classes))
    return {
        **ensemble.as_arrays(),
        "reading": np.array([AS_SINGLE]),
        "outcome": np.array(["mean classes"]),
        "classes": classes,
    }


def _probabilities(tree: Any, count: int) -> Floats:
    """The probabilities in a tree's leaves; a tree in a bag may not know all labels."""
    values = leaf_values(tree)[:, 0]
    if values.shape[1] == count:
        return values
    every = np.zeros((len(values), count))
    every[:, tree.classes_.astype(np.int64)] = values
    return every


def _several_questions(estimator: Any, fitted: Sequence[Any]) -> Arrays:
    sizes = [len(classes) for classes in estimator.classes_]
    labels = [plain_labels(classes) for classes in estimator.classes_]
    if len({label.dtype.kind for label in labels}) > 1:
        raise EstimatorNotHeld("its questions have labels of several types")
    trees = [
        tree_of(tree, np.hstack([leaf_values(tree)[:, k, :n] for k, n in enumerate(sizes)]))
        for tree in fitted
    ]
    ensemble = ensemble_of(trees, features=estimator.n_features_in_, width=sum(sizes))
    return {
        **ensemble.as_arrays(),
        "reading": np.array([AS_SINGLE]),
        "outcome": np.array(["mean labels"]),
        "classes": np.concatenate(labels),
        "class_sizes": np.array(sizes, np.int64),
    }


def _kinds(fitted: Sequence[Any]) -> set[str]:
    return {type(tree).__name__ for tree in fitted}


CLASSIFIER_TREES: Final = frozenset({"DecisionTreeClassifier", "ExtraTreeClassifier"})
REGRESSOR_TREES: Final = frozenset({"DecisionTreeRegressor", "ExtraTreeRegressor"})
TREES: Final = CLASSIFIER_TREES | REGRESSOR_TREES
FORESTS: Final[Mapping[str, Callable[[Any], Arrays]]] = {
    **dict.fromkeys(TREES, forest_arrays),
    "RandomForestClassifier": forest_arrays,
    "RandomForestRegressor": forest_arrays,
    "ExtraTreesClassifier": forest_arrays,
    "ExtraTreesRegressor": forest_arrays,
    "BaggingClassifier": bag_arrays,
    "BaggingRegressor": bag_arrays,
    "IsolationForest": isolation_arrays,
    "AdaBoostClassifier": vote_arrays,
    "AdaBoostRegressor": median_arrays,
}
