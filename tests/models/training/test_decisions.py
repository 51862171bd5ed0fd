"""Decisions by cost: the cheapest label, the threshold it comes to, and what is left to people."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.errors import SpecRefused
from models.training.answers import Answers
from models.training.decisions import check_decisions, costs_of, decide, decisions_of, threshold_of
from models.training.study import Study
from tests.models.training.studies import case_of, study_of_three, study_of_two

COSTS = {"yes": {"no": 1}, "no": {"yes": 4}}
ODDS = np.array([[0.9, 0.1], [0.75, 0.25], [0.6, 0.4], [0.05, 0.95]])
TRUTH = np.array(["no", "yes", "no", "yes"], dtype=object)


def test_a_dear_miss_lowers_the_threshold() -> None:
    study = _study()
    costs = costs_of(study)
    assert costs is not None
    assert costs.tolist() == [[0, 4], [1, 0]]
    assert threshold_of(costs, 1) == 1 / 5
    assert threshold_of(costs, 0) == 4 / 5
    assert decide(costs, ODDS).tolist() == [0, 1, 1, 1]


def test_the_threshold_parts_the_same_rows_as_the_costs_do() -> None:
    costs = np.array([[0.5, 7.0], [2.0, -1.0]])
    threshold = threshold_of(costs, 1)
    assert threshold is not None
    positive = np.linspace(0, 1, 1001)
    by_cost = decide(costs, np.column_stack([1 - positive, positive])) == 1
    assert (by_cost == (positive > threshold)).all()


@pytest.mark.parametrize("costs", [[[0.0, 0.0], [0.0, 0.0]], [[2.0, 2.0], [1.0, 1.0]]])
def test_where_one_decision_is_always_cheaper_there_is_no_threshold(
    costs: list[list[float]],
) -> None:
    assert threshold_of(np.array(costs), 1) is None


def test_more_than_two_classes_have_decisions_and_no_threshold() -> None:
    costs = costs_of(study_of_three(decide={"costs": {"0": {"2": 9}}}))
    assert costs is not None
    # Not said: a wrong decision costs one, a right one nothing.
    assert costs.tolist() == [[0, 1, 9], [1, 0, 1], [1, 1, 0]]
    assert threshold_of(costs, 1) is None
    assert decide(costs, np.array([[0.8, 0.05, 0.15], [0.9, 0.05, 0.05]])).tolist() == [2, 0]


def test_what_decisions_cost_is_told_of_the_rows_held_out() -> None:
    found = _decisions(_study())
    # Of the most probable label, the second row is a miss; by cost, the third a false alarm.
    assert found["by_probability"]["value"] == 1.0
    assert found["by_cost"]["value"] == 0.25
    assert found["saved"]["value"] == 0.75
    assert found["decided"] == {"no": 1, "yes": 3}
    assert found["positive"] == "yes"
    assert found["threshold"] == 0.2
    assert found["reject"] is None


def test_rows_in_doubt_are_left_to_a_person() -> None:
    found = _decisions(_study(reject_cost=0.5))["reject"]
    # Expected costs of the best decision are 0.4, 0.75, 0.6 and 0.05.
    assert found["handed"]["value"] == 0.5
    assert found["expected_cost"]["value"] == pytest.approx((0 + 0.5 + 0.5 + 0) / 4)
    assert found["right_of_kept"]["value"] == 1.0
    everything = _decisions(_study(reject_cost=0.01))["reject"]
    assert everything["handed"]["value"] == 1.0
    assert everything["right_of_kept"] is None
    assert everything["expected_cost"] == {"value": 0.01, "low": 0.01, "high": 0.01}


def test_without_costs_or_probabilities_nothing_is_decided() -> None:
    assert decisions_of(_answers(study_of_two()), confidence=0.95) is None
    bare = _answers(_study())
    without = Answers(study=bare.study, rows=bare.rows, truth=bare.truth, answers=bare.answers)
    assert decisions_of(without, confidence=0.95) is None


@pytest.mark.parametrize("costs", [{"maybe": {"no": 1}}, {"yes": {"<b>": 1}}])
def test_costs_of_a_label_that_is_no_class_are_refused(costs: dict[str, Any]) -> None:
    study = study_of_two(decide={"costs": costs})
    with pytest.raises(SpecRefused, match="no class is"):
        check_decisions(study)
    with pytest.raises(SpecRefused, match="no class is 'maybe'"):
        check_decisions(study_of_two(decide={"positive": "maybe"}))


def test_costs_hold_on_real_answers() -> None:
    case = case_of(_study(reject_cost=0.3))
    features = case.study.features.iloc[case.held]
    odds, truth = case.fitted.predict_proba(features), case.study.target[case.held]
    answers = Answers(
        study=case.study,
        rows=case.held,
        truth=truth,
        answers=case.fitted.predict(features),
        odds=odds,
    )
    found = decisions_of(answers, confidence=0.95)
    assert found is not None
    spent = [_spent(p, label) for p, label in zip(odds[:, 1], truth, strict=True)]
    assert found["reject"]["expected_cost"]["value"] == pytest.approx(np.mean(spent))
    assert found["by_cost"]["low"] < found["by_cost"]["value"] < found["by_cost"]["high"]


def _spent(probability: float, label: str) -> float:
    """The cost of one row, worked out by hand."""
    expected = {"yes": 1 - probability, "no": 4 * probability}
    decision = "no" if expected["no"] <= expected["yes"] else "yes"
    if expected[decision] > 0.3:
        return 0.3
    return 0.0 if decision == label else float(COSTS[decision][label])


def _study(**decide: Any) -> Study:
    return study_of_two(decide={"positive": "yes", "costs": COSTS, **decide})


def _answers(study: Study) -> Answers:
    said = np.array(["no", "no", "no", "yes"], dtype=object)
    return Answers(study=study, rows=np.arange(4), truth=TRUTH, answers=said, odds=ODDS)


def _decisions(study: Study) -> dict[str, Any]:
    found = decisions_of(_answers(study), confidence=0.95)
    assert found is not None
    return found
