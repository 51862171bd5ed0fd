"""Metrics of a thousand resamples at once: of rows that are counted more than once, or not at all.

scikit-learn says what a metric is; a thousand calls of it for each would take longer than many a
training. Here a resample is a row of weights, how often each row was drawn, and a metric is
arithmetic on them. Tests hold every metric equal to scikit-learn's of the rows drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.training.answers import Answers, Numbers
from models.training.scoring import CALIBRATION_BINS, QUANTILES, positive_of
from models.training.study import Study

RESAMPLES: Final = 1_000
LEAST_RESAMPLES: Final = 200
MOST_DRAWS: Final = 100_000_000  # rows of all resamples together
_AT_ONCE: Final = 1_000_000
_SMALLEST: Final = np.finfo(np.float64).eps


def draws(study: Study, rows: NDArray[np.intp]) -> Iterator[Numbers]:
    """How often each row is drawn in each resample, some resamples at a time; the same each time.

    Rows of one group are drawn together: they are no independent witnesses.
    """
    rng = np.random.default_rng([study.spec.seed, len(rows)])
    units = _units(study, rows)
    count = int(units.max()) + 1
    left = resamples(len(rows))
    while left > 0:
        now = min(left, max(1, _AT_ONCE // len(rows)))
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=now)
        yield drawn[:, units].astype(np.float64)
        left -= now


def resamples(rows: int) -> int:
    """How many resamples there are of so many rows."""
    return max(LEAST_RESAMPLES, min(RESAMPLES, MOST_DRAWS // max(1, rows)))


def percentiles(drawn: Numbers | None, *, confidence: float) -> tuple[float | None, float | None]:
    """Between which values the middle of the resamples is; unknown if half of them have none."""
    if drawn is None:
        return None, None
    known = drawn[~np.isnan(drawn)]
    if 2 * len(known) < len(drawn):
        return None, None
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _units(study: Study, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    if study.groups is None:
        return np.arange(len(rows))
    return np.unique(study.groups[rows].astype(str), return_inverse=True)[1]


class Weighing:
    """Answers, and weights of their rows: one line for each resample."""

    def __init__(self, answers: Answers, weights: Numbers) -> None:
        self.answers = answers
        self.weights = weights

    def knows(self, name: str) -> bool:
        """Whether a metric can be weighed."""
        return name.partition(":")[0] in _METRICS

    def score(self, name: str) -> Numbers:
        """A metric of every resample; NaN where it has none."""
        kind, _, label = name.partition(":")
        with np.errstate(divide="ignore", invalid="ignore"):
            found = _METRICS[kind](self)
            return found[:, self._place(label)] if label else found

    def mean(self, losses: Numbers) -> Numbers:
        """The mean of something that every row has."""
        return np.asarray(self.weights @ losses / self.weights.sum(axis=1))

    def ranked(self, at: int) -> tuple[Numbers, Numbers]:
        """The weights of one class and of the rest, by its probability, low ones first.

        Rows of the same probability are one.
        """
        odds = self.odds[:, at]
        order = np.argsort(odds, kind="stable")
        starts = np.flatnonzero(np.diff(odds[order], prepend=-1.0))
        of_class = self.answers.true_codes[order] == at
        weights = self.weights[:, order]
        ours = np.add.reduceat(weights * of_class, starts, axis=1)
        return ours, np.add.reduceat(weights * ~of_class, starts, axis=1)

    @property
    def odds(self) -> Numbers:
        """The probabilities of every class, row by row."""
        assert self.answers.odds is not None
        return self.answers.odds

    def _place(self, label: str) -> int:
        return [str(each) for each in self.answers.study.classes].index(label)

    @cached_property
    def counts(self) -> Numbers:
        """Confusion matrices: resample, true class, answered class."""
        classes = len(self.answers.study.classes)
        cells = self.answers.true_codes * classes + self.answers.answer_codes
        matrices = [np.bincount(cells, each, classes**2) for each in self.weights]
        return np.asarray(matrices, dtype=np.float64).reshape(-1, classes, classes)


Metric = Callable[[Weighing], Numbers]


def _accuracy(weighing: Weighing) -> Numbers:
    return np.asarray(_hits(weighing).sum(axis=1) / weighing.counts.sum(axis=(1, 2)))


def _balanced_accuracy(weighing: Weighing) -> Numbers:
    return np.asarray(_mean_of_known(_hits(weighing) / _true(weighing)))


def _precision(weighing: Weighing) -> Numbers:
    return _or_none(_hits(weighing) / weighing.counts.sum(axis=1))


def _recall(weighing: Weighing) -> Numbers:
    return _or_none(_hits(weighing) / _true(weighing))


def _f1(weighing: Weighing) -> Numbers:
    return _or_none(2 * _hits(weighing) / (_true(weighing) + weighing.counts.sum(axis=1)))


def _or_none(shares: Numbers) -> Numbers:
    """Shares of nothing are 0, as scikit-learn is told to have them."""
    return np.asarray(np.nan_to_num(shares))


def _hits(weighing: Weighing) -> Numbers:
    return np.diagonal(weighing.counts, axis1=1, axis2=2)


def _true(weighing: Weighing) -> Numbers:
    return np.asarray(weighing.counts.sum(axis=2))


def _mean_of_known(values: Numbers) -> Numbers:
    known = ~np.isnan(values)
    return np.asarray(np.where(known, values, 0.0).sum(axis=1) / known.sum(axis=1))


def _macro(of_classes: Metric) -> Metric:
    return lambda weighing: of_classes(weighing).mean(axis=1)


def _by_class_size(of_classes: Metric) -> Metric:
    def weighted(weighing: Weighing) -> Numbers:
        sizes = _true(weighing)
        return np.asarray((of_classes(weighing) * sizes).sum(axis=1) / sizes.sum(axis=1))

    return weighted


def _roc_auc(weighing: Weighing, at: int) -> Numbers:
    ours, others = weighing.ranked(at)
    below = np.cumsum(others, axis=1) - others / 2
    return np.asarray((ours * below).sum(axis=1) / (ours.sum(axis=1) * others.sum(axis=1)))


def _pr_auc(weighing: Weighing, at: int) -> Numbers:
    ours, others = (each[:, ::-1] for each in weighing.ranked(at))
    precision = _or_none(np.cumsum(ours, axis=1) / np.cumsum(ours + others, axis=1))
    total = ours.sum(axis=1)
    # Of one class alone there is nothing to tell it from.
    return np.where(others.sum(axis=1) > 0, (ours * precision).sum(axis=1) / total, np.nan)


def _one_against_the_rest(measure: Callable[[Weighing, int], Numbers]) -> Metric:
    def mean(weighing: Weighing) -> Numbers:
        classes = weighing.answers.study.classes
        two = len(classes) == 2
        places = (
            [classes.index(positive_of(weighing.answers.study))] if two else range(len(classes))
        )
        return np.asarray(np.mean([measure(weighing, at) for at in places], axis=0))

    return mean


def _ranked_classes(study: Study) -> list[int]:
    if len(study.classes) == 2:
        return [study.classes.index(positive_of(study))]
    return list(range(len(study.classes)))


def _log_loss(weighing: Weighing) -> Numbers:
    of_truth = weighing.odds[np.arange(len(weighing.odds)), weighing.answers.true_codes]
    return weighing.mean(-np.log(np.clip(of_truth, _SMALLEST, 1 - _SMALLEST)))


def _brier(weighing: Weighing) -> Numbers:
    marks = np.eye(weighing.odds.shape[1])[weighing.answers.true_codes]
    squares = np.square(marks - weighing.odds).sum(axis=1)
    return weighing.mean(squares / 2 if marks.shape[1] == 2 else squares)


def _calibration_error(weighing: Weighing) -> Numbers:
    confidence = weighing.odds.max(axis=1)
    gaps = confidence - (weighing.odds.argmax(axis=1) == weighing.answers.true_codes)
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    of_bins = [weighing.mean(np.where(bins == each, gaps, 0.0)) for each in np.unique(bins)]
    return np.asarray(np.abs(of_bins).sum(axis=0))


def _errors(weighing: Weighing) -> Numbers:
    return np.asarray(weighing.answers.truth - weighing.answers.answers, dtype=np.float64)


def _r2(weighing: Weighing) -> Numbers:
    truth = np.asarray(weighing.answers.truth, dtype=np.float64)
    # About a value near all of them, the difference of the squares loses no digits.
    about = truth - truth.mean()
    spread = weighing.mean(about**2) - weighing.mean(about) ** 2
    # A resample of equal values has no spread, and rounding may leave a trace of one.
    known = np.where(spread > _SMALLEST * np.square(about).max(), spread, np.nan)
    return np.asarray(1 - weighing.mean(_errors(weighing) ** 2) / known)


def _mape(weighing: Weighing) -> Numbers:
    sizes = np.maximum(np.abs(weighing.answers.truth.astype(np.float64)), _SMALLEST)
    return weighing.mean(np.abs(_errors(weighing)) / sizes)


def _quantile_loss(share: float) -> Metric:
    def loss(weighing: Weighing) -> Numbers:
        errors = _errors(weighing)
        return weighing.mean(np.maximum(share * errors, (share - 1) * errors))

    return loss


_OF_CLASSES: Final = MappingProxyType({"precision": _precision, "recall": _recall, "f1": _f1})
_METRICS: Final[Mapping[str, Metric]] = MappingProxyType(
    {
        "accuracy": _accuracy,
        "balanced_accuracy": _balanced_accuracy,
        "precision": _precision,
        "recall": _recall,
        "f1": _f1,
        **{f"{name}_macro": _macro(of) for name, of in _OF_CLASSES.items()},
        **{f"{name}_weighted": _by_class_size(of) for name, of in _OF_CLASSES.items()},
        "roc_auc": _one_against_the_rest(_roc_auc),
        "pr_auc": _one_against_the_rest(_pr_auc),
        "log_loss": _log_loss,
        "brier": _brier,
        "calibration_error": _calibration_error,
        "mae": lambda weighing: weighing.mean(np.abs(_errors(weighing))),
        "rmse": lambda weighing: np.sqrt(weighing.mean(_errors(weighing) ** 2)),
        "r2": _r2,
        "mape": _mape,
        **{name: _quantile_loss(share) for name, share in QUANTILES.items()},
    }
)
