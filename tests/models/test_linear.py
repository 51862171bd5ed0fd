from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn import discriminant_analysis, linear_model, svm
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils import all_estimators

from models.arrays import pack_arrays, unpack_arrays
from models.compilation import Unsuitable
from models.compilation.linear import CLASSIFIERS, REGRESSORS, LinearEngine
from models.errors import ArraysMalformed
from models.parity import compare, drawn_rows

RANDOM = np.random.default_rng(7)
FEATURES = RANDOM.normal(size=(120, 4))
TARGET = FEATURES @ [1.0, -2.0, 0.5, 0.0] + 3
TWO = np.where(TARGET > 3, "yes", "no")
THREE = np.digitize(TARGET, [2.0, 4.0])
ESTIMATORS = dict(all_estimators())


def _fitted(estimator: Any, target: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what does not converge, or is deprecated, serves too
        return (estimator() if isinstance(estimator, type) else estimator).fit(FEATURES, target)


def _assert_agrees(estimator: Any) -> None:
    arrays = LinearEngine().compile(estimator)
    assert not isinstance(arrays, Unsuitable), arrays
    predictor = LinearEngine().load(unpack_arrays(pack_arrays(arrays)))
    report = compare(estimator, predictor, drawn_rows(4, seed=1), seed=1)
    assert report.agrees, report
    assert report.rows >= 5000


@pytest.mark.parametrize("name", sorted(REGRESSORS))
def test_linear_regressor_answers_as_scikit_learn_does(name: str) -> None:
    target = np.c_[TARGET, -TARGET] if name.startswith("MultiTask") else TARGET
    _assert_agrees(_fitted(ESTIMATORS[name], target))


@pytest.mark.parametrize("target", [TWO, THREE, TWO.astype(object), TARGET > 3, THREE / 2])
@pytest.mark.parametrize("name", sorted(CLASSIFIERS))
def test_linear_classifier_gives_the_same_labels(name: str, target: Any) -> None:
    if target.dtype.kind == "f":
        target = np.where(target > 0.4, 1.0, -1.0)
    _assert_agrees(_fitted(ESTIMATORS[name], target))


def test_several_targets_and_no_intercept_are_compiled() -> None:
    _assert_agrees(_fitted(linear_model.Ridge(), np.c_[TARGET, THREE, -TARGET]))
    _assert_agrees(_fitted(linear_model.LinearRegression(fit_intercept=False), TARGET))
    _assert_agrees(_fitted(linear_model.LinearRegression(), TARGET[:, None]))


def test_model_fitted_on_float32_is_compiled() -> None:
    _assert_agrees(linear_model.Ridge().fit(FEATURES.astype(np.float32), TARGET))


class Doubling(linear_model.LinearRegression):  # type: ignore[misc]
    """A model that looks linear and is not."""

    def predict(self, X: Any) -> Any:  # noqa: N803  scikit-learn's own name
        return 2 * super().predict(X)


@pytest.mark.parametrize(
    ("estimator", "target"),
    [
        (DecisionTreeRegressor(), TARGET),
        (svm.SVR(kernel="linear"), TARGET),
        (linear_model.PoissonRegressor(), np.exp(TARGET / 10)),
        (Doubling(), TARGET),
    ],
)
def test_engine_says_why_it_takes_no_other_model(estimator: Any, target: Any) -> None:
    refusal = LinearEngine().compile(_fitted(estimator, target))

    assert isinstance(refusal, Unsuitable)
    assert type(estimator).__name__ in refusal.reason


def test_model_with_a_coefficient_that_is_not_finite_is_unsuitable() -> None:
    estimator = _fitted(linear_model.LinearRegression(), TARGET)
    estimator.coef_[0] = np.nan

    assert isinstance(LinearEngine().compile(estimator), Unsuitable)


def test_labels_that_arrays_would_change_are_unsuitable() -> None:
    estimator = _fitted(discriminant_analysis.LinearDiscriminantAnalysis(), TWO)
    estimator.classes_ = np.array(["no\0", "yes"], dtype=object)

    assert isinstance(LinearEngine().compile(estimator), Unsuitable)


FLOATS = np.ones((2, 3))


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"coef": FLOATS},
        {"coef": FLOATS, "intercept": np.ones(3)},
        {"coef": FLOATS, "intercept": np.ones(2), "more": np.ones(2)},
        {"coef": np.ones((2, 3, 1)), "intercept": np.ones(2)},
        {"coef": FLOATS.astype(np.int64), "intercept": np.ones(2)},
        {"coef": FLOATS, "intercept": np.ones(2), "classes": np.arange(3)},
        {"coef": FLOATS, "intercept": np.ones(2), "classes": np.arange(1)},
        {"coef": np.ones(3), "intercept": np.ones(1), "classes": np.arange(2)},
        {"coef": FLOATS, "intercept": np.ones(2), "classes": np.ones((2, 2))},
    ],
)
def test_arrays_that_mean_no_linear_model_are_refused(arrays: dict[str, Any]) -> None:
    with pytest.raises(ArraysMalformed):
        LinearEngine().load(arrays)
