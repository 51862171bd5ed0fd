"""What the results of a training tell while it is under way: what leads, what columns are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from config.prose import one_line
from models.training.measures import USUAL, measure_of
from models.training.progress import Result

FOLD: Final = re.compile(r"compare/([a-z0-9_]{1,64})/fold-(\d{1,4})")
MOST_SHOWN: Final = 40
MOST_COLUMNS: Final = 200
MOST_TEXT: Final = 300
STUDY: Final = "study"  # the key of the result that says what each column is taken for
TEXTS: Final = ("name", "kind", "reason")
COUNTS: Final = ("missing", "unique")


class Standings:
    """Means over the folds that are done; nothing of it counts for the choice."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        compare = spec.get("compare") or {}
        self._wanted: str = compare.get("metric") or USUAL.get(spec.get("task") or "", "")
        self._scores: dict[str, list[dict[str, float]]] = {}
        self.columns: list[dict[str, Any]] = []

    def add(self, result: Result) -> None:
        """Take note of a result, if it is of a fold or of the columns."""
        if result.key == STUDY:
            self.columns = columns_of(result.value.get("columns"))
        fold = FOLD.fullmatch(result.key)
        scores = result.value.get("scores")
        if fold and isinstance(scores, Mapping) and self._has_room(fold[1]):
            self._scores.setdefault(fold[1], []).append(self._known(scores))

    def best(self) -> list[dict[str, Any]]:
        """Every algorithm with the mean of the metric so far, the best first."""
        metric = self._metric()
        measure = measure_of(metric)
        if measure is None:
            return []
        sign = -1 if measure.greater_is_better else 1
        means = {name: _mean(scores, metric) for name, scores in self._scores.items()}
        known = {name: mean for name, mean in means.items() if mean is not None}
        return [
            {
                "algorithm": name,
                "metric": metric,
                "mean": known[name],
                "folds": len(self._scores[name]),
            }
            for name in sorted(known, key=lambda name: (sign * known[name], name))
        ]

    def _has_room(self, name: str) -> bool:
        return name in self._scores or len(self._scores) < MOST_SHOWN

    def _known(self, scores: Mapping[str, Any]) -> dict[str, float]:
        """The numbers that may be asked for; all else that a trainer says is not kept."""
        wanted = {self._wanted} if self._wanted else set(USUAL.values())
        return {
            name: float(scores[name])
            for name in wanted & scores.keys()
            if isinstance(scores[name], int | float) and not isinstance(scores[name], bool)
        }

    def _metric(self) -> str:
        """The metric that was asked for, or the usual one of what there is."""
        if self._wanted:
            return self._wanted
        first = next(iter(self._scores.values()), [{}])[0]
        return next((name for name in USUAL.values() if name in first), "")


def columns_of(said: object) -> list[dict[str, Any]]:
    """The first columns, as far as a trainer says of each what is said of one."""
    listed = said if isinstance(said, list) else []
    return [_column(each) for each in listed[:MOST_COLUMNS] if _is_column(each)]


def _column(said: Mapping[str, Any]) -> dict[str, Any]:
    texts = {name: one_line(said[name], MOST_TEXT) for name in TEXTS}
    return texts | {name: said[name] for name in COUNTS}


def _is_column(said: object) -> bool:
    return (
        isinstance(said, Mapping)
        and all(type(said.get(name)) is str for name in TEXTS)
        and all(type(count := said.get(name)) is int and count >= 0 for name in COUNTS)
    )


def _mean(scores: list[dict[str, float]], metric: str) -> float | None:
    known = [each[metric] for each in scores if metric in each]
    return sum(known) / len(known) if known else None
