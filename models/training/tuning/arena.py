"""Where a search has its trials judged: on inner folds of its rows, in batches of a fixed size.

A batch is as large whatever runs it, and is told in order: so the next is the same one, wherever
and on however many workers the trials ran.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np

from models.training.algorithms import Algorithm
from models.training.fitting import Judged, Trial, judge_all
from models.training.folds import Fold
from models.training.measures import measure_of
from models.training.parallel import Workers
from models.training.progress import Phase, Progress, Reporting
from models.training.study import Study

BATCH: Final = 4

Stopped = Literal["trials", "seconds", "patience"]
Proposal = tuple[int, Mapping[str, Any]]  # the number of a trial, and its parameters


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """A trial and its mean over the inner folds; None where it failed.

    `rows` is how many it was fitted on, of the rows that a fold offers.
    """

    number: int
    params: Mapping[str, Any]
    score: float | None
    seconds: float
    rows: int
    failed: str = ""

    def as_json(self) -> dict[str, Any]:
        """The trial as plain JSON types."""
        return {
            "number": self.number,
            "params": dict(self.params),
            "score": self.score,
            "seconds": self.seconds,
            "rows": self.rows,
            "failed": self.failed,
        }


@dataclass(frozen=True, slots=True)
class Found:
    """What a search tried, the best of it, and why it stopped."""

    trials: Sequence[Tried]
    params: Mapping[str, Any]
    stopped: Stopped


@dataclass(kw_only=True)
class Arena:
    """One search's: `key` names it among the results, `left` says how many seconds it has yet."""

    study: Study
    algorithm: Algorithm
    metric: str
    folds: Sequence[Fold]
    workers: Workers
    reporting: Reporting
    key: str
    left: Callable[[], float]
    note: str = ""
    tried: list[Tried] = field(default_factory=list)

    @property
    def seed(self) -> int:
        """What decides which trials are drawn."""
        return self.study.spec.seed

    @property
    def most(self) -> int:
        """How many trials there may be."""
        return self.study.spec.tune.trials

    @property
    def greater_is_better(self) -> bool:
        """Which way is better."""
        measure = measure_of(self.metric)
        return measure is None or measure.greater_is_better

    def judge(
        self, proposals: Sequence[Proposal], *, folds: Sequence[Fold] = (), rung: str = ""
    ) -> list[Tried]:
        """Judge some trials on the folds, or on others; they are kept in order."""
        used = folds or self.folds
        trials = [
            Trial(
                key=f"{self.key}/{rung}trial-{number}/fold-{at}",
                algorithm=self.algorithm.name,
                params=params,
                fold=fold,
                only=self.metric,
            )
            for number, params in proposals
            for at, fold in enumerate(used)
        ]
        judged = judge_all(self.study, trials, self.workers, self.reporting)
        found = []
        for number, params in proposals:
            own = [next(judged) for _ in used]
            found.append(self._tried(number, params, own, rows=len(used[0][0])))
            self.tried.append(found[-1])
            self._tell()
        return found

    def why_stop(self) -> Stopped | None:
        """Why there is to be no other batch; asked between batches."""
        patience = self.study.spec.tune.patience
        scored = [each for each in self.tried if each.score is not None]
        if patience and scored and len(self.tried) - self.tried.index(self.best(scored)) > patience:
            return "patience"
        return "seconds" if self.spent() else None

    def spent(self) -> bool:
        """Whether the time is over: known to whoever goes on from here."""
        at = f"{self.key}/after-{len(self.tried)}"
        return bool(self.reporting.once(at, lambda: {"spent": self.left() <= 0})["spent"])

    def best(self, tried: Sequence[Tried]) -> Tried:
        """The best of some trials, the first of equals; those that failed come last."""
        return min(tried, key=lambda each: (self._cost(each), each.number))

    def found(self, stopped: Stopped, *, among: Sequence[Tried] = ()) -> Found:
        """What the search ends with."""
        return Found(tuple(self.tried), self.best(among or self.tried).params, stopped)

    def _cost(self, tried: Tried) -> float:
        if tried.score is None:
            return math.inf
        return -tried.score if self.greater_is_better else tried.score

    def _tried(
        self, number: int, params: Mapping[str, Any], judged: Sequence[Judged], *, rows: int
    ) -> Tried:
        failed = next((str(each["failed"]) for each in judged if "failed" in each), "")
        told = [
            each["scores"][self.metric] for each in judged if self.metric in each.get("scores", {})
        ]
        return Tried(
            number=number,
            params=params,
            score=None if failed or not told else float(np.mean(told)),
            seconds=sum(each.get("seconds", 0.0) for each in judged),
            rows=rows,
            failed=failed,
        )

    def _tell(self) -> None:
        best = self.best(self.tried)
        said = f"{self.algorithm.title}{self.note}: best {self.metric} {best.score or 0.0:.4g}"
        self.reporting.tell(Progress(Phase.TUNING, len(self.tried), self.most, said))
