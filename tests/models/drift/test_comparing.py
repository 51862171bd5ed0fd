"""How far columns are from a reference: checked against scipy, and against what was planted."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from models.drift.comparing import Compared, compare, compare_all, overall, psi
from models.drift.reference import MOST_SAMPLE, reference_of, summary_of

BEFORE = np.random.default_rng(7).normal(size=900)


def drawn(size: int, shift: float = 0.0, *, seed: int = 8) -> NDArray[np.float64]:
    """Normal numbers, whatever other tests have drawn."""
    return np.random.default_rng(seed).normal(shift, size=size)


def texts(*counts: tuple[str | None, int]) -> NDArray[Any]:
    """So many of each text."""
    return np.array([text for text, count in counts for _ in range(count)], object)


def compared(before: NDArray[Any], today: NDArray[Any]) -> Compared:
    """One column with its p-values adjusted, as the only one there is."""
    (found,), _ = compare_all(reference_of({"x": before}), {"x": today})
    return found


def test_numbers_are_tested_as_scipy_tests_the_same_samples() -> None:
    today = drawn(400, 0.1)
    expected = stats.ks_2samp(BEFORE, today)
    found = compare("x", summary_of(BEFORE), today)
    assert (found.statistic, found.p_value) == (expected.statistic, expected.pvalue)


def test_of_many_numbers_the_samples_are_tested() -> None:
    before, today = drawn(MOST_SAMPLE * 2), drawn(12_000, seed=9)
    found = compare("x", summary_of(before), today)
    expected = stats.ks_2samp(*found.samples)
    assert [len(sample) for sample in found.samples] == [MOST_SAMPLE, 5_000]
    assert set(found.samples[0]) <= set(before)
    assert set(found.samples[1]) <= set(today)
    assert (found.statistic, found.p_value) == (expected.statistic, expected.pvalue)


def test_values_are_tested_as_scipy_tests_their_counts() -> None:
    before = texts(("red", 60), ("blue", 30), ("grey", 10))
    today = texts(("red", 20), ("blue", 40), ("new", 15))
    expected = stats.chi2_contingency([[60, 30, 10, 0], [20, 40, 0, 15]], correction=False)
    found = compare("x", summary_of(before), today)
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-12)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-12)
    assert found.labels == ("red", "blue", "grey", "(other)")
    assert found.today == (20 / 75, 40 / 75, 0.0, 15 / 75)


def test_psi_is_its_formula() -> None:
    shares = [(0.5 + 10) / 101, (0.5 + 90) / 101], [(0.5 + 50) / 101, (0.5 + 50) / 101]
    by_hand = sum((a - e) * math.log(a / e) for e, a in zip(*shares, strict=True))
    assert psi([10, 90], [50, 50]) == pytest.approx(by_hand, rel=1e-12)
    assert psi([10, 90], [10, 90]) == 0.0


@pytest.mark.parametrize(("shift", "verdict"), [(0.0, "none"), (0.38, "moderate"), (1.0, "severe")])
def test_shift_is_told_by_its_size(shift: float, verdict: str) -> None:
    assert compared(BEFORE, drawn(600, shift)).verdict == verdict


def test_few_rows_that_lie_far_apart_by_chance_are_no_drift() -> None:
    found = compared(BEFORE, np.quantile(BEFORE, np.linspace(0.3, 0.99, 12)))
    assert found.psi is not None
    assert found.psi > 0.25
    assert found.verdict == "none"


def test_cells_that_are_missing_are_drift() -> None:
    today = drawn(600)
    today[:240] = np.nan
    found = compared(BEFORE, today)
    assert found.verdict == "severe"
    assert found.missing == 0.4
    assert found.psi is not None
    assert found.psi < 0.1


def test_column_of_another_kind_is_not_compared() -> None:
    found = compared(BEFORE, texts(("red", 50)))
    assert found.problem == "texts were logged, and numbers trained on"
    assert found.verdict == "none"
    assert "numbers were logged" in compared(texts(("red", 50)), BEFORE).problem


def test_columns_without_any_value_are_not_compared() -> None:
    for before, today in ((BEFORE, np.full(50, np.nan)), (np.full(50, np.nan), BEFORE)):
        assert "no numbers" in compared(before, today).problem
    assert "no texts" in compared(texts(("red", 50)), texts((None, 40))).problem


def test_texts_that_hardly_repeat_are_compared_by_length() -> None:
    before = np.array([f"order {at}" for at in range(500)], object)
    today = np.array([f"the order of number {at}" for at in range(300)], object)
    assert compared(before, today).verdict == "severe"
    assert compared(before, before[:300]).verdict == "none"


def test_of_many_columns_some_differ_by_chance_and_none_has_drifted() -> None:
    before = {f"x{at}": drawn(60, seed=at) for at in range(120)}
    today = {name: drawn(60, seed=900 + at) for at, name in enumerate(before)}
    found, _ = compare_all(reference_of(before), today)
    assert sum(each.p_value < 0.05 for each in found if each.p_value is not None) > 0
    assert {each.verdict for each in found} == {"none"}
    expected = stats.false_discovery_control([each.p_value for each in found])
    assert [each.adjusted for each in found] == pytest.approx(expected.tolist())


def test_what_a_model_says_is_compared_too() -> None:
    labels = np.array([0] * 80 + [1] * 20)
    reference = reference_of({"x": BEFORE}, predictions=labels)
    _, said = compare_all(reference, {"x": BEFORE}, np.array([0] * 30 + [1] * 70))
    assert said is not None
    assert (said.verdict, said.labels) == ("severe", ("0", "1", "(other)"))
    assert compare_all(reference, {"x": BEFORE})[1] is None


def test_verdict_is_that_of_the_worst_column_in_words() -> None:
    today = {"a": drawn(300, 2.0), "b": drawn(300)}
    found, _ = compare_all(reference_of({"a": BEFORE, "b": BEFORE, "gone": BEFORE}), today)
    assert overall(found, 300) == (
        "severe",
        "Severe: 1 of 2 columns are away from the training data.",
    )
    assert overall(found, 29)[0] == "none"
    assert "29 rows" in overall(found, 29)[1]
