from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.cluster import BisectingKMeans, KMeans
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
)
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.neighbors import KernelDensity, KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, SplineTransformer
from sklearn.svm import SVC, SVR, OneClassSVM
from sklearn.tree import DecisionTreeClassifier

from models.errors import FormatRefused
from models.handlers.skops_file import SkopsFile
from models.soundness.estimators import refuse_unsound
from tests.models.files import skops_bytes, with_array

RANDOM = np.random.default_rng(11)
FEATURES = RANDOM.normal(size=(60, 3))
LABELS = np.where(FEATURES[:, 0] > 0, "up", "down")
THREE = np.digitize(FEATURES[:, 0], [-0.5, 0.5])
WORDS = np.array(["red", "green", "blue"], dtype=object)[THREE].reshape(-1, 1)

Alter = Callable[[Any], object]


def _is_tree(array: Any) -> bool:
    return bool(array.dtype.names and "left_child" in array.dtype.names and array.size > 1)


def _is_histogram(array: Any) -> bool:
    return bool(array.dtype.names and "feature_idx" in array.dtype.names and array.size > 1)


def _set(field: str, value: float) -> Any:
    def change(array: Any) -> None:
        array[field][0] = value

    return change


@pytest.mark.parametrize(
    ("estimator", "wanted", "change"),
    [
        (DecisionTreeClassifier(), _is_tree, _set("left_child", 2**40)),
        (DecisionTreeClassifier(), _is_tree, _set("right_child", 0)),
        (DecisionTreeClassifier(), _is_tree, _set("right_child", -1)),
        (DecisionTreeClassifier(), _is_tree, _set("left_child", -7)),
        (DecisionTreeClassifier(), _is_tree, _set("feature", 3)),
        (DecisionTreeClassifier(), _is_tree, _set("feature", -2)),
        (DecisionTreeClassifier(), _is_tree, _set("threshold", np.nan)),
        (RandomForestClassifier(3), _is_tree, _set("feature", 3)),
        (GradientBoostingClassifier(n_estimators=2), _is_tree, _set("left_child", 2**40)),
        (HistGradientBoostingClassifier(max_iter=2), _is_histogram, _set("left", 2**31)),
        (HistGradientBoostingClassifier(max_iter=2), _is_histogram, _set("right", 0)),
        (HistGradientBoostingClassifier(max_iter=2), _is_histogram, _set("feature_idx", 9)),
        (HistGradientBoostingClassifier(max_iter=2), _is_histogram, _set("is_categorical", 1)),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "fit") else None,
)
def test_tree_with_an_altered_index_is_refused(estimator: Any, wanted: Any, change: Any) -> None:
    honest = skops_bytes(estimator.fit(FEATURES, LABELS))

    with pytest.raises(FormatRefused, match="a node of a tree"):
        SkopsFile().open(with_array(honest, wanted, change))


@pytest.mark.parametrize("algorithm", ["kd_tree", "ball_tree"])
def test_tree_of_neighbours_with_an_altered_index_is_refused(algorithm: str) -> None:
    def is_tree(array: Any) -> bool:
        return bool(array.dtype.names and "idx_end" in array.dtype.names)

    model = KNeighborsClassifier(algorithm=algorithm, leaf_size=5).fit(FEATURES, LABELS)
    honest = skops_bytes(model)

    for field, value in (("idx_start", -1), ("idx_end", 10**6)):
        with pytest.raises(FormatRefused, match="leads nowhere"):
            SkopsFile().open(with_array(honest, is_tree, _set(field, value)))
    with pytest.raises(FormatRefused, match="rows that are not there"):
        SkopsFile().open(with_array(honest, _is_permutation, _last_row_far_away))


def _is_permutation(array: Any) -> bool:
    rows = array.dtype == np.int64 and array.ndim == 1 and len(array) == len(FEATURES)
    return bool(rows) and sorted(array.tolist()) == list(range(len(FEATURES)))


def _last_row_far_away(array: Any) -> None:
    array[-1] = 10**9


def _machine(**options: Any) -> SVC:
    return SVC(**options).fit(FEATURES, THREE)


def _random() -> Any:
    model = RandomForestClassifier(2, random_state=np.random.RandomState(1))
    return model.fit(FEATURES, LABELS)


def _stand(position: int) -> Alter:
    def change(model: Any) -> None:
        state = model.random_state.get_state(legacy=False)
        state["state"]["pos"] = position
        model.random_state.set_state(state)

    return change


def _put(attribute: str, change: Alter) -> Alter:
    """Set an attribute to what a function makes of it."""

    def put(model: Any) -> None:
        value = getattr(model, attribute)
        setattr(model, attribute, change(value.copy() if hasattr(value, "copy") else value))

    return put


def _first(value: Any) -> Alter:
    def change(array: Any) -> Any:
        array[0] = value
        return array

    return change


def _sparse_neighbours() -> Any:
    return KNeighborsClassifier(algorithm="brute").fit(scipy.sparse.csr_matrix(FEATURES), LABELS)


def _far_column(model: Any) -> None:
    model._fit_X.indices[0] = 10**6


def _narrow(array: Any) -> Any:
    return array[:, :-1]


def _shorter(array: Any) -> Any:
    return array[:-1]


ALTERED = [
    pytest.param(_random, _stand(10**6), id="random state beyond its words"),
    pytest.param(_random, _stand(-1), id="random state before its words"),
    pytest.param(_machine, _put("_n_support", _first(10**6)), id="support vectors that are not"),
    pytest.param(_machine, _put("_n_support", _first(-1)), id="fewer than no support vectors"),
    pytest.param(_machine, _put("_dual_coef_", _narrow), id="support vectors without a weight"),
    pytest.param(_machine, _put("_intercept_", _shorter), id="too few intercepts"),
    pytest.param(_machine, _put("support_vectors_", _narrow), id="narrow support vectors"),
    pytest.param(_machine, _put("_probA", lambda _: np.ones(1)), id="too few probabilities"),
    pytest.param(
        lambda: SVC(kernel="precomputed").fit(FEATURES @ FEATURES.T, THREE),
        _put("support_", _first(10**6)),
        id="support vector beyond the kernel",
    ),
    pytest.param(
        lambda: SVR().fit(FEATURES, FEATURES[:, 0]),
        _put("_dual_coef_", _narrow),
        id="regression without a weight",
    ),
    pytest.param(
        lambda: OneClassSVM().fit(FEATURES),
        _put("support_vectors_", _narrow),
        id="narrow support vectors of one class",
    ),
    pytest.param(
        lambda: KNeighborsClassifier().fit(FEATURES, LABELS),
        _put("_y", _first(10**6)),
        id="neighbour of no class",
    ),
    pytest.param(
        lambda: KNeighborsClassifier().fit(FEATURES, LABELS),
        _put("_y", _shorter),
        id="neighbour without a class",
    ),
    pytest.param(_sparse_neighbours, _far_column, id="sparse column far away"),
    pytest.param(
        lambda: KMeans(2, n_init=1).fit(FEATURES),
        _put("cluster_centers_", _narrow),
        id="narrow centres",
    ),
    pytest.param(
        lambda: BisectingKMeans(3).fit(FEATURES),
        lambda model: setattr(model._bisecting_tree.left, "center", np.zeros(1)),
        id="narrow centre within",
    ),
    pytest.param(
        lambda: TfidfVectorizer().fit(["red green", "blue"]),
        lambda model: model.vocabulary_.update(red=10**9),
        id="word beyond the vocabulary",
    ),
    pytest.param(
        lambda: HashingVectorizer().fit(["red"]),
        lambda model: setattr(model, "n_features", 0),
        id="hashing into nothing",
    ),
    pytest.param(
        lambda: OneHotEncoder().fit(WORDS),
        lambda model: setattr(model, "_n_features_outs", [1]),
        id="category without a column",
    ),
    pytest.param(
        lambda: OneHotEncoder(min_frequency=25).fit(WORDS),
        lambda model: model._default_to_infrequent_mappings[0].__setitem__(0, 10**6),
        id="rare category far away",
    ),
    pytest.param(
        lambda: SplineTransformer().fit(FEATURES),
        lambda model: setattr(model.bsplines_[0], "_c", model.bsplines_[0]._c[:1]),
        id="spline without weights",
    ),
    pytest.param(
        lambda: SplineTransformer().fit(FEATURES),
        lambda model: setattr(model.bsplines_[0], "_t", model.bsplines_[0]._t[::-1]),
        id="spline backwards",
    ),
    pytest.param(
        lambda: DecisionTreeClassifier().fit(FEATURES, LABELS),
        lambda model: setattr(model, "n_features_in_", 1),
        id="tree wider than its owner",
    ),
    pytest.param(
        lambda: RandomForestClassifier(2).fit(FEATURES, LABELS),
        lambda model: setattr(model, "n_features_in_", 1),
        id="trees wider than their forest",
    ),
    pytest.param(
        lambda: IsolationForest(n_estimators=2, max_features=2).fit(FEATURES),
        lambda model: setattr(model, "estimators_features_", [np.array([0])] * 2),
        id="trees wider than what they get",
    ),
    pytest.param(
        lambda: HistGradientBoostingClassifier(max_iter=2).fit(FEATURES, LABELS),
        lambda model: setattr(model, "n_features_in_", 1),
        id="histogram trees wider than their model",
    ),
]


@pytest.mark.parametrize(("make", "alter"), ALTERED)
def test_what_native_code_would_follow_out_of_its_memory_is_refused(
    make: Callable[[], Any], alter: Alter
) -> None:
    model = make()
    refuse_unsound(model)
    alter(model)

    with pytest.raises(FormatRefused):
        refuse_unsound(model)
    with pytest.raises(FormatRefused):
        SkopsFile().open(skops_bytes(model))


def test_metric_that_weighs_other_columns_is_refused() -> None:
    kernel = {"metric": "seuclidean", "metric_params": {"V": np.ones(3)}}
    model = KernelDensity(**kernel).fit(FEATURES)
    refuse_unsound(model)

    def is_weights(array: Any) -> bool:
        return bool(array.shape == (3,) and (array == 1).all())

    import io

    from tests.models.files import archive_of, members_of, npy_bytes

    honest = skops_bytes(model)
    members = members_of(honest)
    altered = {
        name: npy_bytes(np.ones(2))
        for name, data in members.items()
        if name.endswith(".npy") and is_weights(np.load(io.BytesIO(data)))
    }
    assert altered
    with pytest.raises(FormatRefused):
        SkopsFile().open(archive_of(members | altered))


def test_histogram_model_of_categories_is_taken_though_it_orders_its_columns_anew() -> None:
    frame = pd.DataFrame({"size": FEATURES[:, 0], "colour": pd.Categorical(WORDS.ravel())})
    model = HistGradientBoostingClassifier(max_iter=3, categorical_features="from_dtype")
    model.fit(frame, LABELS)
    again = SkopsFile().open(skops_bytes(model)).estimator

    assert again.predict(frame).tolist() == model.predict(frame).tolist()


def test_what_was_never_fitted_has_nothing_to_look_at() -> None:
    parts = [SVC(), TfidfVectorizer(), KMeans(), OneHotEncoder(), KNeighborsClassifier()]

    for part in [*parts, HistGradientBoostingClassifier(), RandomForestClassifier()]:
        refuse_unsound(part)


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(PolynomialFeatures(), DecisionTreeClassifier()),
        make_pipeline(PolynomialFeatures(), RandomForestClassifier(2)),
        IsolationForest(n_estimators=2, max_features=2),
        SVC(kernel="precomputed"),
        KNeighborsClassifier(metric="mahalanobis", metric_params={"VI": np.eye(3)}),
    ],
    ids=str,
)
def test_honest_model_whose_parts_are_wider_or_narrower_is_taken(model: Any) -> None:
    rows = FEATURES @ FEATURES.T if getattr(model, "kernel", "") == "precomputed" else FEATURES

    assert SkopsFile().open(skops_bytes(model.fit(rows, LABELS)))
