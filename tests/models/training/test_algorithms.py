"""Algorithms: which there are, and what can be tuned of them."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection import ParameterSampler

from models.errors import SpecRefused
from models.training.algorithms import ALGORITHMS, Algorithm, algorithms_of
from tests.models.training.by_hand import study

EVERY = [each for of_task in ALGORITHMS.values() for each in of_task.values()]


def test_all_that_people_expect_are_there() -> None:
    shared = {"dummy", "ridge", "knn", "tree", "random_forest", "extra_trees", "mlp"}
    shared |= {"gradient_boosting", "hist_gradient_boosting"}

    assert set(ALGORITHMS["regression"]) == shared | {"linear", "lasso", "elastic_net", "svr"}
    assert set(ALGORITHMS["classification"]) == shared | {"logistic", "naive_bayes", "svc"}


def test_baseline_is_compared_even_where_nobody_named_it() -> None:
    named = study(compare={"algorithms": ["tree", "logistic"]})

    assert [each.name for each in algorithms_of(named)] == ["dummy", "logistic", "tree"]


def test_name_that_the_task_does_not_have_is_refused_with_what_was_meant() -> None:
    with pytest.raises(SpecRefused, match=r"compare.algorithms.*did you mean random_forest\?"):
        algorithms_of(study(compare={"algorithms": ["randomforest"]}))


def test_weights_of_classes_are_asked_for_by_balance_alone() -> None:
    logistic = ALGORITHMS["classification"]["logistic"]

    assert logistic.make(study(balance=True), {}, 0).class_weight == "balanced"
    assert logistic.make(study(), {}, 0).class_weight is None


@pytest.mark.parametrize("algorithm", EVERY, ids=lambda each: f"{each.task}-{each.name}")
def test_whatever_a_range_gives_is_valid_for_the_algorithm(algorithm: Algorithm) -> None:
    own = study(algorithm.task)
    space = {name: each.drawn_from() for name, each in algorithm.space.items()}
    drawn = ParameterSampler(space, 5, random_state=1) if space else [{}]
    suggested = [{name: _lowest(r.suggested_from()) for name, r in algorithm.space.items()}]

    for params in [*drawn, *suggested]:
        made = algorithm.make(own, params, 7)
        _innermost(made)._validate_params()
        for name, value in params.items():
            assert _innermost(made).get_params()[name] == value
        if algorithm.seeded:
            assert _innermost(made).random_state == 7


def _lowest(distribution: Any) -> Any:
    return getattr(distribution, "low", None) or distribution.choices[0]


def _innermost(made: Any) -> Any:
    if isinstance(made, CalibratedClassifierCV):
        return made.estimator
    return made.regressor if isinstance(made, TransformedTargetRegressor) else made
