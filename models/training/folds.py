"""Which rows a candidate is fitted on, and which it is judged by: the same for the same seed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    RepeatedKFold,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedShuffleSplit,
    TimeSeriesSplit,
)

from models.errors import DataRefused
from models.training.spec import Splitting
from models.training.study import Study

Rows = NDArray[np.intp]
Fold = tuple[Rows, Rows]
INNER_FOLDS: Final = 3  # by which a search judges its trials


def splitting_of(study: Study) -> Splitting:
    """How the rows are split: as said, else as what is known of them asks for."""
    if study.splitting != "auto":
        return study.splitting
    if study.groups is not None:
        return "grouped"
    if study.times is not None:
        return "time"
    return "stratified" if study.task == "classification" else "plain"


def holdout_of(study: Study) -> Fold:
    """The rows that are trained on, and those that are held out: the last, where time counts.

    Raises DataRefused where the rows are too few to be split so.
    """
    share, seed = study.spec.validation.holdout, study.spec.seed
    rows = np.arange(study.rows)
    match splitting_of(study):
        case "time":
            return _last_held(_times(study), share)
        case "grouped":
            splitter: Any = GroupShuffleSplit(1, test_size=share, random_state=seed)
        case "stratified":
            splitter = StratifiedShuffleSplit(1, test_size=share, random_state=seed)
        case _:
            splitter = ShuffleSplit(1, test_size=share, random_state=seed)
    train, held = _split(splitter, study, rows)[0]
    return np.sort(train), np.sort(held)


def folds_of(study: Study, rows: Rows, *, folds: int = 0, repeats: int = 0) -> list[Fold]:
    """The rows of each fold, out of some; as many as the spec says where nothing else is said.

    Folds by time have no repeats: there is one order of it.
    """
    folds = folds or study.spec.validation.folds
    repeats = repeats or study.spec.validation.repeats
    seed = study.spec.seed
    match splitting_of(study):
        case "time":
            return _by_time(_times(study), rows, folds)
        case "grouped":
            kind = StratifiedGroupKFold if study.task == "classification" else GroupKFold
            splitters = [
                kind(folds, shuffle=True, random_state=seed + again) for again in range(repeats)
            ]
            return [fold for splitter in splitters for fold in _split(splitter, study, rows)]
        case "stratified":
            splitter: Any = RepeatedStratifiedKFold(
                n_splits=folds, n_repeats=repeats, random_state=seed
            )
        case _:
            splitter = RepeatedKFold(n_splits=folds, n_repeats=repeats, random_state=seed)
    return _split(splitter, study, rows)


def inner_folds_of(study: Study, rows: Rows) -> list[Fold]:
    """The folds by which a search within some rows judges its trials."""
    return folds_of(study, rows, folds=min(INNER_FOLDS, study.spec.validation.folds), repeats=1)


def _split(splitter: Any, study: Study, rows: Rows) -> list[Fold]:
    groups = None if study.groups is None else study.groups[rows]
    try:
        splits = list(splitter.split(rows, study.target[rows], groups))
    except ValueError as error:
        raise DataRefused(
            f"its rows cannot be split: {error}", "give more rows, or ask for fewer folds"
        ) from error
    return [(rows[train], rows[test]) for train, test in splits]


def _times(study: Study) -> NDArray[Any]:
    if study.times is None:
        raise DataRefused("no column says when a row was", "name one in validation.time")
    return study.times


def _last_held(times: NDArray[Any], share: float) -> Fold:
    """Rows before a moment, and those from it on: no moment is on both sides."""
    order = np.argsort(times, kind="stable")
    moment = times[order[-max(1, round(share * len(order)))]]
    train, held = np.flatnonzero(times < moment), np.flatnonzero(times >= moment)
    if not len(train):
        raise DataRefused("nearly all of its rows are of one time, none is before the others")
    return train, held


def _by_time(times: NDArray[Any], rows: Rows, folds: int) -> list[Fold]:
    moments, places = np.unique(times[rows], return_inverse=True)
    return list(_successive(rows, places, len(moments), folds))


def _successive(rows: Rows, places: NDArray[Any], moments: int, folds: int) -> Iterator[Fold]:
    if moments <= folds:
        raise DataRefused(
            f"its rows are of {moments} different times, {folds} folds need more",
            "ask for fewer folds",
        )
    for train, test in TimeSeriesSplit(folds).split(np.arange(moments)):
        yield rows[np.isin(places, train)], rows[np.isin(places, test)]
