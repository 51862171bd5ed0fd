"""What a fitted pipeline says of some rows, beside what is true of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.training.study import Study

Numbers = NDArray[np.float64]
Codes = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """Truth and answers, row by row; `odds` has a column for each of the study's classes."""

    study: Study
    rows: NDArray[np.intp]
    truth: NDArray[Any]
    answers: NDArray[Any]
    odds: Numbers | None = None

    @property
    def true_codes(self) -> Codes:
        """The place of each true label among the study's classes."""
        return _codes(self.study, self.truth)

    @property
    def answer_codes(self) -> Codes:
        """The place of each answered label."""
        return _codes(self.study, self.answers)

    def only(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Answers:
        """The same of some of the rows."""
        return Answers(
            study=self.study,
            rows=self.rows[chosen],
            truth=self.truth[chosen],
            answers=self.answers[chosen],
            odds=None if self.odds is None else self.odds[chosen],
        )


def answers_of(study: Study, fitted: Any, rows: NDArray[np.intp]) -> Answers:
    """Ask a fitted pipeline about rows of the study."""
    rows = np.asarray(rows, dtype=np.intp)
    return answers_to(study, fitted, study.features.iloc[rows], rows)


def answers_to(
    study: Study, fitted: Any, features: Any, rows: NDArray[np.intp], *, with_odds: bool = True
) -> Answers:
    """Ask it about the same rows, with features that were changed."""
    return Answers(
        study=study,
        rows=rows,
        truth=study.target[rows],
        answers=np.asarray(fitted.predict(features)),
        odds=_odds(study, fitted, features) if with_odds else None,
    )


def some_of(rows: NDArray[np.intp], *, most: int, seed: int) -> NDArray[np.intp]:
    """No more than so many of the rows, drawn by the seed, in their order."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def _odds(study: Study, fitted: Any, features: Any) -> Numbers | None:
    if study.task != "classification" or not hasattr(fitted, "predict_proba"):
        return None
    given = np.asarray(fitted.predict_proba(features), dtype=np.float64)
    odds = np.zeros((len(given), len(study.classes)))
    # A class that no row of the training had has no column, and no chance.
    odds[:, _codes(study, fitted.classes_)] = given
    return odds


def _codes(study: Study, labels: NDArray[Any]) -> Codes:
    places = {label: place for place, label in enumerate(study.classes)}
    return np.fromiter((places[label] for label in labels.tolist()), np.intp, len(labels))
