"""Intervals of shares: Wilson's, and what follows from it for means, ratios and differences.

Unlike a bootstrap's they have a width where all rows, or none, were right, and where there are few.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot

from scipy.special import betaincinv
from scipy.stats import binomtest

from models.training.intervals import Interval


def share(hits: int, rows: int, *, confidence: float) -> Interval:
    """How many of the rows are hits, with Wilson's interval (1927)."""
    interval = binomtest(hits, rows).proportion_ci(confidence, method="wilson")
    return Interval(hits / rows, float(interval.low), float(interval.high))


def certain_share(hits: int, rows: int, *, confidence: float) -> Interval:
    """The same with Clopper and Pearson's interval (1934): of few rows, wide enough for certain."""
    doubt = (1 - confidence) / 2
    low = float(betaincinv(hits, rows - hits + 1, doubt)) if hits else 0.0
    high = float(betaincinv(hits + 1, rows - hits, 1 - doubt)) if hits < rows else 1.0
    return Interval(hits / rows, low, high)


def mean_of(parts: Sequence[Interval]) -> Interval:
    """The mean of estimates of different rows (MOVER: Zou and Donner, 2008)."""
    value = sum(each.value for each in parts) / len(parts)
    below = hypot(*(each.value - _known(each.low) for each in parts)) / len(parts)
    above = hypot(*(_known(each.high) - each.value for each in parts)) / len(parts)
    return Interval(value, value - below, value + above)


def f1_of(jaccard: Interval) -> Interval:
    """F1 of a class, of the share J that is right of the rows that are of it or were said to be.

    F1 is 2J / (1 + J), which grows with J: so do the interval's bounds.
    """
    value, low, high = (2 * each / (1 + each) for each in _three(jaccard))
    return Interval(value, low, high)


def difference(one: Interval, other: Interval) -> Interval:
    """How much greater the one is, of estimates of different rows (Newcombe's method 10, 1998)."""
    value = one.value - other.value
    below = hypot(one.value - _known(one.low), _known(other.high) - other.value)
    above = hypot(_known(one.high) - one.value, other.value - _known(other.low))
    return Interval(value, value - below, value + above)


def _three(estimate: Interval) -> tuple[float, float, float]:
    return estimate.value, _known(estimate.low), _known(estimate.high)


def _known(bound: float | None) -> float:
    assert bound is not None
    return bound
