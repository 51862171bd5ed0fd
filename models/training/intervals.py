"""How far a mean over folds may be from the truth: the folds share rows, and are no fresh draws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import stats

LOWEST: Final = {"r2": -math.inf}
UNBOUNDED: Final = frozenset(
    {"log_loss", "mae", "rmse", "mape", "quantile_loss_10", "quantile_loss_50", "quantile_loss_90"}
)


@dataclass(frozen=True, slots=True)
class Interval:
    """A value, and between what it is likely to be; None where one value says nothing of that."""

    value: float
    low: float | None
    high: float | None


def corrected_error(scores: Sequence[float], test_share: float) -> float:
    """The standard error of a mean over folds.

    `test_share` is the rows judged by over the rows fitted on. The variance over k folds is
    multiplied by 1/k + `test_share`, not by 1/k alone (Nadeau and Bengio, Inference for the
    Generalization Error, Machine Learning 52, 2003, section 5; for repeated folds Bouckaert and
    Frank, PAKDD 2004).
    """
    return math.sqrt((1 / len(scores) + test_share) * float(np.var(scores, ddof=1)))


def interval_of(scores: Sequence[float], *, test_share: float, confidence: float) -> Interval:
    """The mean of some folds' scores and its interval, by Student's t with k - 1 degrees."""
    mean = float(np.mean(scores))
    if len(scores) < 2:
        return Interval(mean, None, None)
    width = float(stats.t.ppf((1 + confidence) / 2, len(scores) - 1))
    width *= corrected_error(scores, test_share)
    return Interval(mean, mean - width, mean + width)


def within_range(name: str, interval: Interval) -> Interval:
    """An interval cut to what a metric can be: a share is no more than one."""
    low = LOWEST.get(name, 0.0)
    high = math.inf if name in UNBOUNDED else 1.0
    if interval.low is None or interval.high is None:
        return interval
    return Interval(interval.value, max(low, interval.low), min(high, interval.high))
