"""LightGBM's own files: text, opened as an estimator that answers as LightGBM's own would."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import lightgbm
import numpy as np
from numpy.typing import NDArray

from models.errors import FormatRefused
from models.formats import FORMATS
from models.handlers import Kept, Opened
from models.soundness.lightgbm_documents import LightgbmDocument, read_lightgbm

FORMAT: Final = FORMATS["lightgbm"]
# Objectives by their first word, and the estimator of LightGBM that has them.
CLASSIFYING: Final = frozenset({"binary", "multiclass", "multiclassova"})
RANKING: Final = frozenset({"lambdarank", "rank_xendcg"})


@dataclass(frozen=True, slots=True)
class Tags:
    """What scikit-learn asks of an estimator first."""

    estimator_type: str | None


class LightgbmModel:
    """A booster that answers a number, or several, for each row."""

    def __init__(self, booster: lightgbm.Booster, document: LightgbmDocument) -> None:
        self.booster_ = booster
        self.objective_ = document.objective
        self.n_features_in_ = document.columns
        self.split_points_ = [np.asarray(values) for values in document.thresholds]
        if document.feature_names is not None:
            self.feature_names_in_ = np.array(document.feature_names, dtype=object)

    def __sklearn_tags__(self) -> Tags:
        return Tags("ranker" if _kind(self.objective_) in RANKING else "regressor")

    def predict(self, rows: NDArray[np.float64]) -> NDArray[Any]:
        """Return what the objective means, or raw scores where it is a custom one."""
        return np.asarray(self.booster_.predict(rows, num_threads=1))


class LightgbmClassifier(LightgbmModel):
    """A booster with the methods of LightGBM's classifier; labels are 0, 1, ..."""

    def __init__(self, booster: lightgbm.Booster, document: LightgbmDocument) -> None:
        super().__init__(booster, document)
        self.classes_ = np.arange(max(2, document.groups))

    def __sklearn_tags__(self) -> Tags:
        return Tags("classifier")

    def predict(self, rows: NDArray[np.float64]) -> NDArray[Any]:
        """Return the likeliest label of each row."""
        chosen: NDArray[Any] = self.classes_[np.argmax(self.predict_proba(rows), axis=1)]
        return chosen

    def decision_function(self, rows: NDArray[np.float64]) -> NDArray[Any]:
        """Return the sum of the leaves that a row reaches, for each label or for the second."""
        return np.asarray(self.booster_.predict(rows, raw_score=True, num_threads=1))

    def predict_proba(self, rows: NDArray[np.float64]) -> NDArray[Any]:
        """Return the probability of each label."""
        answers = super().predict(rows)
        return answers if answers.ndim > 1 else np.vstack((1.0 - answers, answers)).transpose()


class LightgbmFile:
    """Files that Booster.save_model wrote."""

    def open(self, data: bytes) -> Opened:
        """Look through the trees, then let LightGBM read them."""
        document = read_lightgbm(data)
        try:
            booster = lightgbm.Booster(model_str=document.text)
        except lightgbm.basic.LightGBMError as error:
            raise FormatRefused(f"LightGBM does not take it: {error}"[:300]) from error
        kind = LightgbmClassifier if _kind(document.objective) in CLASSIFYING else LightgbmModel
        return Opened(kind(booster, document), (), Kept(FORMAT.name, data))


def _kind(objective: str) -> str:
    """An objective without its numbers."""
    return objective.partition(" ")[0]
