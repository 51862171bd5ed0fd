from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from models.estimators import NativePredictor, serve_natively
from models.inspection import inspect
from models.landmarks import landmarks_of
from models.parity import Parity, Reference, compare_with, refer
from models.probes import EXTREMES, SCALES, Source
from models.questions import ask_everything, labels_of
from models.signature import Signature
from models.tables import Features, Table, row_count


def drawn_rows(columns: int, *, seed: int) -> Any:
    """Rows of many sizes and signs for a model of which only the width is known."""
    random = np.random.default_rng(seed)
    per_scale = 720
    parts = [random.normal(0, scale, (per_scale, columns)) for scale in SCALES]
    parts.append(random.integers(-5, 100, (per_scale, columns)).astype(np.float64))
    parts.extend(np.full((1, columns), sign * value) for value in EXTREMES for sign in (1, -1))
    parts.append(random.choice(EXTREMES, (200, columns)))
    return np.ascontiguousarray(np.vstack(parts))


def compare(own: Any, other: Any, rows: Any, *, seed: int) -> Parity:
    """Compare two predictors in every method that both have, on the same rows."""
    methods = sorted(own.methods & other.methods, key=lambda name: (name != "predict", name))
    return compare_with(refer(own, methods, [rows]), other, methods, seed=seed)


ROWS = drawn_rows(3, seed=5)
RANDOM = np.random.default_rng(7)
FEATURES = RANDOM.normal(size=(200, 3)) * [1, 10, 100]
TARGET = FEATURES @ [1.0, 0.5, 0.01]
LABELS = np.where(TARGET > 0, "up", "down")


@dataclass
class Answers:
    """Answers a function of the rows to every method that it is said to have."""

    function: Callable[[Any], Any]
    methods: frozenset[str] = frozenset({"predict"})
    size: int = 0

    def answer(self, method: str, features: Features) -> Any:
        """Apply the function."""
        return self.function(features)


@dataclass
class Planted:
    """Answers as a model does, but for a difference in some rows."""

    own: NativePredictor
    wrong: Callable[[Any], Any]  # of rows, which are answered otherwise
    change: Callable[[Any], Any] = lambda answers: answers + 1.0
    size: int = 0

    @property
    def methods(self) -> frozenset[str]:
        """The model's own."""
        return self.own.methods

    def answer(self, method: str, features: Features) -> Any:
        """The model's answers, changed in the rows that are wrong."""
        answers = self.own.answer(method, features)
        wrong = np.asarray(self.wrong(features), bool)
        if wrong.any():
            answers = answers.copy()
            answers[wrong] = self.change(answers[wrong])
        return answers


def _compare(own: Any, other: Any) -> Parity:
    return compare(Answers(own), Answers(other), ROWS, seed=5)


def _questioned(
    estimator: Any,
    other: Callable[[NativePredictor], Any] = lambda own: own,
    *,
    given: Any = None,
) -> Parity:
    """The report on a predictor made of a model, asked everything."""
    own, signature, reference = _asked(estimator) if given is None else _ask(estimator, given)
    return compare_with(
        reference, other(own), tuple(signature.methods), labels=labels_of(signature), seed=3
    )


@functools.lru_cache(maxsize=1)
def _asked(estimator: Any) -> tuple[NativePredictor, Signature, Reference]:
    """A model with its own answers, once for all that are compared with it one after another."""
    return _ask(estimator)


def _ask(estimator: Any, given: Any = None) -> tuple[NativePredictor, Signature, Reference]:
    own = serve_natively(estimator)
    signature = inspect(own, given).signature
    source = Source(own.columns, landmarks_of(estimator), given=given, seed=3)
    return own, signature, ask_everything(own, signature, source, seed=3)


# --- what is a difference ------------------------------------------------------------------------


def test_rows_are_many_finite_and_the_same_for_the_same_seed() -> None:
    assert len(ROWS) >= 5000
    assert np.isfinite(ROWS).all()
    assert np.array_equal(ROWS, drawn_rows(3, seed=5))
    assert not np.array_equal(ROWS, drawn_rows(3, seed=6))
    assert np.abs(ROWS).max() < np.finfo(np.float32).max


def test_numbers_within_the_tolerance_agree() -> None:
    assert _compare(lambda x: x[:, 0], lambda x: x[:, 0] * (1 + 1e-12)).agrees


@pytest.mark.parametrize("function", [
    lambda x: x[:, 0] * (1 + 1e-8),
    lambda x: np.where(x[:, 0] > 1e30, 0.0, x[:, 0]),
    lambda x: np.where(x[:, 0] == 2.0**53, np.nan, x[:, 0]),
    lambda x: np.where(x[:, 0] == 2.0**53, np.inf, x[:, 0]),
    lambda x: x,
    lambda x: x[:, :1],
    lambda x: x[:, 0].astype(np.float32),
    lambda x: np.zeros(len(x), int),
])  # fmt: skip
def test_numbers_beyond_the_tolerance_do_not_agree(function: Any) -> None:
    assert not _compare(lambda x: x[:, 0], function).agrees


def test_both_overflowing_in_the_same_place_agree() -> None:
    def overflowing(x: Any) -> Any:
        return np.where(x[:, 0] > 1, np.inf, np.nan)

    assert _compare(overflowing, overflowing).agrees


def test_one_label_that_differs_is_one_too_many() -> None:
    def labels(x: Any) -> Any:
        return np.where(x[:, 0] > 0, "yes", "no")

    def others(x: Any) -> Any:
        return np.where(x[:, 0] >= 5e-324, "yes", np.where(x[:, 0] == 0, "yes", "no"))

    report = _compare(labels, others)

    assert report.labels_differing > 0
    assert not report.agrees


def test_labels_of_another_type_do_not_agree() -> None:
    assert not _compare(lambda x: x[:, 0] > 0, lambda x: (x[:, 0] > 0).astype(int)).agrees


def test_labels_that_are_numbers_are_compared_to_the_last_bit() -> None:
    own = Answers(lambda x: np.where(x[:, 0] > 0, 1.0, 2.0))
    other = Answers(lambda x: np.where(x[:, 0] > 0, 1.0 + 1e-12, 2.0))
    reference = refer(own, ["predict"], [ROWS])

    assert compare_with(reference, other, ["predict"], seed=5).agrees
    assert not compare_with(reference, other, ["predict"], labels=["predict"], seed=5).agrees


def test_a_single_row_answered_otherwise_is_found() -> None:
    assert not _compare(lambda x: x[:, 0], lambda x: x[:, 0] * (1 if len(x) > 1 else 2)).agrees


def test_what_is_left_of_one_is_rounding_but_a_small_probability_is_not() -> None:
    def probabilities(small: float) -> Any:
        return lambda x: np.tile([1 - small, small], (len(x), 1))

    assert _compare(probabilities(1e-16), probabilities(2e-16)).agrees
    assert not _compare(probabilities(1e-4), probabilities(1e-4 * (1 + 1e-8))).agrees


def test_numbers_that_cancel_are_rounding_but_others_are_not() -> None:
    def sums(x: Any) -> Any:
        return np.where(np.abs(x[:, 0]) < 1e-3, 1e-17, 1.0)

    assert _compare(sums, lambda x: np.where(sums(x) < 1, -2e-17, 1.0)).agrees
    assert not _compare(sums, lambda x: np.where(sums(x) < 1, -2e-12, 1.0)).agrees


def test_rows_of_which_a_model_is_not_sure_itself_do_not_count_where_that_is_asked() -> None:
    def own(x: Any) -> Any:
        return x[:, 0] - x[:, 1]

    def other(x: Any) -> Any:
        return own(x) + 16384.0  # the distance of two floats of that size

    rows = np.full((50, 3), 1e20)
    loose = refer(Answers(own), ["predict"], [rows], unsettled_by=1)
    strict = refer(Answers(own), ["predict"], [rows])

    def agrees(reference: Any, answers: Any) -> bool:
        return compare_with(reference, Answers(answers), ["predict"], seed=1).agrees

    assert not agrees(strict, other)
    assert agrees(loose.with_more(refer(Answers(own), ["predict"], [ROWS])), own)
    assert not agrees(loose, lambda x: own(x) + 1e9)
    assert _share_that_agrees(loose, other) > 0.5


def _share_that_agrees(reference: Any, answers: Any) -> float:
    """The share of rows, each for itself, in which a difference does not count."""
    alone = [batch for batch in reference.batches if len(batch.rows) == 1]
    agreeing = [
        compare_with(Reference((batch,), ()), Answers(answers), ["predict"], seed=1).agrees
        for batch in alone
    ]
    return float(np.mean(agreeing))


# --- refused rows --------------------------------------------------------------------------------


def _refusing(limit: float) -> Callable[[Any], Any]:
    def answer(x: Any) -> Any:
        if (x[:, 0] > limit).any():
            raise ValueError("too large")
        return x[:, 0]

    return answer


def test_rows_that_the_model_refuses_are_left_out_and_counted() -> None:
    rows = np.vstack([ROWS[:500] * 0 + 1, np.full((5, 3), 1e35)])
    report = compare(Answers(_refusing(1e30)), Answers(_refusing(1e30)), rows, seed=5)

    assert report.agrees
    assert report.refused == 5
    assert 500 <= report.rows < 700  # some are asked alone as well


def test_engine_that_answers_what_the_model_refuses_does_not_agree() -> None:
    rows = np.vstack([ROWS[:500] * 0 + 1, np.full((1, 3), 1e35)])

    assert not compare(Answers(_refusing(1e30)), Answers(_refusing(1e40)), rows, seed=5).agrees


def test_engine_that_refuses_what_the_model_answers_does_not_agree() -> None:
    assert not compare(Answers(_refusing(1e40)), Answers(_refusing(1e30)), ROWS, seed=5).agrees


def test_model_that_refuses_everything_is_not_proven_to_agree() -> None:
    report = compare(Answers(_refusing(-np.inf)), Answers(_refusing(-np.inf)), ROWS, seed=5)

    assert not report.agrees
    assert report.rows == 0


# --- planted differences -------------------------------------------------------------------------


def _beside(thresholds: Any, column: int, ulps: Sequence[int] = (0,)) -> Callable[[Any], Any]:
    """Rows exactly at some thresholds, or so many float64 beside them."""
    found = set()
    for threshold in np.asarray(thresholds, np.float64).tolist():
        for step in ulps:
            value = threshold
            for _ in range(abs(step)):
                value = float(np.nextafter(value, np.inf * np.sign(step)))
            found.add(value)
    return lambda rows: np.isin(_column(rows, column), sorted(found))


def _column(rows: Any, column: int) -> Any:
    return rows.columns[column] if isinstance(rows, Table) else rows[:, column]


def _thresholds(tree: Any, column: int) -> Any:
    return tree.threshold[tree.feature == column]


def _all_agree(estimator: Any) -> None:
    report = _questioned(estimator)
    assert report.agrees, report
    assert report.rows >= 5000


def test_tree_that_is_wrong_exactly_at_its_thresholds_is_found() -> None:
    tree = DecisionTreeRegressor(max_depth=4).fit(FEATURES, TARGET)
    wrong = _beside(_thresholds(tree.tree_, 0), 0)

    _all_agree(tree)
    assert not _questioned(tree, lambda own: Planted(own, wrong)).agrees


@pytest.mark.parametrize("step", [-1, 1])
def test_tree_that_is_wrong_one_float_beside_its_thresholds_is_found(step: int) -> None:
    tree = DecisionTreeRegressor(max_depth=4).fit(FEATURES, TARGET)
    wrong = _beside(_thresholds(tree.tree_, 1), 1, [step])

    assert not _questioned(tree, lambda own: Planted(own, wrong)).agrees


def test_forest_that_compares_in_float64_instead_of_float32_is_found() -> None:
    forest = RandomForestClassifier(5, max_depth=4, random_state=1).fit(FEATURES, LABELS)

    class Exact(Planted):
        """Compares every number as it is, where scikit-learn rounds it first."""

        def answer(self, method: str, features: Any) -> Any:
            paths = np.array([_walk(tree.tree_, features) for tree in forest.estimators_])
            share = paths.mean(axis=0)
            if method == "predict":
                return forest.classes_[share.argmax(axis=1)]
            return share if method == "predict_proba" else np.log(share)

    assert not _questioned(forest, lambda own: Exact(own, lambda _rows: False)).agrees


def _walk(tree: Any, rows: Any) -> Any:
    """A tree's answers by comparing float64 with float64."""
    node = np.zeros(len(rows), int)
    for _ in range(tree.max_depth):
        inner = tree.feature[node] >= 0
        value = rows[np.arange(len(rows)), np.maximum(tree.feature[node], 0)]
        below = np.where(
            np.isnan(value), tree.missing_go_to_left[node] == 1, value <= tree.threshold[node]
        )
        step = np.where(below, tree.children_left[node], tree.children_right[node])
        node = np.where(inner, step, node)
    return tree.value[node, 0]


@pytest.mark.parametrize("scaler", [StandardScaler(), MinMaxScaler(), None], ids=str)
def test_threshold_behind_a_scaler_is_found(scaler: Any) -> None:
    """At each jump of the pipeline, the lower side is answered like the upper."""
    model = make_pipeline(scaler or "passthrough", DecisionTreeRegressor(max_depth=3))
    model.fit(FEATURES, TARGET)

    def shifted(own: NativePredictor) -> Any:
        def answer(rows: Any) -> Any:
            return own.answer("predict", np.nextafter(rows, np.inf))

        return Answers(answer)

    _all_agree(model)
    assert not _questioned(model, shifted).agrees


def test_histogram_tree_that_is_wrong_at_its_thresholds_is_found() -> None:
    model = HistGradientBoostingRegressor(max_iter=3).fit(FEATURES, TARGET)
    nodes = np.concatenate([tree.nodes for stage in model._predictors for tree in stage])
    first = nodes[(nodes["is_leaf"] == 0) & (nodes["feature_idx"] == 0)]
    wrong = _beside(first["num_threshold"], 0)

    _all_agree(model)
    assert not _questioned(model, lambda own: Planted(own, wrong)).agrees


def test_bins_that_are_wrong_at_their_edges_are_found() -> None:
    model = KBinsDiscretizer(encode="ordinal", quantile_method="averaged_inverted_cdf")
    model.fit(FEATURES)
    wrong = _beside(model.bin_edges_[2][1:-1], 2)

    _all_agree(model)
    assert not _questioned(model, lambda own: Planted(own, wrong)).agrees


def test_tree_that_is_wrong_only_for_missing_values_is_found() -> None:
    tree = DecisionTreeClassifier(max_depth=3).fit(FEATURES, LABELS)

    def wrong(rows: Any) -> Any:
        return np.isnan(rows[:, 2]) & ~np.isnan(rows[:, 0])

    def change(answers: Any) -> Any:
        return answers[:, ::-1] if answers.ndim == 2 else answers

    _all_agree(tree)
    assert not _questioned(tree, lambda own: Planted(own, wrong, change)).agrees


def test_model_that_is_wrong_only_at_the_ninth_digit_is_found() -> None:
    model = LinearRegression().fit(FEATURES, TARGET)

    def change(answers: Any) -> Any:
        return answers * (1 + 1e-8)

    planted = _questioned(model, lambda own: Planted(own, lambda rows: rows[:, 0] > 1, change))
    assert not planted.agrees
    assert planted.labels_differing == 0


def test_classifier_that_is_wrong_only_in_its_probabilities_is_told_by_method() -> None:
    model = LogisticRegression().fit(FEATURES, LABELS)

    class Half(Planted):
        """Wrong in one method alone."""

        def answer(self, method: str, features: Any) -> Any:
            answers = self.own.answer(method, features)
            return answers * (1 + 1e-8) if method == "predict_proba" else answers

    report = _questioned(model, lambda own: Half(own, lambda _rows: False))
    assert {name for name, each in report.methods.items() if not each.agrees} == {"predict_proba"}


def _named_colours(*, handle_unknown: str = "ignore") -> tuple[Any, Any]:
    frame = pd.DataFrame(
        {
            "colour": pd.Series(RANDOM.choice(["red", "green", "blue"], 200), dtype=object),
            "size": FEATURES[:, 1],
        }
    )
    encoder = OneHotEncoder(handle_unknown=handle_unknown)
    columns = ColumnTransformer(
        [("colours", encoder, ["colour"]), ("sizes", SimpleImputer(), ["size"])]
    )
    model = make_pipeline(columns, LogisticRegression(C=10, max_iter=1000))
    return model.fit(frame, LABELS), frame


def test_encoder_that_is_wrong_only_for_unseen_categories_is_found() -> None:
    model, _ = _named_colours()
    known = {"red", "green", "blue"}

    def wrong(rows: Any) -> Any:
        return [text is not None and text not in known for text in rows.columns[0]]

    def change(answers: Any) -> Any:
        return answers[:, ::-1] if answers.ndim == 2 else answers

    _all_agree(model)
    assert not _questioned(model, lambda own: Planted(own, wrong, change)).agrees


def test_encoder_that_answers_unseen_categories_where_the_model_refuses_is_found() -> None:
    strict, _ = _named_colours(handle_unknown="error")

    class Lenient(Planted):
        """Takes whatever is unknown for red."""

        def answer(self, method: str, features: Any) -> Any:
            known = ["red", "green", "blue"]
            colours = [text if text in known else "red" for text in features.columns[0]]
            table = Table((np.array(colours, dtype=object), features.columns[1]))
            return self.own.answer(method, table)

    own = _questioned(strict)
    assert own.refused > 0
    assert own.agrees
    assert not _questioned(strict, lambda own: Lenient(own, lambda _rows: False)).agrees


def test_every_known_category_is_asked() -> None:
    values = np.array([f"city {n}" for n in range(150)], dtype=object).reshape(-1, 1)
    model = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1).fit(values)

    def wrong(rows: Any) -> Any:
        return rows.columns[0] == "city 77"

    assert not _questioned(model, lambda own: Planted(own, wrong)).agrees


def test_rows_that_were_given_are_asked() -> None:
    model = LinearRegression().fit(FEATURES, TARGET)
    given = np.array([[12345.678, 9.0, -3.0]] * 3)

    def wrong(rows: Any) -> Any:
        return (rows == given[0]).all(axis=1)

    assert _questioned(model, lambda own: Planted(own, wrong)).agrees
    assert not _questioned(model, lambda own: Planted(own, wrong), given=given).agrees


def test_support_vectors_are_asked() -> None:
    model = SVC().fit(FEATURES, LABELS)
    vectors = model.support_vectors_[:, 0]

    assert not _questioned(
        model, lambda own: Planted(own, lambda rows: np.isin(rows[:, 0], vectors), _half)
    ).agrees


def _half(answers: Any) -> Any:
    return answers / 2 if answers.dtype.kind == "f" else answers


def test_wide_model_is_asked_fewer_rows_instead_of_all_memory() -> None:
    rows = RANDOM.normal(size=(20, 3000))
    report = _questioned(LinearRegression().fit(rows, rows[:, 0]))

    assert report.agrees
    assert report.rows * 3000 < 40_000_000


def test_drawn_tables_hold_known_texts_holes_and_numbers() -> None:
    model, frame = _named_colours()
    own = serve_natively(model)
    source = Source(own.columns, landmarks_of(model), given=None, seed=1)
    drawn = source.missing(500)

    assert isinstance(drawn, Table)
    assert set(drawn.columns[0].tolist()) == {"red", "green", "blue", None}
    sizes = drawn.columns[1][np.isfinite(drawn.columns[1])]
    assert row_count(drawn) > len(sizes)
    assert frame["size"].mean() in landmarks_of(model)[1]
