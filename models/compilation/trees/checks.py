"""Whether arrays mean an ensemble: native code follows its indices unchecked.

A child that is not behind its parent makes a prediction walk in a circle, an index out of range
makes it read outside its memory. So nothing is built from arrays that were not looked through.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.compilation.trees.ensemble import (
    ALWAYS,
    AT_MOST,
    BELOW,
    DOUBLE,
    LARGEST,
    LINKS,
    NAMES,
    SINGLE,
    SOMETIMES,
    Arrays,
    Ensemble,
)
from models.errors import ArraysMalformed

MOST_TREES: Final = 100_000
# A worker answers others meanwhile: a model that takes longer than this for a row, which is some
# tens of milliseconds, is for a host and its deadlines.
MOST_DEPTH: Final = 4_096
MOST_STEPS: Final = 1_000_000
MOST_FEATURES: Final = 1_000_000
MOST_WIDTH: Final = 65_536
MOST_CATEGORY: Final = 2**24  # the largest that float32 tells from its neighbours
DTYPES: Final = {
    "extent": np.int64,
    **dict.fromkeys(("sizes", "left", "right", "feature", "column"), np.int32),
    **dict.fromkeys(("threshold", "leaves"), np.float64),
    "default_left": np.bool_,
    **dict.fromkeys(("set_nodes", "set_sizes", "set_values"), np.int64),
}


def checked_ensemble(arrays: Arrays) -> Ensemble:
    """Read an ensemble from the arrays that name it; raises ArraysMalformed."""
    _check_forms(arrays)
    features, width = arrays["extent"].tolist()
    given: dict[str, Any] = {n: arrays[n] for n in (*ALWAYS, *SOMETIMES) if n in arrays}
    ensemble = Ensemble(
        features=features,
        width=width,
        arithmetic=str(arrays["arithmetic"][0]),
        test=str(arrays["test"][0]),
        link=str(arrays["link"][0]),
        **given,
    )
    _check_extent(ensemble)
    _check_children(ensemble)
    depth, steps = _check_depth(ensemble)
    _check_leaves(ensemble)
    _check_sets(ensemble)
    _check_precision(ensemble)
    return replace(ensemble, steps=steps, depth=depth)


def _require(holds: object, problem: str) -> None:
    if not holds:
        raise ArraysMalformed(problem)


def _check_forms(arrays: Arrays) -> None:
    missing = set(NAMES) - set(SOMETIMES) - arrays.keys()
    _require(not missing, f"trees have no {', '.join(sorted(missing))}")
    for name, dtype in DTYPES.items():
        if name in arrays:
            _require(arrays[name].dtype == dtype, f"{name} has the dtype {arrays[name].dtype}")
            dimensions = 2 if name == "leaves" else 1
            _require(arrays[name].ndim == dimensions, f"{name} has not {dimensions} dimensions")
    _require(arrays["extent"].shape == (2,), "extent is not two numbers")
    for name, known in (
        ("arithmetic", (SINGLE, DOUBLE)),
        ("test", (AT_MOST, BELOW)),
        ("link", LINKS),
    ):
        _require(arrays[name].tolist() in [[value] for value in known], f"{name} is unknown")


def _check_extent(trees: Ensemble) -> None:
    _require(0 < trees.features <= MOST_FEATURES, "there are no columns, or too many")
    _require(0 < trees.width <= MOST_WIDTH, "there are no sums, or too many")
    _require(0 < trees.trees <= MOST_TREES, "there are no trees, or too many")
    nodes = len(trees.left)
    _require((trees.sizes > 0).all(), "a tree has no nodes")
    _require(int(trees.sizes.sum(dtype=np.int64)) == nodes, "there are not as many nodes as said")
    each = (trees.right, trees.feature, trees.threshold, trees.default_left)
    _require({len(array) for array in each} == {nodes}, "not every node has all its numbers")
    _require((trees.feature >= 0).all(), "a node reads a column that is not there")
    _require((trees.feature < trees.features).all(), "a node reads a column that is not there")


def _check_children(trees: Ensemble) -> None:
    leaf = trees.left == -1
    _require(((trees.right == -1) == leaf).all(), "a node has one child")
    inner = np.flatnonzero(~leaf)
    starts = np.repeat(trees.starts, trees.sizes)[inner]
    sizes = np.repeat(trees.sizes, trees.sizes)[inner]
    children = [trees.left[inner].astype(np.int64), trees.right[inner].astype(np.int64)]
    for child in children:
        # A child behind its parent cannot lead back to it: no walk is longer than the tree.
        _require((child > inner - starts).all(), "a child is not behind its parent")
        _require((child < sizes).all(), "a child is not in its tree")
    reached = [trees.starts, *(child + starts for child in children)]
    times = np.bincount(np.concatenate(reached), minlength=len(leaf))
    _require((times == 1).all(), "a node is not the child of exactly one other")


def _check_depth(trees: Ensemble) -> tuple[int, int]:
    """How many nodes a row passes at most, in one tree and in all; raises ArraysMalformed."""
    starts = np.repeat(trees.starts, trees.sizes)
    number = np.repeat(np.arange(trees.trees), trees.sizes)
    level, steps = trees.starts, 0
    for depth in range(MOST_DEPTH):
        level = level[trees.left[level] != -1]
        if not len(level):
            return depth, steps
        steps += int(np.count_nonzero(np.bincount(number[level])))
        _require(steps <= MOST_STEPS, f"a row's ways are longer than {MOST_STEPS} nodes")
        left, right = trees.left[level], trees.right[level]
        level = np.concatenate([starts[level] + left, starts[level] + right])
    raise ArraysMalformed(f"a tree is deeper than {MOST_DEPTH} nodes")


def _check_leaves(trees: Ensemble) -> None:
    rows, width = trees.leaves.shape
    _require(rows == np.count_nonzero(trees.left == -1), "there are not as many leaves as said")
    if trees.column is None:
        _require(width == trees.width, "a leaf has not one number for each sum")
        return
    _require(width == 1, "a leaf that adds to one sum has several numbers")
    _require(len(trees.column) == trees.trees, "not every tree has its sum")
    _require((trees.column >= 0).all(), "a tree adds to a sum that is not there")
    _require((trees.column < trees.width).all(), "a tree adds to a sum that is not there")


def _check_sets(trees: Ensemble) -> None:
    parts = (trees.set_nodes, trees.set_sizes, trees.set_values)
    if all(part is None for part in parts):
        return
    nodes, sizes, values = (_given(part) for part in parts)
    _require(len(nodes) == len(sizes), "not every set of categories has its size")
    _require((np.diff(nodes) > 0).all(), "sets of categories are not in the order of nodes")
    _require(nodes[0] >= 0 and nodes[-1] < len(trees.left), "a set belongs to no node")
    _require((trees.left[nodes] != -1).all(), "a leaf has a set of categories")
    _require((sizes >= 0).all() and (sizes <= len(values)).all(), "a set has no such size")
    _require(int(sizes.sum()) == len(values), "sets have not as many categories as said")
    _require((values >= 0).all() and (values < MOST_CATEGORY).all(), "there is no such category")


def _given(part: NDArray[Any] | None) -> NDArray[Any]:
    _require(part is not None, "sets of categories lack a part")
    assert part is not None
    return part


def _check_precision(trees: Ensemble) -> None:
    _require(np.isfinite(trees.threshold).all(), "a threshold is not finite")
    _require(np.isfinite(trees.leaves).all(), "a leaf is not finite")
    if trees.arithmetic == SINGLE:
        for numbers in (trees.threshold, trees.leaves):
            held = numbers[np.abs(numbers) != LARGEST]
            with np.errstate(over="ignore"):
                same = held.astype(np.float32) == held
            _require(same.all(), "a number is no float32")
