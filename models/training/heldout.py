"""The verdict of rows that no candidate has seen: metrics, their intervals, costs of decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.training.answers import Answers, Numbers, answers_of
from models.training.decisions import decisions_of
from models.training.intervals import Interval, within_range
from models.training.measures import measure_of
from models.training.proportions import f1_of, mean_of, share
from models.training.resampling import Weighing, draws, percentiles, resamples
from models.training.scoring import metric_of, scores
from models.training.shown import plain
from models.training.study import Study

MOST_CONFUSED: Final = 200  # classes of a confusion matrix
_WILSON: Final = "wilson"
_BOOTSTRAP: Final = "bootstrap"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Compared:
    """Metrics of every resample: all of the winner's, and the deciding one of the baseline."""

    winner: Mapping[str, Numbers]
    baseline: Numbers | None


def evaluate_heldout(
    study: Study,
    fitted: Any,
    held_rows: NDArray[np.intp],
    *,
    confidence: float,
    baseline: Any = None,
) -> dict[str, Any]:
    """Judge a fitted pipeline by rows held out; a fitted `baseline` is judged by the same ones.

    Every value is scikit-learn's. The interval of a share is Wilson's, or follows from it; all
    others are a bootstrap's percentiles, and all are where the rows come in groups.
    """
    answers = answers_of(study, fitted, held_rows)
    others = None if baseline is None else answers_of(study, baseline, held_rows)
    return judged(answers, others, confidence=confidence)


def judged(answers: Answers, others: Answers | None, *, confidence: float) -> dict[str, Any]:
    """The verdict on answers, and on those of the baseline to the same rows."""
    values = _scores(answers)
    baseline = {} if others is None else _scores(others)
    metric = metric_of(answers.study)
    drawn = _resampled(answers, others if metric in baseline else None, values, metric)
    return {
        "rows": len(answers.rows),
        "confidence": confidence,
        "resamples": resamples(len(answers.rows)),
        "by_groups": answers.study.groups is not None,
        "metrics": {
            name: _told(name, value, answers, drawn.winner.get(name), confidence)
            for name, value in values.items()
        },
        "baseline": {name: {"value": value} for name, value in baseline.items()} or None,
        "lead": _lead(metric, values, baseline, drawn, confidence),
        "confusion": _confusion(answers),
        "decisions": decisions_of(answers, confidence=confidence),
    }


def _scores(answers: Answers) -> dict[str, float]:
    return scores(answers.study, answers.truth, answers.answers, answers.odds)


def _resampled(
    answers: Answers, others: Answers | None, names: Mapping[str, float], metric: str
) -> _Compared:
    ours: dict[str, list[Numbers]] = {name: [] for name in names}
    theirs: list[Numbers] = []
    for weights in draws(answers.study, answers.rows):
        weighing = Weighing(answers, weights)
        for name, found in ours.items():
            found.append(weighing.score(name))
        if others is not None:
            theirs.append(Weighing(others, weights).score(metric))
    winner = {name: np.concatenate(found) for name, found in ours.items()}
    return _Compared(winner=winner, baseline=np.concatenate(theirs) if theirs else None)


def _told(
    name: str, value: float, answers: Answers, drawn: Numbers | None, confidence: float
) -> dict[str, Any]:
    counted = None if answers.study.groups is not None else _counted(name, answers, confidence)
    if counted is not None:
        return {**asdict(Interval(value, counted.low, counted.high)), "by": _WILSON}
    low, high = percentiles(drawn, confidence=confidence)
    return {**asdict(within_range(name, Interval(value, low, high))), "by": _BOOTSTRAP}


def _counted(name: str, answers: Answers, confidence: float) -> Interval | None:
    """The interval of a metric that is a share of rows, or a mean of such; None of others."""
    if answers.study.task != "classification":
        return None
    kind, _, label = name.partition(":")
    true, said = answers.true_codes, answers.answer_codes
    right = true == said
    if kind in ("accuracy", "recall_weighted"):
        return share(int(right.sum()), len(right), confidence=confidence)
    if kind in ("balanced_accuracy", "recall_macro"):
        return mean_of([_share(right[true == each], confidence) for each in np.unique(true)])
    if not label:
        return None
    at = [str(each) for each in answers.study.classes].index(label)
    return _of_class(kind, at, true, said, confidence)


def _of_class(
    kind: str, at: int, true: NDArray[np.intp], said: NDArray[np.intp], confidence: float
) -> Interval | None:
    hits = int(((true == at) & (said == at)).sum())
    of_class, answered = int((true == at).sum()), int((said == at).sum())
    if kind == "f1":
        wrong = of_class + answered - 2 * hits
        return f1_of(share(hits, hits + wrong, confidence=confidence)) if hits + wrong else None
    rows = of_class if kind == "recall" else answered
    return share(hits, rows, confidence=confidence) if rows else None


def _share(right: NDArray[np.bool_], confidence: float) -> Interval:
    return share(int(right.sum()), len(right), confidence=confidence)


def _lead(
    metric: str,
    values: Mapping[str, float],
    baseline: Mapping[str, float],
    drawn: _Compared,
    confidence: float,
) -> dict[str, Any] | None:
    """How much better than the baseline the winner is; more is better, whatever the metric."""
    measure = measure_of(metric)
    if metric not in values or drawn.baseline is None or measure is None:
        return None
    sign = 1.0 if measure.greater_is_better else -1.0
    low, high = percentiles(sign * (drawn.winner[metric] - drawn.baseline), confidence=confidence)
    difference = sign * (values[metric] - baseline[metric])
    return {"metric": metric, "difference": difference, "low": low, "high": high}


def _confusion(answers: Answers) -> dict[str, Any] | None:
    classes = answers.study.classes
    if answers.study.task != "classification" or len(classes) > MOST_CONFUSED:
        return None
    cells = answers.true_codes * len(classes) + answers.answer_codes
    counts = np.bincount(cells, minlength=len(classes) ** 2).reshape(len(classes), -1)
    return {"labels": [plain(each) for each in classes], "counts": counts.tolist()}
