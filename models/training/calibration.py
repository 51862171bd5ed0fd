"""Probabilities that mean what they say: a pipeline, and a curve over what it answers."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import Pipeline

from models.training.algorithms import Algorithm
from models.training.fitting import targets_of
from models.training.folds import Rows, folds_of, splitting_of
from models.training.pipelines import pipeline_of
from models.training.study import Study

MANY_ROWS: Final = 1_000  # from which a free curve is better than a line (scikit-learn's advice)


def calibrated(study: Study, algorithm: Algorithm, params: Any, rows: Rows) -> Any:
    """Fit a pipeline to some rows with a curve that was fitted to answers on other rows of them.

    The curve is of out-of-fold answers, and the pipeline of all rows: one is served, not one a
    fold. By time, the pipeline is of the earlier rows and the curve of the last.
    """
    by_time = splitting_of(study) == "time"
    folds = folds_of(study, rows, repeats=1)
    places = {row: at for at, row in enumerate(rows.tolist())}
    inner = [tuple(np.array([places[row] for row in side]) for side in fold) for fold in folds]
    estimator = algorithm.make(study, params, study.spec.seed)
    pipeline: Pipeline = pipeline_of(study, estimator, scaled=algorithm.scaled)
    model = CalibratedClassifierCV(
        pipeline,
        method="isotonic" if len(rows) >= MANY_ROWS else "sigmoid",
        cv=inner[-1:] if by_time else inner,
        ensemble=by_time,
    )
    return model.fit(study.features.iloc[rows], targets_of(study, rows))
