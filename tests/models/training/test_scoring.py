"""Metrics: to the last digit those of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics
from sklearn.dummy import DummyClassifier
from sklearn.preprocessing import label_binarize

from models.errors import SpecRefused
from models.training.fitting import odds_of
from models.training.measures import MEASURES
from models.training.scoring import (
    expected_calibration_error,
    metric_of,
    positive_of,
    scores,
)
from tests.models.training.by_hand import study

RANDOM = np.random.default_rng(4)


def _odds(classes: int, rows: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return RANDOM.dirichlet(np.ones(classes), rows)


def test_two_classes_are_scored_as_scikit_learn_does() -> None:
    own = study(decide={"positive": "bad"})
    odds = _odds(2, own.rows)
    answers = np.array(own.classes)[odds.argmax(axis=1)]
    truth, is_bad = own.target, own.target == "bad"

    found = scores(own, truth, answers, odds)

    assert found["roc_auc"] == metrics.roc_auc_score(is_bad, odds[:, 0])
    assert found["pr_auc"] == metrics.average_precision_score(is_bad, odds[:, 0])
    assert found["log_loss"] == metrics.log_loss(truth, odds)
    assert found["brier"] == pytest.approx(metrics.brier_score_loss(is_bad, odds[:, 0]), rel=1e-14)
    assert found["recall:bad"] == metrics.recall_score(truth, answers, pos_label="bad")
    assert found["precision:good"] == metrics.precision_score(truth, answers, pos_label="good")
    assert found["f1_weighted"] == metrics.f1_score(truth, answers, average="weighted")
    assert found["balanced_accuracy"] == metrics.balanced_accuracy_score(truth, answers)


def test_many_classes_are_scored_one_against_the_rest() -> None:
    own = study(classes=3)
    odds = _odds(3, own.rows)
    truth, answers = own.target, np.array(own.classes)[odds.argmax(axis=1)]
    marks = label_binarize(truth, classes=list(own.classes))

    found = scores(own, truth, answers, odds)

    auc = metrics.roc_auc_score(truth, odds, multi_class="ovr", average="macro")
    assert found["roc_auc"] == pytest.approx(auc, rel=1e-14)
    assert found["pr_auc"] == pytest.approx(
        metrics.average_precision_score(marks, odds, average="macro"), rel=1e-14
    )
    assert found["brier"] == pytest.approx(metrics.brier_score_loss(truth, odds), rel=1e-14)
    assert found["f1_macro"] == metrics.f1_score(truth, answers, average="macro")
    names = {name.partition(":")[0] for name in found}
    assert names == {name for name, each in MEASURES.items() if each.task == "classification"}


def test_numbers_are_scored_as_scikit_learn_does() -> None:
    own = study("regression")
    truth, answers = own.target, own.target + RANDOM.normal(0, 5, own.rows)

    found = scores(own, truth, answers)

    assert found == {
        "mae": metrics.mean_absolute_error(truth, answers),
        "rmse": metrics.root_mean_squared_error(truth, answers),
        "r2": metrics.r2_score(truth, answers),
        "mape": metrics.mean_absolute_percentage_error(truth, answers),
        "quantile_loss_10": metrics.mean_pinball_loss(truth, answers, alpha=0.1),
        "quantile_loss_50": metrics.mean_pinball_loss(truth, answers, alpha=0.5),
        "quantile_loss_90": metrics.mean_pinball_loss(truth, answers, alpha=0.9),
    }


def test_what_rows_of_one_class_cannot_tell_is_left_out() -> None:
    own = study()
    truth = np.full(5, "good")

    found = scores(own, truth, truth, np.tile([0.25, 0.75], (5, 1)))

    assert "roc_auc" not in found
    assert "pr_auc" not in found
    assert found["log_loss"] == pytest.approx(-np.log(0.75))


def test_without_probabilities_their_metrics_are_left_out() -> None:
    own = study()
    found = scores(own, own.target, own.target)

    assert found["accuracy"] == 1.0
    assert not {name for name, each in MEASURES.items() if each.of_probabilities} & set(found)


def test_calibration_error_is_the_mean_gap_of_the_bins() -> None:
    odds = np.array([[0.9, 0.1], [0.9, 0.1], [0.35, 0.65], [0.35, 0.65]])
    truth = np.array(["a", "b", "b", "b"])

    # Half of those at 0.9 are right, all of those at 0.65.
    expected = (2 * abs(0.9 - 0.5) + 2 * abs(0.65 - 1.0)) / 4

    assert expected_calibration_error(truth, odds, np.array(["a", "b"])) == pytest.approx(expected)


def test_class_that_a_fit_did_not_see_has_no_chance() -> None:
    own = study(classes=3)
    seen = own.target != "good"
    fitted = DummyClassifier().fit(own.features[seen], own.target[seen])

    odds = odds_of(own, fitted, own.features)

    assert odds is not None
    assert odds.shape == (own.rows, 3)
    assert not odds[:, own.classes.index("good")].any()
    assert np.allclose(odds.sum(axis=1), 1)


def test_metric_is_the_usual_one_unless_the_spec_names_another() -> None:
    assert metric_of(study()) == "balanced_accuracy"
    assert metric_of(study("regression")) == "rmse"
    assert metric_of(study(compare={"metric": "recall:bad"})) == "recall:bad"


@pytest.mark.parametrize("metric", ["rmse", "recall", "recall:worse", "goodness"])
def test_metric_that_the_task_does_not_have_is_refused(metric: str) -> None:
    with pytest.raises(SpecRefused, match=r"compare.metric"):
        metric_of(study(compare={"metric": metric}))


def test_class_that_counts_is_the_one_that_is_named_else_the_last() -> None:
    assert positive_of(study()) == "good"
    assert positive_of(study(decide={"positive": "bad"})) == "bad"
    with pytest.raises(SpecRefused, match=r"decide.positive: no class is 'worse'"):
        positive_of(study(decide={"positive": "worse"}))
