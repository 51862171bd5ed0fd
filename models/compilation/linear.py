"""Linear models as one matrix product, bit for bit as scikit-learn computes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.compilation import Predictor, Unsuitable
from models.errors import ArraysMalformed
from models.tables import Features, Table

REGRESSORS: Final = frozenset(
    {
        "ARDRegression",
        "BayesianRidge",
        "ElasticNet",
        "ElasticNetCV",
        "HuberRegressor",
        "Lars",
        "LarsCV",
        "Lasso",
        "LassoCV",
        "LassoLars",
        "LassoLarsCV",
        "LassoLarsIC",
        "LinearRegression",
        "LinearSVR",
        "MultiTaskElasticNet",
        "MultiTaskElasticNetCV",
        "MultiTaskLasso",
        "MultiTaskLassoCV",
        "OrthogonalMatchingPursuit",
        "OrthogonalMatchingPursuitCV",
        "PassiveAggressiveRegressor",
        "QuantileRegressor",
        "Ridge",
        "RidgeCV",
        "SGDRegressor",
        "TheilSenRegressor",
    }
)
CLASSIFIERS: Final = frozenset(
    {
        "LinearDiscriminantAnalysis",
        "LinearSVC",
        "LogisticRegression",
        "LogisticRegressionCV",
        "PassiveAggressiveClassifier",
        "Perceptron",
        "RidgeClassifier",
        "RidgeClassifierCV",
        "SGDClassifier",
    }
)

Floats = NDArray[np.float64]


PREDICT: Final = frozenset({"predict"})


@dataclass(frozen=True, slots=True)
class LinearRegressor:
    """Answers `X @ coef.T + intercept`."""

    coef: Floats
    intercept: Floats

    @property
    def methods(self) -> frozenset[str]:
        """What it answers."""
        return PREDICT

    @property
    def size(self) -> int:
        """The bytes of its arrays."""
        return self.coef.nbytes + self.intercept.nbytes

    def answer(self, method: str, features: Features) -> Floats:
        """Return one number, or one row of numbers, for each row."""
        assert method == "predict", "it answers nothing else"
        assert not isinstance(features, Table), "it takes numbers alone"
        answers: Floats = features @ self.coef.T + self.intercept
        return answers


@dataclass(frozen=True, slots=True)
class LinearClassifier:
    """Answers the label whose linear score is highest; of two labels, by the score's sign."""

    coef: Floats
    intercept: Floats
    classes: NDArray[Any]

    @property
    def methods(self) -> frozenset[str]:
        """What it answers."""
        return PREDICT

    @property
    def size(self) -> int:
        """The bytes of its arrays."""
        return self.coef.nbytes + self.intercept.nbytes + self.classes.nbytes

    def answer(self, method: str, features: Features) -> NDArray[Any]:
        """Return one label for each row."""
        assert method == "predict", "it answers nothing else"
        assert not isinstance(features, Table), "it takes numbers alone"
        scores = features @ self.coef.T + self.intercept
        if scores.shape[1] == 1:
            chosen: NDArray[Any] = self.classes[(scores.ravel() > 0).astype(np.intp)]
        else:
            chosen = self.classes[scores.argmax(axis=1)]
        return chosen


class LinearEngine:
    """Serves scikit-learn's linear models in numpy alone."""

    name = "linear"

    def compile(self, estimator: object) -> Mapping[str, NDArray[Any]] | Unsuitable:
        """Return coef, intercept and, of a classifier, classes."""
        kind = type(estimator)
        known = kind.__module__.startswith("sklearn.")
        if not known or kind.__name__ not in REGRESSORS | CLASSIFIERS:
            return Unsuitable(f"{kind.__name__} is no linear model that this engine knows")
        coef, intercept = getattr(estimator, "coef_", None), getattr(estimator, "intercept_", None)
        if not isinstance(coef, np.ndarray) or intercept is None:
            return Unsuitable("its coefficients are not a dense array")
        arrays = {
            "coef": coef.astype(np.float64),
            "intercept": np.atleast_1d(np.asarray(intercept, np.float64)),
        }
        if kind.__name__ in CLASSIFIERS:
            classes = _plain_labels(getattr(estimator, "classes_", None))
            if isinstance(classes, Unsuitable):
                return classes
            arrays["coef"] = np.atleast_2d(arrays["coef"])  # some hold one score as a flat row
            arrays["classes"] = classes
        fault = _fault(arrays)
        return Unsuitable(fault) if fault else arrays

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> Predictor:
        """Open a regressor, or with classes a classifier."""
        fault = _fault(arrays)
        if fault:
            raise ArraysMalformed(fault)
        coef, intercept = arrays["coef"], arrays["intercept"]
        if "classes" in arrays:
            return LinearClassifier(coef, intercept, arrays["classes"])
        return LinearRegressor(coef, intercept)


def _plain_labels(classes: object) -> NDArray[Any] | Unsuitable:
    """Labels without Python objects, equal one by one to those of the estimator."""
    if not isinstance(classes, np.ndarray) or classes.ndim != 1:
        return Unsuitable("its labels are not one list")
    if classes.dtype.kind == "i":
        return classes.astype(np.int64)
    if classes.dtype.kind == "f":
        return classes.astype(np.float64)
    plain = classes.astype(np.str_) if all(type(c) is str for c in classes.tolist()) else classes
    # numpy's text arrays end at a trailing NUL, and hold no Python objects.
    if plain.dtype.kind not in "bU" or plain.tolist() != classes.tolist():
        return Unsuitable("its labels are of a type that arrays do not hold")
    return plain


def _fault(arrays: Mapping[str, NDArray[Any]]) -> str | None:
    """Say what keeps the arrays from being a linear model."""
    if not {"coef", "intercept"} <= arrays.keys() <= {"coef", "intercept", "classes"}:
        return "a linear model has coef, intercept and perhaps classes"
    coef, intercept = arrays["coef"], arrays["intercept"]
    if coef.dtype != np.float64 or intercept.dtype != np.float64:
        return "coefficients are not float64"
    if not (np.isfinite(coef).all() and np.isfinite(intercept).all()):
        return "a coefficient is not finite"
    outputs = coef.shape[0] if coef.ndim == 2 else 1
    if coef.ndim not in (1, 2) or not coef.size or intercept.shape not in {(1,), (outputs,)}:
        return "the shapes of coefficients and intercept do not fit"
    return _label_fault(coef, arrays["classes"]) if "classes" in arrays else None


def _label_fault(coef: Floats, classes: NDArray[Any]) -> str | None:
    scores = coef.shape[0]
    if classes.ndim != 1 or classes.dtype.kind not in "ifbU":
        return "the labels are not one list of texts, numbers or truth values"
    if coef.ndim != 2 or len(classes) != (2 if scores == 1 else scores):
        return "there are not as many labels as scores"
    return None
