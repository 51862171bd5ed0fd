"""Takes linear estimators of scikit-learn apart: which kind they are, and their arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.errors import EstimatorNotHeld
from models.labels import plain_labels

Arrays = dict[str, NDArray[Any]]
Taken = tuple[str, Arrays]
LINKS: Final = {"IdentityLink": "identity", "LogLink": "log"}

REGRESSORS: Final = frozenset(
    {
        "ARDRegression",
        "BayesianRidge",
        "ElasticNet",
        "ElasticNetCV",
        "GammaRegressor",
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
        "PoissonRegressor",
        "QuantileRegressor",
        "Ridge",
        "RidgeCV",
        "SGDRegressor",
        "TheilSenRegressor",
        "TweedieRegressor",
    }
)
# How their scores become probabilities; of the stochastic one, its loss says so.
CHANCES: Final = {
    "LinearDiscriminantAnalysis": "discriminant",
    "LinearSVC": "none",
    "LogisticRegression": "softmax",
    "LogisticRegressionCV": "softmax",
    "PassiveAggressiveClassifier": "none",
    "Perceptron": "none",
    "RidgeClassifier": "none",
    "RidgeClassifierCV": "none",
    "SGDClassifier": "none",
}
CLASSIFIERS: Final = frozenset(CHANCES)
LOSSES: Final = {"log_loss": "logistic", "modified_huber": "huber"}


def _regressor(estimator: Any) -> Taken:
    loss = getattr(estimator, "_base_loss", None)
    link = "identity" if loss is None else LINKS.get(type(loss.link).__name__)
    if link is None:
        raise EstimatorNotHeld("its link is not one that this engine knows")
    return "regressor", {**_scores(estimator), "link": np.array([link])}


def _classifier(estimator: Any) -> Taken:
    name = type(estimator).__name__
    scores = _scores(estimator)
    binarizer = getattr(estimator, "_label_binarizer", None)
    if binarizer is not None and binarizer.y_type_.startswith("multilabel"):
        return "answers", scores
    chances = CHANCES[name]
    if name == "SGDClassifier":
        chances = LOSSES.get(estimator.loss, chances)
    arrays = {
        **scores,
        "classes": plain_labels(estimator.classes_),
        "chances": np.array([chances]),
    }
    if name == "LinearDiscriminantAnalysis" and estimator.solver != "lsqr":
        return "discriminant", {**arrays, **_directions(estimator)}
    return "classifier", arrays


def _directions(estimator: Any) -> Arrays:
    arrays = {
        "scalings": dense(estimator.scalings_),
        "components": np.array([estimator._max_components], np.int64),
    }
    if estimator.solver == "svd":
        arrays["centre"] = dense(estimator.xbar_)
    return arrays


def _scores(estimator: Any) -> Arrays:
    coef = dense(estimator.coef_)
    intercept = np.atleast_1d(np.asarray(estimator.intercept_, np.float64))
    outputs = np.atleast_2d(coef)
    return {
        "coef": outputs,
        "intercept": np.broadcast_to(intercept, (len(outputs),)).copy(),
        "flat": np.array([coef.ndim == 1]),
        "turned": np.array([not coef.flags.c_contiguous]),
    }


def _one_class(estimator: Any) -> Taken:
    return "one class", {"coef": dense(estimator.coef_), "offset": dense(estimator.offset_)}


def _latent(estimator: Any) -> Arrays:
    rotations = getattr(estimator, "x_rotations_", None)
    return {
        "centre": dense(estimator._x_mean),
        "scale": dense(estimator._x_std),
        "rotations": dense(estimator.x_weights_ if rotations is None else rotations),
    }


def _least_squares(estimator: Any) -> Taken:
    return "least squares", {
        **_latent(estimator),
        "coef": dense(estimator.coef_),
        "intercept": dense(estimator.intercept_),
        "flat": np.array([bool(estimator._predict_1d)]),
    }


def dense(value: object) -> NDArray[np.float64]:
    """A dense array of finite float64; raises EstimatorNotHeld."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu" or not value.size:
        raise EstimatorNotHeld("its coefficients are not a dense array")
    array = value.astype(np.float64)
    if not np.isfinite(array).all():
        raise EstimatorNotHeld("a coefficient is not finite")
    return array


TAKERS: Final[Mapping[str, Callable[[Any], Taken]]] = {
    **dict.fromkeys(REGRESSORS, _regressor),
    **dict.fromkeys(CLASSIFIERS, _classifier),
    **dict.fromkeys(("CCA", "PLSCanonical", "PLSRegression"), _least_squares),
    "PLSSVD": lambda estimator: ("latent", _latent(estimator)),
    "SGDOneClassSVM": _one_class,
}
