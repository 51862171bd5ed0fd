"""What one row may need in a worker, and rows that are answered portion by portion."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from models import portions
from models.compilation import Unsuitable
from models.compilation.trees.runtime import FASTER
from models.engines import ENGINES, FOR_WORKERS
from models.errors import ArraysMalformed, RowsRefused
from models.signature import Output, Signature

ROWS = np.random.default_rng(1).normal(size=(50, 3))
ANSWERS = ROWS.sum(axis=1)


def _opened(engine: str, estimator: Any) -> portions.Portioned:
    arrays = FOR_WORKERS[engine].compile(estimator)
    assert not isinstance(arrays, Unsuitable), arrays
    return FOR_WORKERS[engine].load(arrays)


def _multiplied(times: int, depth: int) -> Any:
    """Stages that each put so many copies of their columns side by side."""
    unions = [
        FeatureUnion([(f"u{at}", "passthrough") for at in range(times)]) for _ in range(depth)
    ]
    return make_pipeline(*unions).fit(ROWS)


def _signature(method: str) -> Signature:
    return Signature(
        task="other",
        columns=3,
        feature_names=None,
        classes=None,
        methods={method: Output("number")},
    )


def test_stages_that_multiply_columns_are_refused_for_a_worker() -> None:
    predictor = _opened("chain", _multiplied(30, 4))

    with pytest.raises(ArraysMalformed, match="in between"):
        portions.refuse_large(predictor, _signature("transform"), ["transform"])
    with pytest.raises(ArraysMalformed, match="in between"):
        predictor.answer("transform", ROWS)


def test_stages_of_a_usual_size_are_not_refused() -> None:
    predictor = _opened("chain", _multiplied(5, 2))

    portions.refuse_large(predictor, _signature("transform"), ["transform"])

    assert predictor.answer("transform", ROWS).shape == (50, 75)


def test_weights_that_are_too_many_for_one_row_are_not_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for engine, model in (
        ("linear", LinearRegression()),
        ("numeric", StandardScaler()),
        ("chain", make_pipeline(StandardScaler(), LinearRegression())),
    ):
        arrays = ENGINES[engine].compile(model.fit(ROWS, ANSWERS))
        assert not isinstance(arrays, Unsuitable), arrays
        ENGINES[engine].load(arrays)
        with monkeypatch.context() as patched:
            patched.setattr(portions, "MOST_WORK_PER_ROW", 2)
            with pytest.raises(ArraysMalformed, match="multiplications"):
                ENGINES[engine].load(arrays)


@pytest.mark.parametrize(
    ("engine", "model"),
    [
        ("chain", make_pipeline(PolynomialFeatures(3), StandardScaler(), LinearRegression())),
        ("numeric", PolynomialFeatures(3)),
    ],
)
def test_portions_are_answered_as_all_rows_at_once(
    engine: str, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = _opened(engine, model.fit(ROWS, ANSWERS))
    method = sorted(predictor.methods)[0]
    whole = predictor.answer(method, ROWS)
    counted: list[int] = []
    answer = portions.Metered.answer

    def counting(self: portions.Metered, method: str, features: Any) -> Any:
        counted.append(len(features))
        return answer(self, method, features)

    monkeypatch.setattr(portions.Metered, "answer", counting)
    monkeypatch.setattr(portions, "CELLS_AT_ONCE", 1_000)

    np.testing.assert_allclose(predictor.answer(method, ROWS), whole, rtol=1e-12)
    assert max(counted) < len(ROWS)


def test_call_with_too_many_answers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = _opened("numeric", PolynomialFeatures(3).fit(ROWS))
    monkeypatch.setattr(portions, "MOST_ANSWERS", 500)

    with pytest.raises(RowsRefused, match="so many rows"):
        predictor.answer("transform", ROWS)
    assert predictor.answer("transform", ROWS[:20]).shape == (20, 20)


def test_call_that_nobody_has_made_yet_may_take_for_ever() -> None:
    predictor = _opened("linear", LinearRegression().fit(ROWS, ANSWERS))
    assert predictor.microseconds("predict", 1) == np.inf

    predictor.answer("predict", ROWS)

    assert 0 < predictor.microseconds("predict", 1) < np.inf
    assert predictor.microseconds("predict", 1) <= predictor.microseconds("predict", 100)
    assert predictor.microseconds("predict_proba", 1) == np.inf


def test_call_is_thought_to_take_as_long_as_the_longest_way_through_all_trees() -> None:
    forest = ExtraTreesRegressor(20, random_state=0).fit(ROWS, ANSWERS)
    predictor = _opened("trees", forest)
    predictor.answer("predict", ROWS)
    steps = sum(tree.get_depth() for tree in forest.estimators_)

    call = predictor.microseconds("predict", 0)
    assert predictor.microseconds("predict", 1) - call == pytest.approx(
        portions.STEP * (steps // FASTER)
    )
