"""Takes XGBoost's models apart, from the JSON that it writes itself."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from models.compilation.trees.ensemble import (
    BELOW,
    IDENTITY,
    SINGLE,
    Arrays,
    Tree,
    ensemble_of,
    reachable,
    stump,
)
from models.compilation.trees.readings import AS_SINGLE, AS_SINGLE_UNBOUNDED
from models.errors import EstimatorNotHeld

Model = Mapping[str, Any]
Link = tuple[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]]


def xgboost_arrays(estimator: Any) -> Arrays:
    """A model of XGBoost's scikit-learn interface, or a booster."""
    wrapped = hasattr(estimator, "get_booster")
    booster = estimator.get_booster() if wrapped else estimator
    learner = orjson.loads(bytes(booster.save_raw("json")))["learner"]
    model, weights = _gradient_booster(learner["gradient_booster"], wrapped=wrapped)
    shape, objective = learner["learner_model_param"], learner["objective"]["name"]
    if objective not in OBJECTIVES or not _reads_plainly(estimator):
        raise EstimatorNotHeld(f"it has the objective {objective}, or reads rows in its own way")
    width = max(1, int(shape["num_class"])) * max(1, int(shape["num_target"]))
    kept = model["iteration_indptr"][_rounds(estimator, model)]
    link, margin = OBJECTIVES[objective]
    guesses = margin(_base_scores(shape, width)).astype(np.float64)
    kept_trees = zip(model["trees"][:kept], weights[:kept], strict=True)
    trees = [_tree(tree, weight, width) for tree, weight in kept_trees]
    several = bool(trees) and trees[0].leaves.shape[1] > 1
    first = [stump(guess) for guess in guesses.reshape((1, width) if several else (width, 1))]
    ensemble = ensemble_of(
        [*first, *trees],
        features=int(shape["num_feature"]),
        width=width,
        columns=None if several or width == 1 else [*range(width), *model["tree_info"][:kept]],
        arithmetic=SINGLE,
        test=BELOW,
        link=link,
    )
    return {**ensemble.as_arrays(), **_answers(estimator, objective, width)}


def _reads_plainly(estimator: Any) -> bool:
    missing = getattr(estimator, "missing", np.nan)
    return missing is None or bool(np.isnan(missing))


def _rounds(estimator: Any, model: Model) -> int:
    """How many rounds answer: the scikit-learn interface stops at the best one."""
    try:
        best = int(estimator.best_iteration) + 1 if hasattr(estimator, "get_booster") else 0
    except AttributeError:
        best = 0
    return best or len(model["iteration_indptr"]) - 1


def _gradient_booster(booster: Model, *, wrapped: bool) -> tuple[Model, Sequence[float]]:
    """The trees, and what each one's leaves are multiplied with."""
    if booster["name"] == "gbtree":
        model = booster["model"]
        weights = [1.0] * len(model["trees"])
    elif booster["name"] == "dart":
        if wrapped:
            raise EstimatorNotHeld("its weighted trees are added in another way than here")
        model, weights = booster["gbtree"]["model"], booster["weight_drop"]
    else:
        raise EstimatorNotHeld(f"a {booster['name']} is no ensemble of trees")
    if model.get("cats", {}).get("enc"):
        raise EstimatorNotHeld("it knows its categories by name")
    return model, weights


def _base_scores(shape: Model, width: int) -> NDArray[np.float32]:
    scores = np.array(orjson.loads(shape["base_score"]), np.float32).reshape(-1)
    return np.broadcast_to(scores, (width,))


def _tree(tree: Model, weight: float, width: int) -> Tree:
    left, right = (np.array(tree[f"{side}_children"], np.int64) for side in ("left", "right"))
    order, place = reachable(left, right)
    leaf = left[order] == -1
    conditions = np.array(tree["split_conditions"], np.float32)[order]
    leaves = _leaves(tree, order[leaf], width) * np.float32(weight)
    sets = _sets(tree, place)
    # Here a category of the set goes to the right.
    turned = np.isin(np.arange(len(order)), list(sets))
    default_left = np.array(tree["default_left"], np.bool_)[order]
    first, second = place[left[order]], place[right[order]]
    return Tree(
        left=np.where(leaf, -1, np.where(turned, second, first)),
        right=np.where(leaf, -1, np.where(turned, first, second)),
        feature=np.where(leaf, 0, np.array(tree["split_indices"], np.int64)[order]),
        threshold=np.where(leaf | turned, 0.0, conditions.astype(np.float64)),
        default_left=~leaf & (default_left != turned),
        leaves=leaves.astype(np.float64),
        sets=sets,
    )


def _leaves(tree: Model, leaves: NDArray[np.int64], width: int) -> NDArray[np.float32]:
    if int(tree["tree_param"]["size_leaf_vector"]) <= 1:
        return np.array(tree["split_conditions"], np.float32)[leaves].reshape(-1, 1)
    vectors = np.array(tree["leaf_weights"], np.float32).reshape(-1, width)
    return vectors[np.array(tree["right_children"], np.int64)[leaves]]


def _sets(tree: Model, place: NDArray[np.int64]) -> dict[int, list[int]]:
    parts = zip(
        tree["categories_nodes"],
        tree["categories_segments"],
        tree["categories_sizes"],
        strict=True,
    )
    values = tree["categories"]
    return {int(place[node]): values[start : start + size] for node, start, size in parts}


def _answers(estimator: Any, objective: str, width: int) -> Arrays:
    """How rows are read, and what is answered."""
    # The scikit-learn interface lets infinity pass, a booster refuses it.
    reading = AS_SINGLE_UNBOUNDED if hasattr(estimator, "get_booster") else AS_SINGLE
    arrays = {"reading": np.array([reading])}
    if not hasattr(estimator, "n_classes_"):
        if objective == "multi:softmax":
            raise EstimatorNotHeld("it answers labels as numbers")
        chance = objective in ("binary:logistic", "reg:logistic")
        return {**arrays, "outcome": np.array(["chance" if chance else "total"])}
    classes = int(estimator.n_classes_)
    if classes == 2 and width == 1 and objective == "binary:logistic":
        return {**arrays, "outcome": np.array(["odds"]), "classes": np.arange(2)}
    if classes != width or not objective.startswith("multi:"):
        raise EstimatorNotHeld("its classes are not told by one score each, or by one of two")
    outcome = "shares" if objective == "multi:softprob" else "multinomial"
    return {
        **arrays,
        "outcome": np.array([outcome]),
        "classes": np.arange(classes),
        "withheld": np.array(["predict_log_proba", "decision_function"]),
    }


def _same(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    return scores


def _logit(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    return -_log(np.float32(1) / scores - np.float32(1))


def _log(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """The C library's logarithm of float32, which XGBoost takes."""
    log = ctypes.CDLL(None).logf
    log.restype, log.argtypes = ctypes.c_float, (ctypes.c_float,)
    return np.array([log(score) for score in scores.tolist()], np.float32)


OBJECTIVES: Final[Mapping[str, Link]] = {
    **dict.fromkeys(
        (
            "reg:squarederror",
            "reg:absoluteerror",
            "reg:pseudohubererror",
            "reg:quantileerror",
            "reg:squaredlogerror",
            "rank:ndcg",
            "rank:map",
            "rank:pairwise",
            "binary:logitraw",
            "multi:softmax",
        ),
        (IDENTITY, _same),
    ),
    **dict.fromkeys(("binary:logistic", "reg:logistic"), ("sigmoid", _logit)),
    **dict.fromkeys(
        ("count:poisson", "reg:gamma", "reg:tweedie", "survival:cox", "survival:aft"),
        ("exponential", _log),
    ),
    "multi:softprob": ("softmax", _same),
}
