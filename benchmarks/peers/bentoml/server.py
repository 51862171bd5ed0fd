"""BentoML: one service whose requests name the model."""

from __future__ import annotations

import os
from pathlib import Path

import bentoml
import joblib
import numpy as np


@bentoml.service(workers=int(os.environ["BENCH_WORKERS"]), logging={"access": {"enabled": False}})
class Models:
    """Every model of the loads."""

    def __init__(self) -> None:
        folder = Path(os.environ["BENCH_MODELS"])
        self.models = {path.stem: joblib.load(path) for path in folder.glob("*.joblib")}

    @bentoml.api(route="/predict")
    def predict(self, model: str, features: np.ndarray) -> np.ndarray:
        """Answer rows in JSON."""
        return np.asarray(self.models[model].predict(features))

    @bentoml.api(route="/predict/npy")
    def predict_npy(self, model: str, rows: Path) -> np.ndarray:
        """Answer an array that is a file in a form."""
        return np.asarray(self.models[model].predict(np.load(rows)))
