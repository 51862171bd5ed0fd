"""Fitted ensembles of trees of every kind, and rows that meet their thresholds."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn import ensemble, tree
from sklearn.dummy import DummyClassifier

from models.arrays import pack_arrays, unpack_arrays
from models.compilation import Predictor, Unsuitable
from models.compilation.trees import TreesEngine
from models.signature import METHODS

Floats = NDArray[np.float64]
COLUMNS: Final = 5
LARGEST: Final = 3.4e38  # float32 holds little more
RANDOM = np.random.default_rng(7)
ROWS: Final[Floats] = RANDOM.normal(size=(300, COLUMNS)) * [1, 1e-3, 100, 1, 1]
ROWS[:, 3] = RANDOM.integers(0, 5, 300)
NUMBERS: Final[Floats] = ROWS[:, 0] * 2 + ROWS[:, 2] / 50 + ROWS[:, 3]
GAPS: Final = np.where(RANDOM.random(ROWS.shape) < 0.1, np.nan, ROWS)
TWO: Final = np.where(NUMBERS > 2, "yes", "no")
THREE: Final = np.digitize(NUMBERS, [1.0, 3.0])
SEVERAL: Final = np.c_[TWO, np.where(THREE == 1, "one", "other")]
AMOUNTS: Final = np.abs(NUMBERS) + 0.1

FORESTS: Final = (
    "RandomForest",
    "ExtraTrees",
    "DecisionTree",
    "ExtraTree",
)
TARGETS: Final[Mapping[str, NDArray[Any]]] = {
    "two texts": TWO,
    "two objects": TWO.astype(object),
    "three numbers": THREE,
    "three floats": THREE * 2.0,
    "truth values": NUMBERS > 2,
    "one label": np.zeros(len(ROWS), int),
    "several questions": SEVERAL,
}

Fit = Callable[[], Any]


def fitted(estimator: Any, rows: Floats, target: Any = None, **given: Any) -> Any:
    """An estimator that has learned."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(rows, target, **given)


def forest(name: str, kind: str, **settings: Any) -> Any:
    """A forest or tree by its name, to be fitted."""
    package = ensemble if name.endswith(("Forest", "Trees")) else tree
    if package is ensemble:
        settings = {"n_estimators": 12, **settings}
    return getattr(package, name + kind)(random_state=0, **settings)


OTHERS: Final[Mapping[str, Fit]] = {
    "isolation": lambda: fitted(ensemble.IsolationForest(random_state=0), ROWS),
    "isolation of some columns": lambda: fitted(
        ensemble.IsolationForest(
            n_estimators=20, max_features=0.5, contamination=0.1, random_state=0
        ),
        GAPS,
    ),
    "isolation of one row": lambda: fitted(
        ensemble.IsolationForest(n_estimators=5, max_samples=1, random_state=0), ROWS
    ),
    "bag of some columns": lambda: fitted(
        ensemble.BaggingClassifier(max_features=0.5, bootstrap_features=True, random_state=0),
        ROWS,
        THREE,
    ),
    "bag that misses labels": lambda: fitted(
        ensemble.BaggingClassifier(max_samples=3, random_state=0), ROWS, THREE
    ),
    "bag of regressors": lambda: fitted(
        ensemble.BaggingRegressor(max_features=0.5, random_state=0), ROWS, NUMBERS
    ),
    "votes on two": lambda: fitted(ensemble.AdaBoostClassifier(random_state=0), ROWS, TWO),
    "votes on three": lambda: fitted(ensemble.AdaBoostClassifier(random_state=0), ROWS, THREE),
    "median": lambda: fitted(ensemble.AdaBoostRegressor(random_state=0), ROWS, NUMBERS),
}


def _boosted(name: str, target: Any, rows: Floats = ROWS, **settings: Any) -> Fit:
    def fit() -> Any:
        return fitted(getattr(ensemble, name)(**settings), rows, target)

    return fit


CLASSIFIER, REGRESSOR = "GradientBoostingClassifier", "GradientBoostingRegressor"
HISTOGRAM: Final = "HistGradientBoosting"
FEW: Final[dict[str, Any]] = {"n_estimators": 15, "random_state": 0}
ROUNDS: Final[dict[str, Any]] = {"max_iter": 15, "random_state": 0}
BOOSTED: Final[Mapping[str, Fit]] = {
    "two": _boosted(CLASSIFIER, TWO, **FEW),
    "three": _boosted(CLASSIFIER, THREE, **FEW),
    "exponential loss": _boosted(CLASSIFIER, TWO, loss="exponential", **FEW),
    "no first guess": _boosted(CLASSIFIER, THREE, init="zero", **FEW),
    "first guess by hand": _boosted(CLASSIFIER, TWO, init=DummyClassifier(), **FEW),
    "numbers": _boosted(REGRESSOR, NUMBERS, **FEW),
    "huber": _boosted(REGRESSOR, NUMBERS, loss="huber", max_leaf_nodes=6, **FEW),
    "quantile of a part": _boosted(REGRESSOR, NUMBERS, loss="quantile", subsample=0.5, **FEW),
    "histogram, two": _boosted(HISTOGRAM + "Classifier", TWO, GAPS, **ROUNDS),
    "histogram, three": _boosted(HISTOGRAM + "Classifier", THREE, GAPS, **ROUNDS),
    "histogram, numbers": _boosted(HISTOGRAM + "Regressor", NUMBERS, **ROUNDS),
    "histogram, counts": _boosted(HISTOGRAM + "Regressor", AMOUNTS, loss="poisson", **ROUNDS),
    "histogram, sizes": _boosted(HISTOGRAM + "Regressor", AMOUNTS, loss="gamma", **ROUNDS),
    "histogram, monotonic": _boosted(
        HISTOGRAM + "Regressor", NUMBERS, monotonic_cst=[1, 0, 0, 0, 0], **ROUNDS
    ),
    "histogram, categories": _boosted(
        HISTOGRAM + "Classifier", THREE, GAPS, categorical_features=[3], **ROUNDS
    ),
}


def compiled(estimator: Any) -> dict[str, NDArray[Any]]:
    """The arrays of an estimator, as they come back from a file."""
    arrays = TreesEngine().compile(estimator)
    assert not isinstance(arrays, Unsuitable), arrays
    return unpack_arrays(pack_arrays(arrays))


def thresholds_of(arrays: Mapping[str, NDArray[Any]]) -> Floats:
    """The thresholds that float32 can meet."""
    inner = arrays["threshold"][arrays["left"] != -1]
    return np.unique(inner[np.abs(inner) < LARGEST])


def rows_around(thresholds: Floats, count: int = 400, *, seed: int = 0, gaps: bool) -> Floats:
    """Rows at thresholds, at their neighbours in both precisions, at zeros and extremes."""
    random = np.random.default_rng(seed)
    chosen = random.choice(thresholds, min(len(thresholds), 200)) if len(thresholds) else ROWS[0]
    single = chosen.astype(np.float32)
    above, below = (np.nextafter(single, np.float32(to)) for to in (np.inf, -np.inf))
    pool = np.concatenate(
        [
            chosen,
            np.nextafter(chosen, np.inf),
            np.nextafter(chosen, -np.inf),
            single,
            above,
            below,
            (single.astype(np.float64) + above) / 2,  # float32 rounds these to either side
            [0.0, -0.0, 5e-324, -1e-40, 1e-35, 1.0, 3.0, 7.0, 1e20, LARGEST, -LARGEST],
        ]
    ).astype(np.float64)
    shape = (count, COLUMNS)
    usual = random.choice(ROWS.ravel(), shape)
    rows = np.where(random.random(shape) < 0.6, random.choice(pool, shape), usual)
    if gaps:
        rows[random.random(shape) < 0.15] = np.nan
    return np.ascontiguousarray(rows)


def assert_same_answers(
    estimator: Any, predictor: Predictor, rows: Floats, *, within: float = 0.0
) -> None:
    """Every method answers alike, all rows at once and some alone; labels and types as well."""
    assert "predict" in predictor.methods
    for method in [method for method in METHODS if method in predictor.methods]:
        for part in (rows, rows[:1], rows[7:9]):
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                own = np.asarray(getattr(estimator, method)(part))
            answers = predictor.answer(method, part)
            assert answers.shape == own.shape, method
            if own.dtype.kind == "f":
                assert answers.dtype == own.dtype
                np.testing.assert_allclose(answers, own, rtol=within, atol=0, err_msg=method)
            else:
                assert answers.tolist() == own.tolist(), method
                assert type(answers.tolist()[0]) is type(own.tolist()[0])
