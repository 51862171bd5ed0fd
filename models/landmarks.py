"""The numbers at which a fitted estimator's answer may turn, for each column of its input.

A tree's thresholds, the edges of bins, means, support vectors, known categories: nearly every
array of a fitted part that is as wide as its input says something about its columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.placements import Placed, placements

MOST_LANDMARKS: Final = 2_000  # of one column
MOST_ROWS: Final = 500  # of one array
MOST_CELLS: Final = 20_000_000  # of all columns of one model
LARGEST: Final = 1e38  # what trees and others still can cast to float32

Floats = NDArray[np.float64]
Found = Iterator[tuple[int, Any]]  # column of the part, values


def landmarks_of(estimator: Any) -> Mapping[int, Floats]:
    """Finite landmarks by column, sorted, each once; columns that nothing is known of lack."""
    gathered: dict[int, list[Floats]] = {}
    cells = 0
    for placed in placements(estimator):
        for column, values in _found(placed):
            own = placed.columns[column] if column < len(placed.columns) else None
            if own is not None and cells < MOST_CELLS:
                numbers = _mapped(placed, column, values)
                cells += len(numbers)
                gathered.setdefault(own, []).append(numbers)
    return {column: _thinned(parts) for column, parts in gathered.items()}


def _mapped(placed: Placed, column: int, values: Any) -> Floats:
    numbers = np.asarray(values, np.float64).ravel()
    numbers = numbers[np.abs(numbers) <= LARGEST]
    if placed.before and len(numbers):
        try:
            with np.errstate(all="ignore"):
                numbers = placed.back(column, numbers)
        except Exception:  # noqa: BLE001  what a scaler cannot take back is no landmark
            return np.empty(0)
    kept: Floats = numbers[np.abs(numbers) <= LARGEST]
    return kept


def _thinned(parts: list[Floats]) -> Floats:
    values = np.unique(np.concatenate(parts))
    if len(values) <= MOST_LANDMARKS:
        return values
    thinned: Floats = values[np.linspace(0, len(values) - 1, MOST_LANDMARKS).astype(int)]
    return thinned


def _found(placed: Placed) -> Found:
    for attribute, read in READERS.items():
        if getattr(placed.part, attribute, None) is not None:
            yield from read(placed)
    yield from _wide_arrays(placed)


def _tree(placed: Placed) -> Found:
    tree = placed.part.tree_
    if hasattr(tree, "threshold"):  # neighbours have a tree_ as well
        yield from _by_feature(tree.feature, tree.threshold)


def _histogram_trees(placed: Placed) -> Found:
    part = placed.part
    order = np.arange(len(placed.columns))
    if getattr(part, "_preprocessor", None) is not None:  # it puts categorical columns first
        categorical = np.asarray(part.is_categorical_, bool)
        order = np.concatenate([np.flatnonzero(categorical), np.flatnonzero(~categorical)])
    for predictor in [tree for stage in part._predictors for tree in stage]:
        inner = predictor.nodes[predictor.nodes["is_leaf"] == 0]
        yield from _by_feature(order[inner["feature_idx"]], inner["num_threshold"])


def _by_feature(features: NDArray[Any], thresholds: NDArray[Any]) -> Found:
    order = np.argsort(features, kind="stable")
    features, thresholds = features[order], thresholds[order]
    for column in np.unique(features[features >= 0]).tolist():
        start, end = np.searchsorted(features, [column, column + 1])
        yield column, thresholds[start:end]


def _categories(placed: Placed) -> Found:
    for column, count in enumerate(placed.part.n_categories_):
        yield column, np.arange(min(int(count), MOST_LANDMARKS))


def _splines(placed: Placed) -> Found:
    for column, spline in enumerate(placed.part.bsplines_):
        yield column, getattr(spline, "t", ())


def _scalar(placed: Placed) -> Found:
    if isinstance(placed.part.threshold, int | float):
        for column in range(len(placed.columns)):
            yield column, placed.part.threshold


READERS: Final[dict[str, Callable[[Placed], Found]]] = {
    "tree_": _tree,
    "_predictors": _histogram_trees,
    "bsplines_": _splines,
    "n_categories_": _categories,
    "threshold": _scalar,
}


def _wide_arrays(placed: Placed) -> Found:
    """Arrays with one row or one entry for each column: means, centres, edges, quantiles."""
    width = len(placed.columns)
    for value in list(getattr(placed.part, "__dict__", {}).values()):
        if hasattr(value, "tocsr") and value.shape[1:] == (width,):
            value = value[:MOST_ROWS].toarray()
        if isinstance(value, np.ndarray) and value.dtype.kind in "iuf":
            yield from _of_array(value, width)
        elif isinstance(value, list | np.ndarray) and len(value) == width:
            yield from _of_list(value)


def _of_array(array: NDArray[Any], width: int) -> Found:
    if array.ndim == 1 and width == 1:
        yield 0, array[:MOST_LANDMARKS]
    elif array.ndim == 1 and len(array) == width:
        yield from enumerate(array)
    elif array.ndim == 2 and array.shape[1] == width:
        rows = array[np.linspace(0, len(array) - 1, min(len(array), MOST_ROWS)).astype(int)]
        yield from enumerate(rows.T)


def _of_list(several: Any) -> Found:
    for column, values in enumerate(several):
        if isinstance(values, np.ndarray) and values.dtype.kind in "iufO" and values.ndim == 1:
            yield column, [value for value in values.tolist() if type(value) in (int, float)]
