"""Whether more rows would help: the winner fitted to ever more of them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure as Sheet
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import learning_curve

from models.training.answers import some_of
from models.training.figures.drawing import BLUE, ORANGE, Figure, draw
from models.training.figures.subject import Subject
from models.training.fitting import targets_of, unheard
from models.training.folds import Fold, folds_of

MOST_ROWS: Final = 2_000
FOLDS: Final = 3
SHARES: Final = (0.2, 0.4, 0.7, 1.0)


def learning(subject: Subject) -> Figure | None:
    """The metric by how many rows the winner was fitted to."""
    rows = some_of(subject.train_rows, most=MOST_ROWS, seed=subject.study.spec.seed)
    counts, fitted, unseen = _curve(subject, rows)
    known = ~np.isnan(unseen).all(axis=1)
    if known.sum() < 2:
        return None

    def paint(sheet: Sheet) -> None:
        axes = sheet.add_subplot()
        for scores, colour, label in (
            (unseen[known], BLUE, "rows not fitted to"),
            (fitted[known], ORANGE, "rows fitted to"),
        ):
            mean, spread = np.nanmean(scores, axis=1), np.nanstd(scores, axis=1)
            axes.plot(counts[known], mean, color=colour, marker="o", markersize=4, label=label)
            axes.fill_between(
                counts[known], mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0
            )
        axes.set_xlabel("rows fitted to")
        axes.set_ylabel(subject.measured)
        axes.grid(visible=True)
        axes.legend()

    about = (
        "Where the curve of rows not fitted to still gets better at its end, more rows would "
        f"help. The bands are one standard deviation of {FOLDS} folds."
    )
    if isinstance(subject.fitted, CalibratedClassifierCV):
        about += " Of the pipeline before it is calibrated."
    if len(subject.train_rows) > MOST_ROWS:
        about += f" Of {MOST_ROWS:,} of {len(subject.train_rows):,} rows, drawn at random."
    return Figure(name="learning", title="Learning curve", about=about, svg=draw(paint))


def _unfitted(fitted: Any) -> Any:
    """The pipeline to fit anew: within a calibrated one, whose folds are of all rows."""
    return clone(fitted.estimator if isinstance(fitted, CalibratedClassifierCV) else fitted)


def _curve(subject: Subject, rows: NDArray[np.intp]) -> tuple[Any, Any, Any]:
    study = subject.study
    folds = [_places(rows, fold) for fold in folds_of(study, rows, folds=FOLDS, repeats=1)]
    by_time = study.times is not None and study.groups is None

    def scoring(fitted: Any, features: Any, _: Any) -> float:
        return subject.score(fitted, features.index.to_numpy(), features)

    # The index says which row of the study each is, whatever the fold.
    features = study.features.iloc[rows].set_axis(rows, axis=0)
    with unheard():
        counts, fitted, unseen = learning_curve(
            _unfitted(subject.fitted),
            features,
            targets_of(study, rows),
            train_sizes=SHARES,
            cv=folds,
            scoring=scoring,
            shuffle=not by_time,
            random_state=study.spec.seed,
            error_score=np.nan,
        )
    return counts, fitted, unseen


def _places(rows: NDArray[np.intp], fold: Fold) -> Fold:
    train, test = fold
    return np.searchsorted(rows, train), np.searchsorted(rows, test)
