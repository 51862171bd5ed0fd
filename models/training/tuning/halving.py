"""Successive halving: many trials on few rows, and of them the best third on three times as many.

As scikit-learn's HalvingRandomSearchCV does by `min_resources="exhaust"`: the last round has all
rows. Its trials can be known from an attempt before, and end with the budget.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import resample

from models.training.folds import Fold, Rows
from models.training.study import Study
from models.training.tuning.arena import BATCH, Arena, Found, Proposal
from models.training.tuning.drawing import draw

FACTOR: Final = 3
LEAST_ROWS: Final = 30


def halving_search(arena: Arena) -> Found:
    """Judge all trials on few rows, then ever fewer of them on more."""
    drawn = draw(arena.algorithm, arena.most, seed=arena.seed)
    proposals: list[Proposal] = list(enumerate(drawn))
    shares = list(_shares(len(proposals)))
    for rung, share in enumerate(shares):
        folds = [_thinned(arena.study, fold, share, arena.seed) for fold in arena.folds]
        tried = []
        while proposals:
            tried += arena.judge(proposals[:BATCH], folds=folds, rung=f"rung-{rung}/")
            proposals = proposals[BATCH:]
            if proposals and arena.spent():
                return arena.found("seconds", among=tried)
        last = rung == len(shares) - 1
        if last or arena.spent():
            return arena.found("trials" if last else "seconds", among=tried)
        for _ in range(math.ceil(len(tried) / FACTOR)):
            best = arena.best(tried)
            tried.remove(best)
            proposals.append((best.number, best.params))
        proposals.sort(key=lambda each: each[0])
    raise AssertionError("there is a last rung")


def _shares(count: int) -> Iterator[float]:
    """The share of the rows that each round fits on: as many rounds as thirds can be taken."""
    rungs = 1 + math.floor(math.log(count, FACTOR) + 1e-9)
    for rung in range(rungs):
        yield FACTOR ** (rung + 1.0 - rungs)


def _thinned(study: Study, fold: Fold, share: float, seed: int) -> Fold:
    """A fold with fewer rows to fit on, drawn so that classes keep their shares where they can."""
    train, test = fold
    count = max(min(LEAST_ROWS, len(train)), round(share * len(train)))
    if count >= len(train):
        return fold
    labels = study.target[train] if study.task == "classification" else None
    return _drawn(train, count, labels, seed), test


def _drawn(train: Rows, count: int, labels: NDArray[Any] | None, seed: int) -> Rows:
    options = {"replace": False, "n_samples": count, "random_state": seed}
    try:
        drawn = resample(train, stratify=labels, **options)
    except ValueError:  # a class of a single row has no share to keep
        drawn = resample(train, **options)
    return np.asarray(drawn, np.intp)
