"""The corrected resampled t-test, and the intervals that go with it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from models.training.intervals import Interval, interval_of, within_range
from models.training.significance import lead_of

AHEAD = [0.91, 0.93, 0.90, 0.95, 0.92]
BEHIND = [0.90, 0.90, 0.91, 0.91, 0.90]


def test_lead_is_tested_as_nadeau_and_bengio_say() -> None:
    differences = np.array(AHEAD) - np.array(BEHIND)
    # Written out as in their paper: k folds, each of 20 rows judged by a fit to 80.
    spread = (1 / 5 + 20 / 80) * differences.var(ddof=1)
    statistic = differences.mean() / math.sqrt(spread)
    margin = stats.t.ppf(0.975, 4) * math.sqrt(spread)

    lead = lead_of(AHEAD, BEHIND, test_share=20 / 80, confidence=0.95)

    assert lead.difference == pytest.approx(0.018)
    assert lead.p_value == pytest.approx(2 * (1 - stats.t.cdf(statistic, 4)))
    assert lead.low == pytest.approx(0.018 - margin)
    assert lead.high == pytest.approx(0.018 + margin)


def test_correction_makes_a_lead_less_certain_than_the_ordinary_test() -> None:
    lead = lead_of(AHEAD, BEHIND, test_share=0.25, confidence=0.95)

    assert lead.p_value is not None
    assert lead.p_value > stats.ttest_rel(AHEAD, BEHIND).pvalue


def test_interval_excludes_nothing_exactly_where_the_lead_is_significant() -> None:
    for shift in (0.0, 0.01, 0.02, 0.05):
        lead = lead_of([s + shift for s in AHEAD], BEHIND, test_share=0.25, confidence=0.9)
        assert lead.low is not None
        assert lead.significant(0.9) == (lead.low > 0)


def test_equal_scores_are_no_lead_and_a_constant_one_is_certain() -> None:
    assert lead_of(AHEAD, AHEAD, test_share=0.25, confidence=0.95).p_value == 1.0
    constant = lead_of([0.75, 0.5], [0.5, 0.25], test_share=0.25, confidence=0.95)
    assert constant.p_value == 0.0
    assert constant.significant(0.95)


def test_one_fold_tells_the_difference_and_no_more() -> None:
    lead = lead_of([0.9], [0.8], test_share=0.25, confidence=0.95)

    assert lead.difference == pytest.approx(0.1)
    assert (lead.low, lead.high, lead.p_value) == (None, None, None)
    assert not lead.significant(0.95)
    assert interval_of([0.9], test_share=0.25, confidence=0.95) == Interval(0.9, None, None)


def test_interval_stays_within_what_the_metric_can_be() -> None:
    wide = Interval(0.9, -0.5, 1.2)

    assert within_range("accuracy", wide) == Interval(0.9, 0.0, 1.0)
    assert within_range("recall:bad", wide) == Interval(0.9, 0.0, 1.0)
    assert within_range("rmse", wide) == Interval(0.9, 0.0, 1.2)
    assert within_range("r2", wide) == Interval(0.9, -0.5, 1.0)
    assert within_range("r2", Interval(0.9, None, None)) == Interval(0.9, None, None)
