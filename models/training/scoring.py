"""The metrics of answers whose truth is known, as scikit-learn computes them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics
from sklearn.preprocessing import label_binarize

from models.errors import SpecRefused
from models.training.measures import USUAL, Measure, measure_of
from models.training.study import Study

CALIBRATION_BINS: Final = 15
TOGETHER: Final = "precision, recall and F1"
QUANTILES: Final = {"quantile_loss_10": 0.1, "quantile_loss_50": 0.5, "quantile_loss_90": 0.9}

Values = NDArray[Any]
Way = Callable[[], float | dict[str, float]]


def metric_of(study: Study) -> str:
    """The metric that decides; raises SpecRefused for one that the task does not have."""
    name = study.spec.compare.metric
    if not name:
        return USUAL[study.task]
    measure = measure_of(name)
    if measure is None or measure.task != study.task:
        raise SpecRefused("compare.metric", f"there is no metric {name!r} of {study.task}")
    label = name.partition(":")[2]
    labels = [str(each) for each in study.classes]
    if label and label not in labels:
        raise SpecRefused("compare.metric", f"no class is {label!r}", f"they are {labels}"[:300])
    return name


def measured_by(study: Study) -> Measure:
    """What is known of the metric that decides."""
    measure = measure_of(metric_of(study))
    assert measure is not None
    return measure


def positive_of(study: Study) -> Any:
    """The class of two that metrics of one class are of: as said, else the last.

    Raises SpecRefused for one that is not among them.
    """
    said = study.spec.decide.positive
    found = next((each for each in study.classes if str(each) == said), None)
    if said and found is None:
        raise SpecRefused("decide.positive", f"no class is {said!r}")
    return found if said else study.classes[-1]


def scores(
    study: Study, truth: Values, answers: Values, odds: Values | None = None, *, only: str = ""
) -> dict[str, float]:
    """Every metric that can be told, or one; `odds` has a column for each of the study's classes.

    What these rows cannot tell is left out: of one class alone there is no ROC.
    """
    if study.task == "regression":
        ways = _of_numbers(truth, answers)
    else:
        ways = _of_labels(study, truth, answers)
        ways |= {} if odds is None else _of_odds(study, truth, odds)
    wanted = ways if not only else {n: way for n, way in ways.items() if n == _family(only)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: dict[str, Any] = {}
        for name, compute in wanted.items():
            value = compute()
            found |= value if isinstance(value, dict) else {name: value}
    known = {name: float(value) for name, value in found.items() if math.isfinite(value)}
    return known if not only else {name: v for name, v in known.items() if name == only}


def _family(name: str) -> str:
    """What computes a metric: precision, recall and F1 come together."""
    kind = name.partition(":")[0].partition("_")[0]
    return TOGETHER if kind in ("precision", "recall", "f1") else name


def expected_calibration_error(truth: Values, odds: Values, classes: Values) -> float:
    """How far confidence is from being right, on average over rows.

    Rows are put into 15 bins of equal width by the probability of their most probable class; in
    each, its mean is compared with the share that is right (Guo et al., On Calibration of Modern
    Neural Networks, ICML 2017, equation 3).
    """
    confidence = odds.max(axis=1)
    right = classes[odds.argmax(axis=1)] == truth
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=confidence - right, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(truth))


def _of_numbers(truth: Values, answers: Values) -> dict[str, Way]:
    found: dict[str, Way] = {
        "mae": lambda: metrics.mean_absolute_error(truth, answers),
        "rmse": lambda: metrics.root_mean_squared_error(truth, answers),
        "r2": lambda: metrics.r2_score(truth, answers),
        "mape": lambda: metrics.mean_absolute_percentage_error(truth, answers),
    }
    for name, share in QUANTILES.items():
        found[name] = partial(metrics.mean_pinball_loss, truth, answers, alpha=share)
    return found


def _of_labels(study: Study, truth: Values, answers: Values) -> dict[str, Way]:
    return {
        "accuracy": lambda: metrics.accuracy_score(truth, answers),
        "balanced_accuracy": lambda: metrics.balanced_accuracy_score(truth, answers),
        TOGETHER: lambda: _by_class(list(study.classes), truth, answers),
    }


def _by_class(labels: list[Any], truth: Values, answers: Values) -> dict[str, float]:
    """Precision, recall and F1 of each class, and their means, of one table of counts."""
    *three, rows = metrics.precision_recall_fscore_support(
        truth, answers, labels=labels, average=None, zero_division=0.0
    )
    found: dict[str, float] = {}
    for name, values in zip(("precision", "recall", "f1"), three, strict=True):
        found[f"{name}_macro"] = np.mean(values)
        found[f"{name}_weighted"] = np.average(values, weights=rows) if rows.any() else math.nan
        found |= {f"{name}:{label}": value for label, value in zip(labels, values, strict=True)}
    return found


def _of_odds(study: Study, truth: Values, odds: Values) -> dict[str, Way]:
    classes = list(study.classes)
    marks = label_binarize(truth, classes=classes)
    if len(classes) == 2:
        marks = np.column_stack([1 - marks, marks])
    chosen = [classes.index(positive_of(study))] if len(classes) == 2 else range(len(classes))
    return {
        "roc_auc": lambda: _mean_of(metrics.roc_auc_score, marks, odds, chosen),
        "pr_auc": lambda: _mean_of(metrics.average_precision_score, marks, odds, chosen),
        "log_loss": lambda: metrics.log_loss(truth, odds, labels=classes),
        "brier": lambda: _brier(marks, odds),
        "calibration_error": lambda: expected_calibration_error(truth, odds, np.array(classes)),
    }


def _brier(marks: Values, odds: Values) -> float:
    """The mean squared distance of the probabilities; of two classes, that of one of them."""
    total = float(np.square(marks - odds).sum(axis=1).mean())
    return total / 2 if marks.shape[1] == 2 else total


def _mean_of(measure: Any, marks: Values, odds: Values, columns: Sequence[int]) -> float:
    """The mean over classes of one against the rest; not a number where one is not there."""
    if any(not 0 < marks[:, at].sum() < len(marks) for at in columns):
        return math.nan
    return float(np.mean([measure(marks[:, at], odds[:, at]) for at in columns]))
