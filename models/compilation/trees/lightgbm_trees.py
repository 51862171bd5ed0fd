"""Takes LightGBM's models apart, from the text that it writes itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.compilation.trees.ensemble import Arrays, Floats, Tree, ensemble_of, reachable
from models.compilation.trees.readings import LIGHTGBM
from models.errors import EstimatorNotHeld
from models.labels import plain_labels

Section = Mapping[str, str]
CATEGORICAL, DEFAULT_LEFT = 1, 2
NEVER, ZERO, NAN = 0, 1, 2  # what is missing to a node
WORD_BITS: Final = 32
TOTAL: Final = frozenset(
    {
        "regression",
        "regression_l1",
        "huber",
        "fair",
        "quantile",
        "mape",
        "lambdarank",
        "rank_xendcg",
        "custom",
    }
)
EXPONENTIAL: Final = frozenset({"poisson", "gamma", "tweedie"})


def lightgbm_arrays(estimator: Any) -> Arrays:
    """A model of LightGBM's scikit-learn interface, or a booster."""
    booster = getattr(estimator, "booster_", estimator)
    if getattr(booster, "pandas_categorical", None):
        raise EstimatorNotHeld("it knows its categories by name")
    header, sections = _read(booster.model_to_string())
    width = int(header["num_tree_per_iteration"])
    read = [_nodes(section) for section in sections]
    features = int(header["max_feature_idx"]) + 1
    averaged = "average_output" in header
    ensemble = ensemble_of(
        [tree for tree, _ in read],
        features=features,
        width=width,
        columns=None if width == 1 else list(range(width)) * (len(read) // width),
    )
    return {
        **ensemble.as_arrays(),
        **_reading([missing for _, missing in read]),
        **_outcome(estimator, header, width, averaged=averaged),
    }


def _read(text: str) -> tuple[Section, list[Section]]:
    """The lines before the trees, and those of each tree."""
    body, end, _ = text.partition("\nend of trees")
    first, *trees = body.split("\nTree=")
    if not end or not trees:
        raise EstimatorNotHeld("it has no trees")
    return _lines(first), [_lines(tree) for tree in trees]


def _lines(text: str) -> Section:
    pairs = (line.partition("=") for line in text.splitlines())
    return {name: value for name, _, value in pairs if name}


def _numbers(section: Section, name: str, dtype: Any) -> NDArray[Any]:
    return np.array(section.get(name, "").split(), dtype)


def _nodes(section: Section) -> tuple[Tree, Mapping[int, set[int]]]:
    """One tree, and what is missing to its nodes, by column."""
    if section.get("is_linear", "0") != "0":
        raise EstimatorNotHeld("its leaves are linear models")
    leaves = _numbers(section, "leaf_value", np.float64)
    inner = len(leaves) - 1
    both = [_numbers(section, f"{side}_child", np.int64) for side in ("left", "right")]
    # Leaves are counted on their own, from -1 downwards: here they follow the other nodes.
    left, right = (
        np.concatenate([np.where(side < 0, inner - 1 - side, side), np.full(len(leaves), -1)])
        for side in both
    )
    order, place = reachable(left, right)
    leaf = order >= inner
    node = np.where(leaf, 0, order)
    kinds, features, thresholds = (
        np.concatenate([_numbers(section, name, dtype), np.zeros(len(leaves), dtype)])
        for name, dtype in (
            ("decision_type", np.int64),
            ("split_feature", np.int64),
            ("threshold", np.float64),
        )
    )
    categorical = ~leaf & ((kinds[node] & CATEGORICAL) != 0)
    missing = kinds[node] >> 2 & 3
    default_left = (kinds[node] & DEFAULT_LEFT) != 0
    # Where nothing is missing NaN is zero; a category that is missing is in no set.
    default_left = np.where(missing == NEVER, thresholds[node] >= 0, default_left)
    tree = Tree(
        left=np.where(leaf, -1, place[left[order]]),
        right=np.where(leaf, -1, place[right[order]]),
        feature=np.where(leaf, 0, features[node]),
        threshold=np.where(leaf | categorical, 0.0, thresholds[node]),
        default_left=default_left & ~categorical & ~leaf,
        leaves=leaves[order[leaf] - inner].reshape(-1, 1),
        sets=_sets(section, thresholds, place, kinds[:inner]),
    )
    numerical = ~leaf & ~categorical
    return tree, _kinds(features[node], missing, numerical, categorical)


def _kinds(
    features: NDArray[np.int64],
    missing: NDArray[np.int64],
    numerical: NDArray[np.bool_],
    categorical: NDArray[np.bool_],
) -> Mapping[int, set[int]]:
    found: dict[int, set[int]] = {}
    for which, kinds in ((numerical, missing), (categorical, np.full(len(missing), CATEGORY))):
        for feature, kind in set(zip(features[which].tolist(), kinds[which].tolist(), strict=True)):
            found.setdefault(feature, set()).add(kind)
    return found


CATEGORY: Final = 3  # besides what is missing to nodes that test for thresholds


def _sets(
    section: Section, thresholds: Floats, place: NDArray[np.int64], kinds: NDArray[np.int64]
) -> dict[int, Sequence[int]]:
    """The categories that go to the left, by node."""
    bounds = _numbers(section, "cat_boundaries", np.int64)
    words = _numbers(section, "cat_threshold", np.uint32)
    sets: dict[int, Sequence[int]] = {}
    for node in np.flatnonzero(kinds & CATEGORICAL).tolist():
        number = int(thresholds[node])
        bits = np.unpackbits(
            words[bounds[number] : bounds[number + 1]].view(np.uint8), bitorder="little"
        )
        sets[int(place[node])] = np.flatnonzero(bits).tolist()
    return sets


def _reading(found: Sequence[Mapping[int, set[int]]]) -> Arrays:
    kinds: dict[int, set[int]] = {}
    for each in found:
        for feature, some in each.items():
            kinds.setdefault(feature, set()).update(some)
    if any(len(some) > 1 for some in kinds.values()):
        raise EstimatorNotHeld("its trees read one column in several ways")
    arrays = {"reading": np.array([LIGHTGBM])}
    for name, kind in (("zero", ZERO), ("whole", CATEGORY)):
        columns = sorted(feature for feature, some in kinds.items() if some == {kind})
        if columns:
            arrays[name] = np.array(columns, np.int64)
    return arrays


def _outcome(estimator: Any, header: Section, width: int, *, averaged: bool) -> Arrays:
    objective, *options = header.get("objective", "custom").split()
    settings = dict(option.partition(":")[::2] for option in options)
    if averaged or "sqrt" in settings:
        raise EstimatorNotHeld("its trees are averaged, or its answers squared")
    classifier = hasattr(estimator, "predict_proba")
    if objective in TOTAL | EXPONENTIAL and not classifier:
        return {"outcome": np.array(["total" if objective in TOTAL else "exponential"])}
    if objective == "binary" and width == 1:
        return _binary(estimator, float(settings.get("sigmoid", 1)), classifier=classifier)
    if objective == "multiclass" and width > 1:
        return _multiclass(estimator, classifier=classifier)
    if objective == "multiclassova" and width > 1 and classifier:
        return _one_against_all(estimator, float(settings.get("sigmoid", 1)))
    if objective == "cross_entropy" and not classifier:
        return {"outcome": np.array(["logistic"]), "numbers": np.ones(1)}
    raise EstimatorNotHeld(f"the objective {objective} is not one that this engine knows")


def _binary(estimator: Any, scale: float, *, classifier: bool) -> Arrays:
    if not classifier:
        return {"outcome": np.array(["logistic"]), "numbers": np.array([scale])}
    return {
        "outcome": np.array(["binomial"]),
        "numbers": np.array([scale, 0.0]),
        "classes": plain_labels(estimator.classes_),
        "withheld": np.array(["predict_log_proba", "decision_function"]),
    }


def _multiclass(estimator: Any, *, classifier: bool) -> Arrays:
    if not classifier:
        return {"outcome": np.array(["softmax"])}
    return {
        "outcome": np.array(["multinomial"]),
        "classes": plain_labels(estimator.classes_),
        "withheld": np.array(["predict_log_proba", "decision_function"]),
    }


def _one_against_all(estimator: Any, scale: float) -> Arrays:
    return {
        "outcome": np.array(["one against all"]),
        "numbers": np.array([scale]),
        "classes": plain_labels(estimator.classes_),
        "withheld": np.array(["predict_log_proba"]),
    }
