"""The tuning of candidates, judged on rows that no search of theirs saw.

The search is repeated within each fold of the comparison, on the rows that the fold fits on, and
what it finds there is judged on the fold's other rows: so a tuned candidate has the same folds as
the others, and no advantage of having been chosen by them. What it would be served with is found by
a search on all the rows.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from models.training.algorithms import ALGORITHMS
from models.training.comparison import with_costs
from models.training.entries import Entry, Ranking, failure_in
from models.training.fitting import Trial, judge_all
from models.training.folds import Fold, Rows, folds_of, inner_folds_of
from models.training.parallel import Workers
from models.training.progress import Reporting
from models.training.study import Study
from models.training.tuning.arena import Arena, Found
from models.training.tuning.bayesian import bayesian_search
from models.training.tuning.drawing import random_search
from models.training.tuning.halving import halving_search

SEARCHES: Final[Mapping[str, Callable[[Arena], Found]]] = MappingProxyType(
    {"random": random_search, "halving": halving_search, "bayesian": bayesian_search}
)


@dataclass(frozen=True, slots=True)
class Search:
    """The search of one algorithm on all rows, and of each fold what it had found there."""

    algorithm: str
    method: str
    found: Found
    nested: Sequence[Found]

    @property
    def is_cut(self) -> bool:
        """Whether any of them ended because its time did."""
        return any(each.stopped == "seconds" for each in (self.found, *self.nested))

    def as_json(self) -> dict[str, Any]:
        """The search as plain JSON types."""
        return {
            "algorithm": self.algorithm,
            "method": self.method,
            "params": dict(self.found.params),
            "trials": [each.as_json() for each in self.found.trials],
            "stopped": self.found.stopped,
            "nested": [
                {"params": dict(each.params), "trials": len(each.trials), "stopped": each.stopped}
                for each in self.nested
            ],
        }


@dataclass(frozen=True, slots=True)
class Tuned:
    """The tuned candidates, their searches, and those for which there was no time."""

    entries: Sequence[Entry]
    searches: Sequence[Search]
    left_out: Sequence[str]


def tune(
    study: Study,
    rows: Rows,
    entries: Sequence[Entry],
    ranking: Ranking,
    workers: Workers,
    reporting: Reporting,
) -> Tuned:
    """Tune the best of some entries that have something to tune, as many as the spec says."""
    waiting = _worth_it(study, entries, ranking)
    folds = folds_of(study, rows)
    share = _Shares(study, reporting, searches=len(waiting) * (len(folds) + 1))
    made: list[tuple[Entry, Search]] = []
    left_out = []
    for entry in waiting:
        key = f"tune/{entry.algorithm}"
        turn = reporting.once(f"{key}/turn", lambda: {"comes": reporting.left() > 0})
        if not turn["comes"]:
            left_out.append(entry.title)
            continue
        one = _Tuning(study, rows, folds, entry, ranking.metric, workers, reporting, share)
        made.append(one.done())
    return Tuned([entry for entry, _ in made], [search for _, search in made], left_out)


def _worth_it(study: Study, entries: Sequence[Entry], ranking: Ranking) -> list[Entry]:
    wish = study.spec.tune
    if wish.method == "none":
        return []
    able = [
        entry
        for entry in ranking.order(entries)
        if entry.failed is None and ALGORITHMS[study.task][entry.algorithm].space
    ]
    return able[: wish.best]


class _Shares:
    """Gives each search its share of the time: what is left, by the searches that are to come."""

    def __init__(self, study: Study, reporting: Reporting, *, searches: int) -> None:
        self._until = time.monotonic() + (study.spec.tune.seconds or math.inf)
        self._left = reporting.left
        self._searches = searches

    def next(self) -> Callable[[], float]:
        """What says how much of its share the next search has yet."""
        whole = min(self._left(), self._until - time.monotonic())
        ends = time.monotonic() + whole / max(1, self._searches)
        self._searches -= 1
        return lambda: ends - time.monotonic()


@dataclass(frozen=True, slots=True)
class _Tuning:
    """The tuning of one candidate."""

    study: Study
    rows: Rows
    folds: Sequence[Fold]
    entry: Entry
    metric: str
    workers: Workers
    reporting: Reporting
    shares: _Shares

    def done(self) -> tuple[Entry, Search]:
        """Search within each fold and on all rows, and judge what was found on the folds."""
        nested = [
            self._search(train, f"fold-{at}", f", within fold {at + 1}")
            for at, (train, _) in enumerate(self.folds)
        ]
        found = self._search(self.rows, "all", "")
        entry = self._judged(found, nested)
        entry = with_costs(self.study, entry, self.rows, self.reporting)
        search = Search(self.entry.algorithm, self.study.spec.tune.method, found, nested)
        return entry, search

    def _search(self, rows: Rows, name: str, note: str) -> Found:
        arena = Arena(
            study=self.study,
            algorithm=ALGORITHMS[self.study.task][self.entry.algorithm],
            metric=self.metric,
            folds=inner_folds_of(self.study, rows),
            workers=self.workers,
            reporting=self.reporting,
            key=f"tune/{self.entry.algorithm}/{name}",
            left=self.shares.next(),
            note=note,
        )
        return SEARCHES[self.study.spec.tune.method](arena)

    def _judged(self, found: Found, nested: Sequence[Found]) -> Entry:
        trials = [
            Trial(
                key=f"tune/{self.entry.algorithm}/fold-{at}/judged",
                algorithm=self.entry.algorithm,
                params=each.params,
                fold=fold,
            )
            for at, (each, fold) in enumerate(zip(nested, self.folds, strict=True))
        ]
        judged = list(judge_all(self.study, trials, self.workers, self.reporting))
        return Entry(
            algorithm=self.entry.algorithm,
            title=self.entry.title,
            params=found.params,
            tuned=True,
            failed=failure_in(judged, self.metric),
            scores=[each.get("scores", {}) for each in judged],
            unconverged=sum(each.get("unconverged", False) for each in judged),
            fold_params=[each.params for each in nested],
        )
