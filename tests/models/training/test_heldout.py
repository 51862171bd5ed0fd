"""The verdict of the rows held out: scikit-learn's numbers, and honest intervals."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from sklearn import metrics
from sklearn.dummy import DummyClassifier

from models.training.answers import Answers, answers_of
from models.training.heldout import evaluate_heldout, judged
from tests.models.training.studies import (
    TRAIN,
    Case,
    case_of,
    study_of_numbers,
    study_of_three,
    study_of_two,
)


@pytest.fixture(scope="module")
def two() -> Case:
    """A case of two classes."""
    return case_of(study_of_two())


def test_every_value_is_what_scikit_learn_says_when_called_directly(two: Case) -> None:
    found = evaluate_heldout(two.study, two.fitted, two.held, confidence=0.95)["metrics"]
    features, truth = two.study.features.iloc[two.held], two.study.target[two.held]
    said, odds = two.fitted.predict(features), two.fitted.predict_proba(features)
    yes = truth == "yes"
    direct = {
        "accuracy": metrics.accuracy_score(truth, said),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, said),
        "f1_macro": metrics.f1_score(truth, said, average="macro"),
        "recall:yes": metrics.recall_score(truth, said, pos_label="yes"),
        "precision:no": metrics.precision_score(truth, said, pos_label="no"),
        "roc_auc": metrics.roc_auc_score(yes, odds[:, 1]),
        "pr_auc": metrics.average_precision_score(yes, odds[:, 1]),
        "log_loss": metrics.log_loss(truth, odds),
        "brier": metrics.brier_score_loss(yes, odds[:, 1]),
    }
    assert {name: found[name]["value"] for name in direct} == direct


def test_values_of_numbers_are_scikit_learns() -> None:
    case = case_of(study_of_numbers())
    found = evaluate_heldout(case.study, case.fitted, case.held, confidence=0.95)
    truth = case.study.target[case.held]
    said = case.fitted.predict(case.study.features.iloc[case.held])
    direct = {
        "mae": metrics.mean_absolute_error(truth, said),
        "rmse": metrics.root_mean_squared_error(truth, said),
        "r2": metrics.r2_score(truth, said),
    }
    assert {name: found["metrics"][name]["value"] for name in direct} == direct
    assert found["confusion"] is None
    for each in found["metrics"].values():
        assert each["low"] < each["value"] < each["high"]


def test_the_interval_of_a_share_is_wilsons(two: Case) -> None:
    found = evaluate_heldout(two.study, two.fitted, two.held, confidence=0.95)["metrics"]
    rows, share, z = len(two.held), found["accuracy"]["value"], 1.959963984540054
    middle = (share + z**2 / (2 * rows)) / (1 + z**2 / rows)
    width = z * sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2)) / (1 + z**2 / rows)
    assert found["accuracy"]["by"] == "wilson"
    assert found["accuracy"]["low"] == pytest.approx(middle - width)
    assert found["accuracy"]["high"] == pytest.approx(middle + width)
    assert found["roc_auc"]["by"] == "bootstrap"


def test_without_an_error_the_interval_still_has_a_width(two: Case) -> None:
    answers = answers_of(two.study, two.fitted, two.held)
    perfect = replace(answers, answers=answers.truth)
    found = judged(perfect, None, confidence=0.95)["metrics"]
    for name in ("accuracy", "balanced_accuracy", "recall:yes", "precision:yes", "f1:yes"):
        assert found[name]["value"] == found[name]["high"] == 1.0
        assert 0.7 < found[name]["low"] < 0.97, name


def test_intervals_hold_what_they_promise(two: Case) -> None:
    """Of many tables of one kind, about nineteen in twenty intervals have the truth in them."""
    rng = np.random.default_rng(3)
    truth = np.array([0, 1] * 40)
    known = {"accuracy": 0.8, "balanced_accuracy": 0.8, "recall:1": 0.8, "f1:1": 0.8}
    study = replace(study_of_three(), classes=(0, 1))
    held = dict.fromkeys(known, 0)
    for _ in range(40):
        said = np.where(rng.random(80) < 0.8, truth, 1 - truth)
        answers = Answers(study=study, rows=np.arange(80), truth=truth, answers=said)
        found = judged(answers, None, confidence=0.9)["metrics"]
        for name, true in known.items():
            held[name] += found[name]["low"] <= true <= found[name]["high"]
    assert all(31 <= count <= 40 for count in held.values()), held


def test_the_same_seed_gives_the_same_intervals_and_another_others(two: Case) -> None:
    first, again = (
        evaluate_heldout(two.study, two.fitted, two.held, confidence=0.95) for _ in range(2)
    )
    assert first == again
    other = replace(two.study, spec=replace(two.study.spec, seed=8))
    moved = evaluate_heldout(other, two.fitted, two.held, confidence=0.95)
    assert moved["metrics"]["accuracy"] == first["metrics"]["accuracy"]
    assert moved["metrics"]["log_loss"] != first["metrics"]["log_loss"]


def test_rows_that_come_in_groups_say_less(two: Case) -> None:
    groups = np.repeat(np.arange(two.study.rows // 8), 8)
    grouped = replace(two.study, groups=groups)
    alone = evaluate_heldout(two.study, two.fitted, two.held, confidence=0.95)["metrics"]
    together = evaluate_heldout(grouped, two.fitted, two.held, confidence=0.95)
    assert together["by_groups"]
    assert {each["by"] for each in together["metrics"].values()} == {"bootstrap"}
    assert together["metrics"]["log_loss"]["value"] == alone["log_loss"]["value"]
    assert together["metrics"]["log_loss"] != alone["log_loss"]


def test_the_lead_over_the_baseline_is_told(two: Case) -> None:
    features, target = two.study.features.iloc[TRAIN], two.study.target[TRAIN]
    baseline = DummyClassifier().fit(features, target.astype(str))
    found = evaluate_heldout(two.study, two.fitted, two.held, confidence=0.95, baseline=baseline)
    lead = found["lead"]
    value = found["metrics"]["balanced_accuracy"]["value"]
    assert found["baseline"]["balanced_accuracy"]["value"] == 0.5
    assert lead["difference"] == value - 0.5
    assert 0 < lead["low"] < lead["difference"] < lead["high"] < 0.5
    nothing = evaluate_heldout(two.study, baseline, two.held, confidence=0.95, baseline=baseline)
    assert nothing["lead"]["low"] == nothing["lead"]["high"] == 0


def test_the_confusion_matrix_is_scikit_learns() -> None:
    case = case_of(study_of_three())
    found = evaluate_heldout(case.study, case.fitted, case.held, confidence=0.95)["confusion"]
    said = case.fitted.predict(case.study.features.iloc[case.held])
    direct = metrics.confusion_matrix(case.study.target[case.held], said, labels=[0, 1, 2])
    assert found == {"labels": [0, 1, 2], "counts": direct.tolist()}


def test_a_class_that_the_training_never_saw_has_no_chance() -> None:
    case = case_of(study_of_three())
    seen = TRAIN[case.study.target[TRAIN] != 2]
    case.fitted.fit(case.study.features.iloc[seen], case.study.target[seen])
    answers = answers_of(case.study, case.fitted, case.held)
    assert answers.odds is not None
    assert answers.odds.shape == (len(case.held), 3)
    assert (answers.odds[:, 2] == 0).all()
    assert answers.odds.sum(axis=1) == pytest.approx(1.0)
