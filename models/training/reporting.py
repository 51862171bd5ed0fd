"""The last of a training: its evaluation completed, and the report that people read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier, DummyRegressor

from models.training.answers import answers_of
from models.training.card import card
from models.training.figures import Subject, figures_of
from models.training.heldout import judged
from models.training.page import page
from models.training.slices import slices_of
from models.training.study import Study


def report(
    study: Study,
    entries: Sequence[Any],
    searches: Sequence[Any],
    fitted: Any,
    train_rows: NDArray[np.intp],
    held_rows: NDArray[np.intp],
    evaluation: Mapping[str, Any],
) -> tuple[dict[str, Any], bytes]:
    """Judge the winner by the rows held out; return the evaluation with all of it, and the page.

    `evaluation` has what was known before: of `entries` and `searches`, what it says is shown.
    """
    confidence = study.spec.compare.confidence
    answers = answers_of(study, fitted, held_rows)
    others = answers_of(study, _baseline(study, train_rows), held_rows)
    subject = Subject(
        study=study,
        fitted=fitted,
        train_rows=np.asarray(train_rows, dtype=np.intp),
        answers=answers,
        evaluation=evaluation,
    )
    figures, failures = figures_of(subject)
    completed = {
        **evaluation,
        "holdout": judged(answers, others, confidence=confidence),
        "slices": slices_of(answers, confidence=confidence),
        "notes": [*evaluation.get("notes", []), *failures],
        "figures": [each.as_json() for each in figures],
    }
    completed["card"] = card(completed)
    return completed, page(completed, figures)


def _baseline(study: Study, rows: NDArray[np.intp]) -> Any:
    """What knows nothing of a row: the shares of the classes, or the mean."""
    kind: Any = DummyRegressor() if study.task == "regression" else DummyClassifier()
    return kind.fit(study.features.iloc[rows], study.target[rows])
