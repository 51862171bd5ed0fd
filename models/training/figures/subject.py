"""What figures are drawn of: a winner, what it says of the rows held out, and how it was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.training.answers import Answers, answers_to, some_of
from models.training.measures import measure_of
from models.training.resampling import Weighing
from models.training.scoring import metric_of
from models.training.study import Study
from models.training.verdict import title_of


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A winner; `evaluation` is what is known of the training so far."""

    study: Study
    fitted: Any
    train_rows: NDArray[np.intp]
    answers: Answers
    evaluation: Mapping[str, Any]

    @cached_property
    def metric(self) -> str:
        """The metric that decides."""
        return metric_of(self.study)

    @property
    def measured(self) -> str:
        """What people call it."""
        return title_of(self.metric)

    @property
    def sign(self) -> int:
        """One if more of the metric is better, else minus one."""
        measure = measure_of(self.metric)
        return 1 if measure is None or measure.greater_is_better else -1

    def some_held(self, most: int) -> NDArray[np.intp]:
        """Some of the rows held out."""
        return some_of(self.answers.rows, most=most, seed=self.study.spec.seed)

    def score(self, fitted: Any, rows: NDArray[np.intp], features: Any) -> float:
        """The metric of a fitted pipeline on some rows, with features of theirs."""
        measure = measure_of(self.metric)
        answers = answers_to(
            self.study,
            fitted,
            features,
            rows,
            with_odds=measure is not None and measure.of_probabilities,
        )
        return score_of(answers, self.metric)


def score_of(answers: Answers, metric: str) -> float:
    """One metric of answers; not a number where they cannot tell it."""
    return float(Weighing(answers, np.ones((1, len(answers.rows)))).score(metric)[0])
