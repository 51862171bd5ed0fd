"""Whether a lead is more than chance: the corrected resampled t-test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from models.training.intervals import corrected_error, interval_of


@dataclass(frozen=True, slots=True)
class Lead:
    """By how much one is ahead of another, over the same folds; more than zero is ahead.

    Without a second fold, nothing is known but the difference.
    """

    difference: float
    low: float | None
    high: float | None
    p_value: float | None

    def significant(self, confidence: float) -> bool:
        """Whether chance alone would give it more rarely than that."""
        return self.p_value is not None and self.p_value < 1 - confidence


def lead_of(
    ahead: Sequence[float], behind: Sequence[float], *, test_share: float, confidence: float
) -> Lead:
    """Compare two candidates' scores, fold by fold, of which more is better.

    The two-sided test of Nadeau and Bengio (Inference for the Generalization Error, Machine
    Learning 52, 2003), whose error allows for folds that share most of their rows. It is not
    corrected for how many candidates there are.
    """
    differences = np.subtract(ahead, behind)
    interval = interval_of(differences.tolist(), test_share=test_share, confidence=confidence)
    if interval.low is None:
        return Lead(interval.value, None, None, None)
    return Lead(interval.value, interval.low, interval.high, _p_value(differences, test_share))


def _p_value(differences: np.ndarray[tuple[int], np.dtype[np.float64]], share: float) -> float:
    mean, error = float(np.mean(differences)), corrected_error(differences.tolist(), share)
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stats.t.sf(abs(mean) / error, len(differences) - 1))
