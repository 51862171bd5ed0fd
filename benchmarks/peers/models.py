"""The models of the loads, fitted alike everywhere: python models.py FOLDER [NAME ...]."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import joblib
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomTreesEmbedding,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler

MODELS: Final[Mapping[str, Callable[[], Any]]] = {
    "linear": LinearRegression,
    "forest": lambda: RandomForestClassifier(100, random_state=0),
    "pipeline": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
    "boosting": lambda: HistGradientBoostingClassifier(random_state=0),
    "native": lambda: make_pipeline(
        StandardScaler(), SplineTransformer(), LogisticRegression(max_iter=1000)
    ),
    # One row takes it a fifth of a second: what a tenant may do to the others.
    "slow": lambda: make_pipeline(
        RandomTreesEmbedding(2000, max_depth=3, random_state=0), LogisticRegression()
    ),
}


def fitted(name: str) -> Any:
    """The model of a load."""
    return MODELS[name]().fit(*load_breast_cancer(return_X_y=True))


def load_models(folder: Path) -> dict[str, Any]:
    """Every model that was saved in a folder, by its name."""
    return {path.stem: joblib.load(path) for path in sorted(folder.glob("*.joblib"))}


def main() -> None:
    """Fit, and save."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:]:
        joblib.dump(fitted(name), folder / f"{name}.joblib")


if __name__ == "__main__":
    main()
