from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn import cross_decomposition, discriminant_analysis, linear_model, svm
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils import all_estimators
from sklearn.utils.extmath import softmax as own_softmax

from models.arrays import pack_arrays, unpack_arrays
from models.compilation import Predictor, Unsuitable
from models.compilation.linear import LinearEngine
from models.compilation.linear.taking import CLASSIFIERS, REGRESSORS
from models.engines import FOR_WORKERS
from models.errors import ArraysMalformed, MethodUnknown
from models.links import logistic, softmax
from models.signature import METHODS
from models.tables import Table

RANDOM = np.random.default_rng(7)
FEATURES = RANDOM.normal(size=(120, 4))
TARGET = FEATURES @ [1.0, -2.0, 0.5, 0.0] + 3
TWO = np.where(TARGET > 3, "yes", "no")
THREE = np.digitize(TARGET, [2.0, 4.0])
ESTIMATORS = dict(all_estimators())
EXTREMES = (0.0, -0.0, 5e-324, 1e-300, 1.0, 2.0**53, 1e20, 1e38, 1e150, -1e307)
ROUNDING = 1e-13  # of the exponential function, where numpy's and scipy's differ


def _fitted(estimator: Any, target: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what does not converge, or is deprecated, serves too
        return (estimator() if isinstance(estimator, type) else estimator).fit(FEATURES, target)


def _rows() -> Any:
    random = np.random.default_rng(3)
    parts = [random.normal(0, scale, (150, 4)) for scale in (1e-6, 1, 30, 1e3, 1e6, 1e12)]
    return np.vstack([*parts, random.choice(EXTREMES, (60, 4))])


ROWS = _rows()


def _compiled(estimator: Any) -> Predictor:
    arrays = LinearEngine().compile(estimator)
    assert not isinstance(arrays, Unsuitable), arrays
    return FOR_WORKERS["linear"].load(unpack_arrays(pack_arrays(arrays)))


def _has(estimator: Any, method: str) -> bool:
    # This solver's transform exists, and only says that it is not implemented.
    without = method == "transform" and getattr(estimator, "solver", None) == "lsqr"
    return hasattr(estimator, method) and not without


def _assert_agrees(estimator: Any) -> None:
    predictor = _compiled(estimator)
    assert predictor.methods == {method for method in METHODS if _has(estimator, method)}
    for method in predictor.methods:
        for rows in (ROWS, *ROWS[::50, np.newaxis]):
            with np.errstate(all="ignore"):
                own = getattr(estimator, method)(rows)
            answers = predictor.answer(method, rows)
            assert answers.shape == own.shape
            if own.dtype.kind == "f":
                np.testing.assert_allclose(answers, own, rtol=ROUNDING, atol=0, err_msg=method)
            else:
                assert answers.tolist() == own.tolist()


@pytest.mark.parametrize("name", sorted(REGRESSORS))
def test_linear_regressor_answers_as_scikit_learn_does(name: str) -> None:
    target = np.c_[TARGET, -TARGET] if name.startswith("MultiTask") else TARGET
    raised = name in {"GammaRegressor", "PoissonRegressor", "TweedieRegressor"}
    _assert_agrees(_fitted(ESTIMATORS[name], np.exp(target / 4) if raised else target))


@pytest.mark.parametrize("target", [TWO, THREE, TWO.astype(object), TARGET > 3, THREE / 2])
@pytest.mark.parametrize("name", sorted(CLASSIFIERS))
def test_linear_classifier_answers_every_method_as_scikit_learn_does(
    name: str, target: Any
) -> None:
    if target.dtype.kind == "f":
        target = np.where(target > 0.4, 1.0, -1.0)
    _assert_agrees(_fitted(ESTIMATORS[name], target))


@pytest.mark.parametrize("target", [TWO, THREE])
@pytest.mark.parametrize(
    "estimator",
    [
        linear_model.LogisticRegression(solver="newton-cg", C=1e6, fit_intercept=False),
        linear_model.SGDClassifier(loss="log_loss", random_state=0),
        linear_model.SGDClassifier(loss="modified_huber", random_state=0),
        linear_model.SGDClassifier(loss="hinge", random_state=0),
        discriminant_analysis.LinearDiscriminantAnalysis(solver="lsqr"),
        discriminant_analysis.LinearDiscriminantAnalysis(solver="eigen"),
        discriminant_analysis.LinearDiscriminantAnalysis(n_components=1),
        svm.LinearSVC(multi_class="crammer_singer"),
    ],
)
def test_classifier_with_other_settings_answers_alike(estimator: Any, target: Any) -> None:
    _assert_agrees(_fitted(estimator, target))


def test_logistic_regression_of_two_by_liblinear_answers_alike() -> None:
    _assert_agrees(_fitted(linear_model.LogisticRegression(solver="liblinear"), TWO))


@pytest.mark.parametrize("power", [0, 1, 1.5, 3])
def test_tweedie_regressor_answers_in_the_link_of_its_power(power: float) -> None:
    _assert_agrees(_fitted(linear_model.TweedieRegressor(power=power), np.exp(TARGET / 4)))
    identity = linear_model.TweedieRegressor(power=0, link="identity")
    _assert_agrees(_fitted(identity, TARGET))


@pytest.mark.parametrize("name", ["CCA", "PLSCanonical", "PLSRegression", "PLSSVD"])
def test_partial_least_squares_predict_and_transform_alike(name: str) -> None:
    estimator = getattr(cross_decomposition, name)(n_components=2)
    predictor = _compiled(_fitted(estimator, np.c_[TARGET, THREE]))
    calm = ROWS[:600]

    assert predictor.methods == {"transform"} | ({"predict"} if name != "PLSSVD" else set())
    for method in predictor.methods:
        own = getattr(estimator, method)(calm)
        np.testing.assert_allclose(predictor.answer(method, calm), own, rtol=ROUNDING)
    if name == "PLSRegression":
        one = _fitted(cross_decomposition.PLSRegression(), TARGET)
        assert _compiled(one).answer("predict", calm).tolist() == one.predict(calm).tolist()


def test_outlier_detection_by_a_plane_answers_alike() -> None:
    _assert_agrees(linear_model.SGDOneClassSVM(random_state=0).fit(FEATURES))


def test_several_questions_are_answered_alike() -> None:
    target = np.c_[TARGET > 3, THREE == 1, FEATURES[:, 0] > 0].astype(int)
    _assert_agrees(_fitted(linear_model.RidgeClassifier(), target))


def test_several_targets_and_no_intercept_are_compiled() -> None:
    _assert_agrees(_fitted(linear_model.Ridge(), np.c_[TARGET, THREE, -TARGET]))
    _assert_agrees(_fitted(linear_model.LinearRegression(fit_intercept=False), TARGET))
    _assert_agrees(_fitted(linear_model.LinearRegression(), TARGET[:, None]))


def test_model_fitted_on_float32_is_compiled() -> None:
    _assert_agrees(linear_model.Ridge().fit(FEATURES.astype(np.float32), TARGET))


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    name=st.sampled_from(sorted(CLASSIFIERS - {"LogisticRegressionCV", "LinearSVC"})),
    labels=st.integers(2, 5),
)
def test_any_small_classifier_answers_alike(seed: int, name: str, labels: int) -> None:
    random = np.random.default_rng(seed)
    features = random.integers(-2, 3, (40, 4)).astype(np.float64)
    target = np.r_[np.arange(labels), random.integers(0, labels, 40 - labels)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator = ESTIMATORS[name]().fit(features, target)

    _assert_agrees(estimator)


@given(st.lists(st.floats(-800, 800) | st.sampled_from([1e308, -1e308]), min_size=3, max_size=3))
def test_links_are_those_of_scipy_and_scikit_learn(scores: list[float]) -> None:
    row = np.array([scores])

    with np.errstate(over="ignore", under="ignore"):
        np.testing.assert_allclose(logistic(row), expit(row), rtol=ROUNDING)
        assert softmax(row).tolist() == own_softmax(row.copy()).tolist()


class Doubling(linear_model.LinearRegression):  # type: ignore[misc]
    """A model that looks linear and is not."""

    def predict(self, X: Any) -> Any:  # noqa: N803  scikit-learn's own name
        return 2 * super().predict(X)


@pytest.mark.parametrize(
    "estimator", [DecisionTreeRegressor(), svm.SVR(kernel="linear"), Doubling()]
)
def test_engine_says_why_it_takes_no_other_model(estimator: Any) -> None:
    refusal = LinearEngine().compile(_fitted(estimator, TARGET))

    assert isinstance(refusal, Unsuitable)
    assert type(estimator).__name__ in refusal.reason


def test_model_that_is_not_fitted_is_unsuitable() -> None:
    for estimator in (linear_model.LinearRegression(), linear_model.LogisticRegression()):
        assert isinstance(LinearEngine().compile(estimator), Unsuitable)


def test_model_with_a_coefficient_that_is_not_finite_is_unsuitable() -> None:
    estimator = _fitted(linear_model.LinearRegression(), TARGET)
    estimator.coef_[0] = np.nan

    assert isinstance(LinearEngine().compile(estimator), Unsuitable)


def test_sparse_coefficients_are_unsuitable() -> None:
    estimator = _fitted(linear_model.LogisticRegression(), TWO).sparsify()

    assert isinstance(LinearEngine().compile(estimator), Unsuitable)


def test_labels_that_arrays_would_change_are_unsuitable() -> None:
    estimator = _fitted(discriminant_analysis.LinearDiscriminantAnalysis(), TWO)
    estimator.classes_ = np.array(["no\0", "yes"], dtype=object)

    assert isinstance(LinearEngine().compile(estimator), Unsuitable)


def test_method_without_probabilities_is_not_answered() -> None:
    predictor = _compiled(_fitted(linear_model.RidgeClassifier(), TWO))

    with pytest.raises(MethodUnknown):
        predictor.answer("predict_proba", ROWS)


def test_columns_of_numbers_are_a_matrix_as_well() -> None:
    estimator = _fitted(linear_model.Ridge(), TARGET)
    table = Table(tuple(FEATURES.T))

    assert _compiled(estimator).answer("predict", table).tolist() == (
        estimator.predict(FEATURES).tolist()
    )


FLOATS = np.ones((2, 3))
WHOLE: dict[str, Any] = {
    "kind": np.array(["classifier"]),
    "coef": FLOATS,
    "intercept": np.ones(2),
    "flat": np.array([False]),
    "turned": np.array([False]),
    "classes": np.arange(2),
    "chances": np.array(["softmax"]),
}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"kind": np.array(["magic"])},
        {"kind": np.array([1])},
        {"coef": np.ones((2, 3, 1))},
        {"coef": FLOATS.astype(np.int64)},
        {"coef": np.ones(3)},
        {"intercept": np.ones(3)},
        {"flat": np.array([True])},
        {"classes": np.arange(3)},
        {"classes": np.ones((2, 2))},
        {"chances": np.array(["certainty"])},
        {"more": np.ones(2)},
    ],
)
def test_arrays_that_mean_no_linear_model_are_refused(change: dict[str, Any]) -> None:
    assert LinearEngine().load(WHOLE).methods
    with pytest.raises(ArraysMalformed):
        LinearEngine().load({**WHOLE, **change} if change else {})
