"""The models of the loads, fitted alike everywhere: python models.py FOLDER [NAME ...]."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import joblib
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import SparseCoder
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler


def _atoms(count: int) -> Any:
    """Directions in the space of 30 numbers, drawn alike everywhere."""
    found = np.random.default_rng(0).normal(size=(count, 30))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


MODELS: Final[Mapping[str, Callable[[], Any]]] = {
    "linear": LinearRegression,
    "forest": lambda: RandomForestClassifier(100, random_state=0),
    "pipeline": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
    "boosting": lambda: HistGradientBoostingClassifier(random_state=0),
    "native": lambda: make_pipeline(
        StandardScaler(), SplineTransformer(), LogisticRegression(max_iter=1000)
    ),
    # A row takes it 1.4 ms: what a tenant may do to the others.
    "slow": lambda: make_pipeline(
        StandardScaler(),
        SparseCoder(_atoms(20), transform_algorithm="lasso_lars", transform_alpha=0.01),
        LogisticRegression(max_iter=1000),
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
