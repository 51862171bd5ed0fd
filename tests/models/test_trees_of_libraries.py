from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.compilation import Unsuitable
from models.engines import FOR_WORKERS
from models.errors import RowsRefused
from tests.models.tree_models import (
    AMOUNTS,
    GAPS,
    NUMBERS,
    ROWS,
    THREE,
    assert_same_answers,
    compiled,
    fitted,
    rows_around,
    thresholds_of,
)

xgboost = pytest.importorskip("xgboost")
lightgbm = pytest.importorskip("lightgbm")

TWO = (NUMBERS > 2).astype(int)
ENGINE = FOR_WORKERS["trees"]
ROUNDING = 1e-12  # of the exponential function in float64
CATEGORIES = (0.0, 1.0, 2.0, 3.0, 4.0, 7.0, 40.0, 1.5, -0.5, -1.0, 1e30, 2.0**32 + 1, np.nan)


def _rows(arrays: Any, *, categories: bool = False) -> Any:
    rows = rows_around(thresholds_of(arrays), gaps=True)
    rows[:40] *= 1000
    rows[np.abs(rows) > 3.3e38] = 1
    if categories:
        rows[:, 3] = np.random.default_rng(0).choice(CATEGORIES, len(rows))
    return rows


def _assert_agrees(estimator: Any, *, within: float, categories: bool = False) -> None:
    arrays = compiled(estimator)
    rows = _rows(arrays, categories=categories)
    assert_same_answers(estimator, ENGINE.load(arrays), rows, within=within)


@pytest.mark.parametrize(
    ("objective", "target"),
    [
        ("reg:squarederror", NUMBERS),
        ("reg:absoluteerror", NUMBERS),
        ("reg:pseudohubererror", NUMBERS),
        ("reg:logistic", TWO),
        ("count:poisson", AMOUNTS),
        ("reg:gamma", AMOUNTS),
        ("reg:tweedie", AMOUNTS),
        ("survival:cox", AMOUNTS),
    ],
)
def test_xgboost_regressor_answers_to_the_bit(objective: str, target: Any) -> None:
    estimator = fitted(xgboost.XGBRegressor(objective=objective, n_estimators=20), GAPS, target)

    _assert_agrees(estimator, within=0)


@pytest.mark.parametrize(
    ("settings", "target"),
    [
        ({}, TWO),
        ({"base_score": 0.3, "learning_rate": 5}, TWO),
        ({}, THREE),
        ({"objective": "multi:softmax"}, THREE),
        ({"multi_strategy": "multi_output_tree"}, THREE),
        ({"gamma": 2.0, "max_depth": 9}, THREE),
    ],
)
def test_xgboost_classifier_answers_to_the_bit(settings: dict[str, Any], target: Any) -> None:
    estimator = xgboost.XGBClassifier(**{"n_estimators": 15, **settings})

    _assert_agrees(fitted(estimator, GAPS, target), within=0)


def test_xgboost_in_other_forms_answers_to_the_bit() -> None:
    several = np.c_[NUMBERS, -NUMBERS]
    stops = xgboost.XGBClassifier(early_stopping_rounds=2)
    watched = {"eval_set": [(ROWS[:50], THREE[::-1][:50])], "verbose": False}

    _assert_agrees(fitted(xgboost.XGBRFClassifier(n_estimators=9), GAPS, THREE), within=0)
    _assert_agrees(fitted(xgboost.XGBRFRegressor(n_estimators=9), GAPS, NUMBERS), within=0)
    _assert_agrees(fitted(xgboost.XGBRegressor(n_estimators=9), GAPS, several), within=0)
    _assert_agrees(
        fitted(xgboost.XGBRanker(n_estimators=9), ROWS, THREE, group=[150, 150]), within=0
    )
    _assert_agrees(fitted(stops, ROWS, THREE, **watched), within=0)


def test_xgboost_categories_answer_to_the_bit() -> None:
    given = {"feature_types": ["q", "q", "q", "c", "q"], "enable_categorical": True}
    one = xgboost.XGBRegressor(n_estimators=15, max_cat_to_onehot=1, **given)
    each = xgboost.XGBClassifier(n_estimators=15, max_cat_to_onehot=100, **given)

    _assert_agrees(fitted(one, GAPS, NUMBERS), within=0, categories=True)
    _assert_agrees(fitted(each, GAPS, THREE), within=0, categories=True)


def test_xgboost_booster_alone_answers_and_refuses_as_it_does_itself() -> None:
    estimator = fitted(xgboost.XGBRegressor(n_estimators=15), GAPS, NUMBERS)
    booster = estimator.get_booster()
    arrays = compiled(booster)
    rows, predictor = _rows(arrays), ENGINE.load(arrays)

    assert predictor.answer("predict", rows).tolist() == (
        booster.predict(xgboost.DMatrix(rows)).tolist()
    )
    too_large = np.full((1, 5), 1e39)
    with pytest.raises(xgboost.core.XGBoostError, match="too large"):
        booster.predict(xgboost.DMatrix(too_large))
    with pytest.raises(RowsRefused, match="float32"):
        predictor.answer("predict", too_large)
    through = ENGINE.load(compiled(estimator))  # which its scikit-learn interface lets pass
    with np.errstate(over="ignore"):
        assert through.answer("predict", too_large) == estimator.predict(too_large)


@pytest.mark.parametrize("zero", [{}, {"zero_as_missing": True}, {"use_missing": False}])
@pytest.mark.parametrize("rows", [ROWS, GAPS], ids=["whole", "with gaps"])
def test_lightgbm_reads_what_is_missing_in_each_of_its_ways(rows: Any, zero: Any) -> None:
    half = rows.copy()
    half[::2, 4] = 0
    given = {"n_estimators": 15, "verbose": -1, **zero}

    _assert_agrees(fitted(lightgbm.LGBMRegressor(**given), half, NUMBERS), within=0)
    _assert_agrees(fitted(lightgbm.LGBMClassifier(**given), half, TWO), within=ROUNDING)
    categories = fitted(lightgbm.LGBMClassifier(**given), half, THREE, categorical_feature=[3])
    _assert_agrees(categories, within=ROUNDING, categories=True)


@pytest.mark.parametrize(
    "objective",
    ["poisson", "gamma", "tweedie", "huber", "quantile", "regression_l1", "cross_entropy"],
)
def test_lightgbm_regressor_answers_as_its_objective_means(objective: str) -> None:
    target = TWO if objective == "cross_entropy" else AMOUNTS
    estimator = lightgbm.LGBMRegressor(objective=objective, n_estimators=15, verbose=-1)

    _assert_agrees(fitted(estimator, GAPS, target), within=ROUNDING)


def test_lightgbm_in_other_forms_answers_alike() -> None:
    given = {"n_estimators": 12, "verbose": -1}
    texts = np.array(["no", "perhaps", "yes"])[THREE]
    stop = {
        "eval_set": [(ROWS[:50], texts[::-1][:50])],
        "callbacks": [lightgbm.early_stopping(2, verbose=False)],
    }
    ranker = fitted(lightgbm.LGBMRanker(**given), ROWS, THREE, group=[150, 150])

    _assert_agrees(fitted(lightgbm.LGBMClassifier(**given), GAPS, texts, **stop), within=ROUNDING)
    _assert_agrees(
        fitted(lightgbm.LGBMClassifier(objective="multiclassova", **given), GAPS, THREE),
        within=ROUNDING,
    )
    _assert_agrees(fitted(lightgbm.LGBMClassifier(boosting_type="dart", **given), GAPS, TWO),
                   within=ROUNDING)  # fmt: skip
    _assert_agrees(ranker, within=0)
    never_split = lightgbm.LGBMRegressor(min_child_samples=1000, **given)
    _assert_agrees(fitted(never_split, ROWS, NUMBERS), within=0)


def test_lightgbm_booster_alone_answers_as_it_does_itself() -> None:
    for estimator, target in (
        (lightgbm.LGBMRegressor(n_estimators=9, verbose=-1), NUMBERS),
        (lightgbm.LGBMClassifier(n_estimators=9, verbose=-1), TWO),
        (lightgbm.LGBMClassifier(n_estimators=9, verbose=-1), THREE),
    ):
        booster = fitted(estimator, GAPS, target).booster_
        arrays = compiled(booster)
        rows = _rows(arrays)

        np.testing.assert_allclose(
            ENGINE.load(arrays).answer("predict", rows), booster.predict(rows), rtol=ROUNDING
        )


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), leaves=st.integers(2, 40), labels=st.integers(2, 4))
def test_any_small_booster_answers_to_the_bit(seed: int, leaves: int, labels: int) -> None:
    random = np.random.default_rng(seed)
    scale = random.choice([1.0, 0.1, 1e-20, 1e30], 5)
    rows = random.integers(-3, 3, (60, 5)) * scale
    rows[random.random(rows.shape) < 0.1] = np.nan
    target = np.r_[np.arange(labels), random.integers(0, labels, 60 - labels)]
    given: dict[str, Any] = {"n_estimators": 5, "max_leaves": leaves, "max_depth": 0}
    trees = xgboost.XGBClassifier(grow_policy="lossguide", **given)
    light = lightgbm.LGBMRegressor(
        n_estimators=5, num_leaves=leaves, min_child_samples=1, verbose=-1
    )

    _assert_agrees(fitted(trees, rows, target), within=0)
    _assert_agrees(fitted(light, rows, target), within=0)


@pytest.mark.parametrize(
    ("estimator", "reason"),
    [
        (xgboost.XGBRegressor(booster="gblinear", n_estimators=2), "gblinear"),
        (xgboost.XGBClassifier(booster="dart", n_estimators=2), "weighted"),
        (xgboost.XGBClassifier(objective="binary:hinge", n_estimators=2), "binary:hinge"),
        (xgboost.XGBRegressor(missing=-1.0, n_estimators=2), "own way"),
        (lightgbm.LGBMRegressor(linear_tree=True, n_estimators=2, verbose=-1), "linear models"),
        (lightgbm.LGBMRegressor(reg_sqrt=True, n_estimators=2, verbose=-1), "squared"),
    ],
)
def test_engine_says_why_it_leaves_a_booster_to_its_library(estimator: Any, reason: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        refusal = ENGINE.compile(fitted(estimator, ROWS, TWO))

    assert isinstance(refusal, Unsuitable)
    assert reason in refusal.reason
