from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import ensemble, tree
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression

from models.arrays import pack_arrays
from models.compilation import Unsuitable
from models.compilation.trees import runtime
from models.compilation.trees.checks import checked_ensemble
from models.compilation.trees.ensemble import divided
from models.engines import FOR_WORKERS
from models.errors import MethodUnknown, RowsRefused
from models.tables import Table
from tests.models.tree_models import (
    BOOSTED,
    FORESTS,
    GAPS,
    LARGEST,
    NUMBERS,
    OTHERS,
    ROWS,
    TARGETS,
    THREE,
    TWO,
    assert_same_answers,
    compiled,
    fitted,
    forest,
    rows_around,
    thresholds_of,
)

ENGINE = FOR_WORKERS["trees"]
NO_GAPS = (
    ensemble.AdaBoostRegressor,
    ensemble.GradientBoostingClassifier,
    ensemble.GradientBoostingRegressor,
)
ROUNDING = 1e-13  # of the exponential function, where numpy's and scipy's differ


def _assert_agrees(estimator: Any, *, gaps: bool = False, within: float = 0.0) -> None:
    arrays = compiled(estimator)
    rows = rows_around(thresholds_of(arrays), gaps=gaps)
    assert_same_answers(estimator, ENGINE.load(arrays), rows, within=within)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", FORESTS)
def test_forest_of_classifiers_answers_to_the_bit(name: str, target: str) -> None:
    estimator = fitted(forest(name, "Classifier"), ROWS, TARGETS[target])

    _assert_agrees(estimator, gaps=True)


@pytest.mark.parametrize("name", FORESTS)
def test_forest_of_regressors_answers_to_the_bit(name: str) -> None:
    for target in (NUMBERS, NUMBERS[:, None], np.c_[NUMBERS, -NUMBERS]):
        _assert_agrees(fitted(forest(name, "Regressor"), ROWS, target))
    _assert_agrees(fitted(forest(name, "Regressor", max_depth=4), GAPS, NUMBERS), gaps=True)


def test_forest_that_was_fitted_in_other_ways_answers_to_the_bit() -> None:
    weights = np.random.default_rng(0).random(len(ROWS))
    best_first = forest("RandomForest", "Classifier", max_leaf_nodes=9, class_weight="balanced")
    monotonic = forest("ExtraTrees", "Classifier", monotonic_cst=[1, 0, -1, 0, 0], max_depth=4)
    warm = fitted(forest("RandomForest", "Classifier", warm_start=True), ROWS, THREE)

    _assert_agrees(fitted(best_first, ROWS, THREE, sample_weight=weights))
    _assert_agrees(fitted(monotonic, ROWS, TWO))
    _assert_agrees(fitted(warm.set_params(n_estimators=20, n_jobs=2), ROWS, THREE))
    _assert_agrees(fitted(forest("RandomForest", "Regressor", oob_score=True), ROWS, NUMBERS))


@pytest.mark.parametrize("name", OTHERS)
def test_bags_votes_and_isolation_forests_answer_to_the_bit(name: str) -> None:
    _assert_agrees(OTHERS[name](), gaps=name.startswith("isolation"))


@pytest.mark.parametrize("name", BOOSTED)
def test_boosted_trees_answer_as_scikit_learn_does(name: str) -> None:
    _assert_agrees(BOOSTED[name](), gaps=name.startswith("histogram"), within=ROUNDING)


def test_score_of_zero_means_the_label_that_each_library_takes_it_for() -> None:
    same, target = np.zeros((40, 5)), np.repeat(["first", "second"], 20)
    chosen = []
    for name, options in (("", {"init": "zero"}), ("Hist", {})):
        estimator = getattr(ensemble, f"{name}GradientBoostingClassifier")(**options)
        predictor = ENGINE.load(compiled(fitted(estimator, same, target)))
        assert predictor.answer("decision_function", same[:1]).tolist() == [0.0]
        assert predictor.answer("predict", same).tolist() == estimator.predict(same).tolist()
        chosen.append(predictor.answer("predict", same[:1])[0])

    assert chosen == ["second", "first"]


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(FORESTS),
    classes=st.integers(1, 6),
    rows=st.integers(2, 60),
    depth=st.integers(1, 12) | st.none(),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_small_forest_answers_to_the_bit(
    name: str, classes: int, rows: int, depth: int | None, seed: int
) -> None:
    random = np.random.default_rng(seed)
    # Few different values: many ties between classes, and thresholds that rows meet exactly.
    data = random.integers(-3, 3, (rows, 5)) * random.choice([1.0, 0.1, 1e-20, 1e30], 5)
    estimator = forest(name, "Classifier", max_depth=depth)
    fitted(estimator, data, random.integers(0, classes, rows))
    arrays = compiled(estimator)

    assert_same_answers(
        estimator, ENGINE.load(arrays), rows_around(thresholds_of(arrays), seed=seed, gaps=True)
    )


def test_categories_by_name_are_read_from_texts() -> None:
    colours = np.array(["red", "green", "", "blau"])[ROWS[:, 3].astype(int) % 4].astype(object)
    colours[::17] = None
    frame = pd.DataFrame({"size": ROWS[:, 0], "colour": pd.Categorical(colours), "age": GAPS[:, 2]})
    estimator = fitted(
        ensemble.HistGradientBoostingClassifier(max_iter=15, categorical_features=["colour"]),
        frame,
        THREE,
    )
    predictor = ENGINE.load(compiled(estimator))
    unknown = np.array([*colours[:40], "violet", None], dtype=object)
    asked = frame.iloc[:42].assign(colour=unknown)
    table = Table((asked["size"].to_numpy(), unknown, asked["age"].to_numpy()))

    own = estimator.predict_proba(asked)

    np.testing.assert_allclose(predictor.answer("predict_proba", table), own, rtol=ROUNDING)
    with pytest.raises(RowsRefused, match="a number, where a text"):
        predictor.answer("predict", ROWS[:, :3].copy())


def test_row_that_float32_cannot_hold_is_refused_as_scikit_learn_refuses_it() -> None:
    estimator = fitted(forest("RandomForest", "Regressor"), ROWS, NUMBERS)
    predictor = ENGINE.load(compiled(estimator))
    for value in (3.5e38, -1e300, np.inf):
        row = np.full((1, 5), value)
        with np.errstate(over="ignore"), pytest.raises(ValueError, match="too large"):
            estimator.predict(row)
        with pytest.raises(RowsRefused, match="float32"):
            predictor.answer("predict", row)
    held = np.full((1, 5), np.nextafter(LARGEST, 0))
    assert predictor.answer("predict", held) == estimator.predict(held)


def test_histogram_trees_take_what_only_float64_holds() -> None:
    estimator = BOOSTED["histogram, numbers"]()
    rows = np.array([[1e300] * 5, [-1e308] * 5, [np.inf] * 5, [-np.inf, np.nan, 0, 1, 2]])

    answers = ENGINE.load(compiled(estimator)).answer("predict", rows)

    assert answers.tolist() == estimator.predict(rows).tolist()


def test_rows_of_another_width_never_reach_the_trees() -> None:
    predictor = ENGINE.load(compiled(fitted(forest("RandomForest", "Regressor"), ROWS, NUMBERS)))

    for rows in (np.ones((2, 4)), np.ones((2, 6)), Table((np.ones(2),))):
        with pytest.raises(RowsRefused, match="columns"):
            predictor.answer("predict", rows)


def test_columns_apart_and_matrices_in_other_orders_are_read_alike() -> None:
    estimator = fitted(forest("ExtraTrees", "Regressor"), ROWS, NUMBERS)
    for own in (estimator, BOOSTED["histogram, numbers"]()):
        predictor = ENGINE.load(compiled(own))
        expected = own.predict(ROWS).tolist()

        assert predictor.answer("predict", Table(tuple(ROWS.T))).tolist() == expected
        assert predictor.answer("predict", np.asfortranarray(ROWS)).tolist() == expected


def test_method_that_the_estimator_lacks_is_not_answered() -> None:
    predictor = ENGINE.load(compiled(BOOSTED["histogram, two"]()))

    assert predictor.methods == {"predict", "predict_proba", "decision_function"}
    with pytest.raises(MethodUnknown):
        predictor.answer("predict_log_proba", ROWS)


class Doubling(tree.DecisionTreeRegressor):  # type: ignore[misc]
    """A model that looks like a tree and is not."""

    def predict(self, X: Any) -> Any:  # noqa: N803  scikit-learn's own name
        return 2 * super().predict(X)


@pytest.mark.parametrize(
    ("estimator", "reason"),
    [
        (LinearRegression(), "LinearRegression"),
        (Doubling(), "Doubling"),
        (ensemble.GradientBoostingRegressor(init=LinearRegression()), "first guess"),
        (ensemble.BaggingRegressor(LinearRegression()), "LinearRegression"),
        (ensemble.AdaBoostRegressor(LinearRegression()), "median of others"),
        (
            ensemble.GradientBoostingClassifier(init=DummyClassifier(strategy="uniform")),
            "first guess",
        ),
    ],
)
def test_engine_says_why_it_takes_no_other_model(estimator: Any, reason: str) -> None:
    target = TWO if hasattr(estimator, "predict_proba") else NUMBERS
    refusal = ENGINE.compile(fitted(estimator, ROWS, target))

    assert isinstance(refusal, Unsuitable)
    assert reason in refusal.reason


@pytest.mark.parametrize("nodes", [1, 60, 150])
def test_many_trees_in_groups_answer_to_the_bit_as_well(
    nodes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "GROUP_NODES", nodes)
    monkeypatch.setattr(runtime, "BLOCK", 64)
    forests = [
        fitted(forest("RandomForest", "Classifier"), ROWS, THREE),
        fitted(forest("ExtraTrees", "Regressor"), ROWS, NUMBERS),
        fitted(forest("RandomForest", "Regressor"), GAPS, np.c_[NUMBERS, -NUMBERS]),
        OTHERS["median"](),
        BOOSTED["numbers"](),
        BOOSTED["three"](),
        BOOSTED["histogram, categories"](),
    ]
    for estimator in forests:
        arrays = compiled(estimator)
        predictor = ENGINE.load(arrays)
        finite = isinstance(estimator, NO_GAPS)
        rows = rows_around(thresholds_of(arrays), 300, gaps=not finite)

        assert len(divided(checked_ensemble(arrays), nodes=nodes)) > 1
        assert_same_answers(estimator, predictor, rows)
        assert_same_answers(estimator, predictor, rows[:20])


@pytest.mark.parametrize(
    "fit",
    [
        lambda: fitted(forest("RandomForest", "Classifier", n_estimators=150), ROWS, THREE),
        lambda: fitted(forest("ExtraTrees", "Regressor", n_estimators=150), ROWS, NUMBERS),
        lambda: fitted(ensemble.HistGradientBoostingClassifier(), ROWS, THREE),
    ],
)
def test_size_in_memory_is_told_about_right(fit: Any) -> None:
    code = (
        "import ctypes, sys\n"
        "from pathlib import Path\n"
        "from models.arrays import unpack_arrays\n"
        "from models.compilation.trees import TreesEngine\n"
        "class Heap(ctypes.Structure):\n"
        "    _fields_ = [(str(n), ctypes.c_size_t) for n in range(10)]\n"
        "ask = ctypes.CDLL(None).mallinfo2\n"
        "ask.restype = Heap\n"
        "def held():\n"
        "    heap = ask()\n"
        "    return getattr(heap, '4') + getattr(heap, '7')\n"
        "arrays = unpack_arrays(Path(sys.argv[1]).read_bytes())\n"
        "keep = [TreesEngine().load(arrays)]\n"
        "before = held()\n"
        "keep.append(TreesEngine().load(arrays))\n"
        "print((held() - before) / keep[0].size)\n"
    )

    share = float(_in_child(code, pack_arrays(compiled(fit()))))

    assert 0.8 < share < 1.2


def test_worker_that_answers_from_trees_imports_no_library_and_starts_no_thread() -> None:
    arrays = compiled(fitted(forest("RandomForest", "Classifier"), ROWS, THREE))
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from models.arrays import unpack_arrays\n"
        "from models.compilation.trees import TreesEngine\n"
        "assert 'libtreelite' not in Path('/proc/self/maps').read_text()\n"
        "arrays = unpack_arrays(Path(sys.argv[1]).read_bytes())\n"
        "TreesEngine().load(arrays).answer('predict', np.ones((5000, 5)))\n"
        "assert 'libtreelite' in Path('/proc/self/maps').read_text()\n"
        "print(len(os.listdir('/proc/self/task')))\n"
        "print(sorted({'treelite', 'scipy', 'sklearn'} & sys.modules.keys()))\n"
    )

    assert _in_child(code, pack_arrays(arrays)).split("\n") == ["1", "[]"]


def _in_child(code: str, data: bytes) -> str:
    import tempfile

    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        done = subprocess.run(
            [sys.executable, "-c", code, file.name],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
