"""XGBoost's own files, looked through before XGBoost reads them.

Its code follows the indices of a file's trees without a look: whatever is not a tree, or reads a
column that is not there, is refused here. Source of the structure: XGBoost's doc/model.schema.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from models.errors import FormatRefused
from models.soundness.trees_in_arrays import refuse_no_tree
from models.soundness.ubjson import read_ubjson

MOST_COLUMNS: Final = 1_000_000
MOST_GROUPS: Final = 100_000
NO_CHILD: Final = -1
SINGLE_OUTPUT: Final = "1"

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class XgboostDocument:
    """What is needed of a file to serve it; `thresholds` are by column, `groups` its outputs."""

    version: str
    objective: str
    booster: str
    columns: int
    groups: int
    feature_names: tuple[str, ...] | None
    thresholds: tuple[NDArray[np.float64], ...]


def read_xgboost(data: bytes) -> XgboostDocument:
    """Check a file in JSON or binary JSON; raises FormatRefused saying what is wrong with it."""
    return _checked(data, within=None)


def check_xgboost_snapshot(data: bytes) -> None:
    """Check what a booster is within a pickle or skops file; raises FormatRefused."""
    _checked(data, within="Model")


def _checked(data: bytes, *, within: str | None) -> XgboostDocument:
    try:
        document = _parsed(data)
        return _read(document if within is None else document[within])
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise FormatRefused(f"it is not made like an XGBoost file: {error}"[:300]) from error


def _parsed(data: bytes) -> Any:
    if data[:1] == b"{" and data[1:2] in (b"L", b"i", b"U", b"I", b"l"):
        return read_ubjson(data)
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise FormatRefused("its JSON is broken") from error


def _read(document: Mapping[str, Any]) -> XgboostDocument:
    learner = document["learner"]
    sizes = learner["learner_model_param"]
    columns = _bounded(sizes["num_feature"], 1, MOST_COLUMNS)
    groups = _bounded(sizes["num_class"], 0, MOST_GROUPS) or 1
    if str(sizes.get("num_target", "1")) != SINGLE_OUTPUT:
        groups = max(groups, _bounded(sizes["num_target"], 1, MOST_GROUPS))
    booster = learner["gradient_booster"]
    thresholds = _check_booster(booster, columns, groups)
    names = tuple(str(name) for name in learner.get("feature_names", ()))
    if names and len(names) != columns:
        raise FormatRefused("it names another number of columns than it takes")
    return XgboostDocument(
        version=".".join(str(int(part)) for part in document["version"]),
        objective=str(learner["objective"]["name"]),
        booster=str(booster["name"]),
        columns=columns,
        groups=groups,
        feature_names=names or None,
        thresholds=thresholds,
    )


def _check_booster(
    booster: Mapping[str, Any], columns: int, groups: int
) -> tuple[NDArray[np.float64], ...]:
    name = booster["name"]
    if name == "gblinear":
        if len(booster["model"]["weights"]) != (columns + 1) * groups:
            raise FormatRefused("it has not one weight for each column")
        return ()
    if name not in {"gbtree", "dart"}:
        raise FormatRefused(f"its booster {str(name)[:40]!r} is not known")
    model = (booster["gbtree"] if name == "dart" else booster)["model"]
    trees = model["trees"]
    if name == "dart" and len(booster["weight_drop"]) != len(trees):
        raise FormatRefused("it has not one weight for each tree")
    _check_model(model, len(trees), groups)
    found = [_check_tree(tree, columns) for tree in trees]
    features = np.concatenate([feature for feature, _ in found] or [np.empty(0, np.int64)])
    values = np.concatenate([value for _, value in found] or [np.empty(0)])
    order = np.argsort(features, kind="stable")
    edges = np.searchsorted(features[order], np.arange(1, columns))
    return tuple(np.unique(part) for part in np.split(values[order], edges))


def _check_model(model: Mapping[str, Any], trees: int, groups: int) -> None:
    if model.get("cats", {}).get("enc"):
        raise FormatRefused(
            "its categories are those of a pandas frame", "train it on their codes instead"
        )
    if _bounded(model["gbtree_model_param"]["num_trees"], 0, trees) != trees:
        raise FormatRefused("it has not as many trees as it says")
    info = _integers(model["tree_info"], trees)
    if ((info < 0) | (info >= groups)).any():
        raise FormatRefused("a tree of it adds to an output that is not there")
    rounds = _integers(model.get("iteration_indptr", [0, trees]))
    if len(rounds) and (rounds[0] != 0 or rounds[-1] != trees or (np.diff(rounds) < 0).any()):
        raise FormatRefused("its rounds do not name its trees in order")


def _check_tree(tree: Mapping[str, Any], columns: int) -> tuple[Integers, NDArray[np.float64]]:
    """The columns and thresholds of a tree's inner nodes."""
    sizes = tree["tree_param"]
    nodes = len(tree["left_children"])
    if str(sizes.get("size_leaf_vector", "1")) not in {"0", SINGLE_OUTPUT}:
        raise FormatRefused("its leaves hold several outputs, which is not taken")
    if _bounded(sizes["num_nodes"], 1, 2**31 - 1) != nodes:
        raise FormatRefused("a tree of it has not as many nodes as it says")
    left = _integers(tree["left_children"], nodes)
    right = _integers(tree["right_children"], nodes)
    feature = _integers(tree["split_indices"], nodes)
    values = np.asarray(tree["split_conditions"], np.float64)
    kinds = _integers(tree.get("split_type", np.zeros(nodes, np.int64)), nodes)
    for name in ("default_left", "base_weights", "loss_changes", "sum_hessian", "parents"):
        if len(tree[name]) != nodes:
            raise FormatRefused(f"a tree of it has not one of {name} for each node")
    if (
        values.shape != (nodes,)
        or np.isnan(values).any()
        or np.isin(kinds, (0, 1), invert=True).any()
    ):
        raise FormatRefused("a tree of it has a threshold that is no number")
    refuse_no_tree(left, right, leaf=NO_CHILD)
    inner = left != NO_CHILD
    if ((feature < 0) | (feature >= columns))[inner].any():
        raise FormatRefused("a node of it reads a column that it does not take")
    _check_categories(tree, inner & (kinds == 1))
    numeric = inner & (kinds == 0)
    return feature[numeric], values[numeric]


def _check_categories(tree: Mapping[str, Any], inner: NDArray[np.bool_]) -> None:
    """Sets of categories: those of each node are a segment of one list."""
    own = _integers(tree.get("categories_nodes", ()))
    starts = _integers(tree.get("categories_segments", ()), len(own))
    sizes = _integers(tree.get("categories_sizes", ()), len(own))
    values = _integers(tree.get("categories", ()))
    ends = starts + sizes
    wrong = (starts < 0) | (sizes < 0) | (ends > len(values))
    if wrong.any() or (values < 0).any() or (values >= 2**24).any():
        raise FormatRefused("a set of categories of it lies outside of its list")
    if not np.array_equal(np.sort(own), np.flatnonzero(inner)):
        raise FormatRefused("it has not one set of categories for each node that needs one")


def _integers(values: Sequence[Any], length: int | None = None) -> Integers:
    numbers = np.asarray(values)
    if numbers.size and numbers.dtype.kind not in "iub":
        raise FormatRefused("a list of it that holds indices holds other things")
    if numbers.ndim != 1 or (length is not None and len(numbers) != length):
        raise FormatRefused("a list of it has another length than its trees need")
    return numbers.astype(np.int64)


def _bounded(text: Any, least: int, most: int) -> int:
    number = int(text)
    if not least <= number <= most:
        raise FormatRefused(f"a size of it is {number}")
    return number
