"""One pipeline from raw records by name to answers: preparation and model."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline

from models.training.preparation import preparer
from models.training.study import Study


def pipeline_of(study: Study, estimator: Any, *, scaled: bool) -> Pipeline:
    """An unfitted pipeline of the study's columns into an estimator, which may want them scaled."""
    return Pipeline([("prepare", preparer(study, scaled=scaled)), ("model", estimator)])
