"""The metrics by name: whose they are, how they are called, and which way is better.

One of a single class is named with it: `recall:malignant`.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from models.training.spec import Task


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric; `of_probabilities` needs a candidate that gives them.

    `per_class`: there is one of each class.
    """

    title: str
    task: Task
    greater_is_better: bool
    of_probabilities: bool = False
    per_class: bool = False


def _of_classes(title: str, *, per_class: bool = False) -> Measure:
    return Measure(title, "classification", greater_is_better=True, per_class=per_class)


def _of_odds(title: str, *, greater: bool) -> Measure:
    return Measure(title, "classification", greater_is_better=greater, of_probabilities=True)


def _of_numbers(title: str, *, greater: bool = False) -> Measure:
    return Measure(title, "regression", greater_is_better=greater)


MEASURES: Final = MappingProxyType(
    {
        "accuracy": _of_classes("Accuracy"),
        "balanced_accuracy": _of_classes("Balanced accuracy"),
        "precision": _of_classes("Precision", per_class=True),
        "recall": _of_classes("Recall", per_class=True),
        "f1": _of_classes("F1", per_class=True),
        "precision_macro": _of_classes("Precision, mean of classes"),
        "recall_macro": _of_classes("Recall, mean of classes"),
        "f1_macro": _of_classes("F1, mean of classes"),
        "precision_weighted": _of_classes("Precision, weighted by class"),
        "recall_weighted": _of_classes("Recall, weighted by class"),
        "f1_weighted": _of_classes("F1, weighted by class"),
        "roc_auc": _of_odds("ROC AUC", greater=True),
        "pr_auc": _of_odds("PR AUC", greater=True),
        "log_loss": _of_odds("Log loss", greater=False),
        "brier": _of_odds("Brier score", greater=False),
        "calibration_error": _of_odds("Calibration error", greater=False),
        "mae": _of_numbers("Mean absolute error"),
        "rmse": _of_numbers("Root mean squared error"),
        "r2": _of_numbers("R²", greater=True),
        "mape": _of_numbers("Mean absolute percentage error"),
        "quantile_loss_10": _of_numbers("Quantile loss at 0.1"),
        "quantile_loss_50": _of_numbers("Quantile loss at 0.5"),
        "quantile_loss_90": _of_numbers("Quantile loss at 0.9"),
    }
)
USUAL: Final = MappingProxyType({"classification": "balanced_accuracy", "regression": "rmse"})


def measure_of(name: str) -> Measure | None:
    """The metric of a name, or of a class's; None if there is none."""
    kind, separator, label = name.partition(":")
    measure = MEASURES.get(kind)
    if measure is None or measure.per_class != bool(separator and label):
        return None
    return measure
