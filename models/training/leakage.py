"""Features that know the target: what is there when a model is asked can hardly be so good.

A feature is judged alone, by a small tree that predicts rows that it was not fitted on. What is
found is told and not acted upon, but for a copy of the target, which is left out.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.feature_selection import f_classif, f_regression
from sklearn.metrics import balanced_accuracy_score, r2_score
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from models.training.cells import as_texts
from models.training.findings import note, warning
from models.training.spec import Task
from models.training.study import Finding

FOLDS: Final = 3
ROWS_TRIED: Final = 2_000
COLUMNS_TRIED: Final = 100
LEAVES: Final = 64
TOO_GOOD: Final = 0.99
HOPELESS: Final = 0.9  # of one fold: then the mean of all is not too good
ASK: Final = "ask whether it is known before the target is; if not, call it drop"


def is_copy(cells: NDArray[Any], target: NDArray[Any]) -> bool:
    """Whether a column says what the target says, in each row and in the same words."""
    if cells.dtype != object:
        numbers = target.dtype.kind in "biuf"
        return numbers and bool(np.array_equal(cells.astype(np.float64), target, equal_nan=True))
    return bool(as_texts(cells).tolist() == as_texts(target.astype(object)).tolist())


def find_leakage(
    features: pd.DataFrame, target: NDArray[Any], *, name: str, task: Task, seed: int
) -> tuple[Finding, ...]:
    """Tell of features that predict the target nearly without fault, and of names that hint."""
    rows = _tried(target, task, seed)
    coded = {str(each): _coded(features[each])[rows] for each in features.columns}
    tried = _likeliest(coded, target[rows], task)
    found = {each: _score(coded[each], target[rows], task, seed) for each in tried}
    measure = "balanced accuracy" if task == "classification" else "R² or squared rank correlation"
    leaks = tuple(
        warning(each, f"alone it predicts the target with a {measure} of {score:.3f}", ASK)
        for each, score in found.items()
        if score >= TOO_GOOD
    )
    told = {leak.where for leak in leaks}
    hints = (each for each in coded if each not in told and _hints(each, name))
    return leaks + tuple(note(each, "it is called like the target", ASK) for each in hints)


def _tried(target: NDArray[Any], task: Task, seed: int) -> NDArray[np.int64]:
    """Some rows; of a classification those whose label is there often enough to be judged."""
    rows = np.arange(len(target))
    if len(rows) > ROWS_TRIED:
        drawn = np.random.default_rng(seed).choice(len(rows), ROWS_TRIED, replace=False)
        rows = np.sort(drawn)
    if task == "classification":
        _, codes, counts = np.unique(target[rows], return_inverse=True, return_counts=True)
        rows = rows[counts[codes] >= FOLDS]
    return rows


def _coded(column: pd.Series) -> NDArray[np.float64]:
    """A column as numbers: texts by their order."""
    if column.dtype != object:
        return np.asarray(column, np.float64)
    codes: NDArray[np.float64] = pd.factorize(column, sort=True)[0].astype(np.float64)
    codes[codes < 0] = np.nan
    return codes


def _likeliest(
    coded: dict[str, NDArray[np.float64]], target: NDArray[Any], task: Task
) -> tuple[str, ...]:
    """The features to try: of very many, those that a straight line finds most in."""
    if len(coded) <= COLUMNS_TRIED:
        return tuple(coded)
    filled = [np.nan_to_num(column, nan=np.nanmedian(column)) for column in coded.values()]
    judge = f_classif if task == "classification" else f_regression
    with np.errstate(all="ignore"):
        strength = np.nan_to_num(judge(np.column_stack(filled), target)[0], posinf=1e300)
    best = np.argsort(-strength, kind="stable")[:COLUMNS_TRIED]
    names = tuple(coded)
    return tuple(names[at] for at in sorted(best.tolist()))


def _score(column: NDArray[np.float64], target: NDArray[Any], task: Task, seed: int) -> float:
    """How well a small tree does on rows that it was not fitted on: of folds, as many as matter."""
    if len(np.unique(target)) < 2 or np.isnan(column).all():
        return 0.0
    rows, classifies = column[:, np.newaxis], task == "classification"
    kind = DecisionTreeClassifier if classifies else DecisionTreeRegressor
    judge = balanced_accuracy_score if classifies else r2_score
    folds = (StratifiedKFold if classifies else KFold)(FOLDS, shuffle=True, random_state=seed)
    scores: list[float] = []
    for fitted, judged in folds.split(rows, target):
        tree = kind(max_leaf_nodes=LEAVES, random_state=seed).fit(rows[fitted], target[fitted])
        scores.append(float(judge(target[judged], tree.predict(rows[judged]))))
        if scores[-1] < HOPELESS:
            break
    found = float(np.mean(scores))
    return found if classifies else max(found, _alike(column, target))


def _alike(column: NDArray[np.float64], target: NDArray[Any]) -> float:
    """The square of how alike two columns order their rows: a tree needs many to follow a line."""
    known = ~np.isnan(column)
    if len(np.unique(column[known])) < 2 or len(np.unique(target[known])) < 2:
        return 0.0
    ranks = np.corrcoef(rankdata(column[known]), rankdata(target[known]))
    return float(ranks[0, 1] ** 2)


def _hints(column: str, target: str) -> bool:
    plain = target.strip().casefold()
    return len(plain) >= 3 and plain in column.casefold()
