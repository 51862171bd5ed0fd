"""Which label to decide for when errors cost unequally, and when to leave it to a person.

Probabilities say how likely each label is; costs say what it means to be wrong. The decision is the
label of the lowest expected cost (Elkan, The Foundations of Cost-Sensitive Learning, IJCAI 2001).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.errors import SpecRefused
from models.training.answers import Answers, Codes, Numbers
from models.training.proportions import share
from models.training.resampling import draws, percentiles
from models.training.scoring import positive_of
from models.training.shown import shown
from models.training.study import Study

UNSAID: Final = (
    1.0  # what a wrong decision costs of which the spec says nothing; a right one is free
)


@dataclass(frozen=True, slots=True)
class Decided:
    """What was decided of each row, and its cost; the `handed` ones were left to a person."""

    labels: Codes
    costs: Numbers
    handed: NDArray[np.bool_]


def costs_of(study: Study) -> Numbers | None:
    """What each decision (first axis) costs where each label (second) is true; None if not said.

    Raises SpecRefused for a label that is no class.
    """
    said = study.spec.decide.costs
    if not said or study.task != "classification":
        return None
    places = {str(label): place for place, label in enumerate(study.classes)}
    costs = UNSAID * (1.0 - np.eye(len(places)))
    for decided, of_truth in said.items():
        for true, cost in of_truth.items():
            costs[_place(places, decided, "decide.costs"), _place(places, true, decided)] = cost
    return costs


def check_decisions(study: Study) -> None:
    """Raise SpecRefused for a label in the spec that is no class: before hours are spent."""
    costs_of(study)
    if study.task == "classification":
        positive_of(study)


def decide(costs: Numbers, odds: Numbers) -> Codes:
    """The decision of the lowest expected cost, row by row."""
    return np.asarray((odds @ costs.T).argmin(axis=1))


def threshold_of(costs: Numbers, positive: int) -> float | None:
    """From which probability on one of two labels is decided for; None if it never turns."""
    if len(costs) != 2:
        return None
    negative = 1 - positive
    false_alarm = costs[positive, negative] - costs[negative, negative]
    miss = costs[negative, positive] - costs[positive, positive]
    if false_alarm < 0 or miss < 0 or false_alarm + miss == 0:
        return None
    return float(false_alarm / (false_alarm + miss))


def decisions_of(answers: Answers, *, confidence: float) -> dict[str, Any] | None:
    """What decisions by cost come to on rows whose truth is known; None without costs or odds."""
    study = answers.study
    costs = costs_of(study)
    if costs is None or answers.odds is None:
        return None
    kinds = _decided(answers, costs)
    drawn = list(draws(study, answers.rows))
    positive = study.classes.index(positive_of(study))
    threshold = threshold_of(costs, positive)
    return {
        "costs": _by_label(study, costs),
        "positive": shown(study.classes[positive]) if threshold is not None else None,
        "threshold": threshold,
        "calibrated": study.spec.decide.calibrate,
        "decided": _counts(study, kinds["by_cost"]),
        "by_cost": _cost(kinds["by_cost"], drawn, confidence),
        "by_probability": _cost(kinds["by_probability"], drawn, confidence),
        "saved": _saved(kinds["by_probability"], kinds["by_cost"], drawn, confidence),
        "reject": _reject(answers, kinds, drawn, confidence),
    }


def _decided(answers: Answers, costs: Numbers) -> dict[str, Decided]:
    assert answers.odds is not None
    expected = answers.odds @ costs.T
    by_cost, likely = expected.argmin(axis=1), answers.odds.argmax(axis=1)
    nobody = np.zeros(len(by_cost), dtype=bool)
    cost = costs[by_cost, answers.true_codes]
    reject_cost = answers.study.spec.decide.reject_cost
    doubtful = expected.min(axis=1) > reject_cost if reject_cost else nobody
    return {
        "by_cost": Decided(by_cost, cost, nobody),
        "by_probability": Decided(likely, costs[likely, answers.true_codes], nobody),
        "with_reject": Decided(by_cost, np.where(doubtful, reject_cost, cost), doubtful),
    }


def _reject(
    answers: Answers, kinds: dict[str, Decided], drawn: list[Numbers], confidence: float
) -> dict[str, Any] | None:
    reject_cost = answers.study.spec.decide.reject_cost
    if not reject_cost:
        return None
    decided = kinds["with_reject"]
    kept = ~decided.handed
    right = int((decided.labels == answers.true_codes)[kept].sum())
    handed = share(int(decided.handed.sum()), len(kept), confidence=confidence)
    return {
        "cost": reject_cost,
        "handed": asdict(handed),
        "expected_cost": _cost(decided, drawn, confidence),
        "saved": _saved(kinds["by_cost"], decided, drawn, confidence),
        "right_of_kept": asdict(share(right, int(kept.sum()), confidence=confidence))
        if kept.any()
        else None,
    }


def _cost(decided: Decided, drawn: list[Numbers], confidence: float) -> dict[str, Any]:
    return _mean(decided.costs, drawn, confidence)


def _saved(
    before: Decided, after: Decided, drawn: list[Numbers], confidence: float
) -> dict[str, Any]:
    return _mean(before.costs - after.costs, drawn, confidence)


def _mean(values: Numbers, drawn: list[Numbers], confidence: float) -> dict[str, Any]:
    means = np.concatenate([each @ values / each.sum(axis=1) for each in drawn])
    low, high = percentiles(means, confidence=confidence)
    return {"value": float(values.mean()), "low": low, "high": high}


def _by_label(study: Study, costs: Numbers) -> dict[str, dict[str, float]]:
    labels = [str(each) for each in study.classes]
    return {
        decided: dict(zip(labels, map(float, line), strict=True))
        for decided, line in zip(labels, costs, strict=True)
    }


def _counts(study: Study, decided: Decided) -> dict[str, int]:
    counts = np.bincount(decided.labels, minlength=len(study.classes)).tolist()
    return {str(label): count for label, count in zip(study.classes, counts, strict=True)}


def _place(places: dict[str, int], label: str, where: str) -> int:
    if label not in places:
        path = where if where == "decide.costs" else f"decide.costs.{shown(where)}"
        raise SpecRefused(
            path, f"no class is {shown(label)}", f"they are {', '.join(places)}"[:300]
        )
    return places[label]
