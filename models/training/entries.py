"""Candidates that were compared: their scores on the same folds, and what they cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.training.fitting import Judged
from models.training.folds import Fold
from models.training.measures import measure_of
from models.training.serving_cost import Serving
from models.training.significance import Lead, lead_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One candidate; `scores` has the metrics of each fold, `failed` why it cannot be chosen.

    `unconverged` of its folds stopped while it was still learning. A tuned one's scores are those
    of its search, repeated on the rows of each fold: `fold_params` are what was found there.
    """

    algorithm: str
    title: str
    params: Mapping[str, Any] = field(default_factory=dict)
    baseline: bool = False
    tuned: bool = False
    failed: str | None = None
    scores: Sequence[Mapping[str, float]] = ()
    unconverged: int = 0
    fold_params: Sequence[Mapping[str, Any]] = ()
    fit_seconds: float | None = None
    serving: Serving | None = None

    def of(self, metric: str) -> list[float | None]:
        """One metric, fold by fold; None where the fold cannot tell it."""
        return [each.get(metric) for each in self.scores]

    def mean(self, metric: str) -> float:
        """The mean of a metric over folds; not a number without one."""
        known = [value for value in self.of(metric) if value is not None]
        return float(np.mean(known)) if known else math.nan


@dataclass(frozen=True, slots=True)
class Ranking:
    """How entries are compared: by a metric, on folds, with a confidence."""

    metric: str
    test_share: float
    confidence: float

    @property
    def greater_is_better(self) -> bool:
        """Which way is better."""
        measure = measure_of(self.metric)
        return measure is None or measure.greater_is_better

    def order(self, entries: Sequence[Entry]) -> list[Entry]:
        """The best first, those that failed last; alike ones stay in their order."""
        sign = -1 if self.greater_is_better else 1

        def place(entry: Entry) -> tuple[bool, float]:
            mean = entry.mean(self.metric)
            return (True, 0.0) if math.isnan(mean) else (False, sign * mean)

        return sorted(entries, key=lambda entry: (entry.failed is not None, *place(entry)))

    def lead(self, ahead: Entry, behind: Entry) -> Lead | None:
        """By how much one is better than another, on the folds that tell of both."""
        pairs = [
            (some, other)
            for some, other in zip(ahead.of(self.metric), behind.of(self.metric), strict=False)
            if some is not None and other is not None
        ]
        if not pairs:
            return None
        sign = 1 if self.greater_is_better else -1
        return lead_of(
            [sign * some for some, _ in pairs],
            [sign * other for _, other in pairs],
            test_share=self.test_share,
            confidence=self.confidence,
        )


def share_judged_by(folds: Sequence[Fold]) -> float:
    """The rows judged by over the rows fitted on, on average."""
    return float(np.mean([len(test) / len(train) for train, test in folds]))


def failure_in(judged: Sequence[Judged], metric: str) -> str | None:
    """Why a candidate that was judged on every fold cannot be compared; None if it can."""
    for at, each in enumerate(judged, 1):
        if "failed" in each:
            return f"fold {at}: {each['failed']}"
    if not any(metric in each["scores"] for each in judged):
        return f"it has no {metric}: it gives no probabilities, or no fold has two classes"
    return None
