"""Each model in MLflow's own form: python packing.py FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path

import joblib
import mlflow.sklearn

folder = Path(sys.argv[1])
for file in folder.glob("*.joblib"):
    mlflow.sklearn.save_model(
        joblib.load(file), folder / "mlflow" / file.stem, serialization_format="cloudpickle"
    )
