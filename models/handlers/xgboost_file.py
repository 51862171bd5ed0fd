"""XGBoost's own files, in JSON or binary JSON: opened as the estimator that would save them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import xgboost

from models.errors import FormatRefused
from models.formats import FORMATS
from models.handlers import Kept, Opened
from models.soundness.xgboost_documents import XgboostDocument, read_xgboost

FORMAT: Final = FORMATS["xgboost"]
CLASSIFYING: Final = ("binary:", "multi:")
RANKING: Final = "rank:"
# Of what these objectives answer, 1 - x is no probability.
WITHOUT_PROBABILITIES: Final = frozenset({"binary:hinge", "binary:logitraw", "multi:softmax"})


class XgboostFile:
    """Files that Booster.save_model, or an estimator's save_model, wrote."""

    def open(self, data: bytes) -> Opened:
        """Look through the trees, then let XGBoost read them."""
        document = read_xgboost(data)
        estimator = _estimator(document.objective)
        try:
            estimator.load_model(bytearray(data))
        except (xgboost.core.XGBoostError, TypeError, ValueError) as error:
            raise FormatRefused(f"XGBoost does not take it: {error}"[:300]) from error
        _settle(estimator, document)
        return Opened(estimator, _newer(document.version), Kept(FORMAT.name, data))


def _estimator(objective: str) -> Any:
    if objective.startswith(CLASSIFYING):
        return xgboost.XGBClassifier(objective=objective, n_jobs=1)
    if objective.startswith(RANKING):
        return xgboost.XGBRanker(objective=objective, n_jobs=1)
    return xgboost.XGBRegressor(objective=objective, n_jobs=1)


def _settle(estimator: Any, document: XgboostDocument) -> None:
    """Make the estimator answer plain matrices, as one that was just fitted does."""
    booster = estimator.get_booster()
    booster.set_param({"nthread": 1, "verbosity": 0})
    estimator.objective = document.objective
    if document.booster == "gblinear":
        booster.feature_names = None  # it compares names, and rows come without
    if document.objective in WITHOUT_PROBABILITIES:
        estimator.predict_proba = None
    estimator.split_points_ = [np.asarray(values) for values in document.thresholds]


def _newer(saved: str) -> tuple[str, ...]:
    """The version that saved a file, if it is newer: XGBoost promises to read older ones alike."""
    return (saved,) if _numbers(saved)[:2] > _numbers(xgboost.__version__)[:2] else ()


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(".")[:3] if part.isdigit()]
