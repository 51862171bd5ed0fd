"""What an engine costs a web worker: microseconds for a call of few and of many rows.

python -m benchmarks.engines [--native] [MODEL ...]: models are those of `MODELS`. With --native
scikit-learn answers the same rows in between, and its time and the ratio are printed beside.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models.arrays import pack_arrays, unpack_arrays
from models.compilation import Predictor, Unsuitable
from models.engines import FOR_WORKERS
from models.estimators import serve_natively

ROWS: Final = (1, 64, 10_000)
METHODS: Final = ("predict", "predict_proba")
BLOCK_SECONDS: Final = 0.02
BLOCKS: Final = 9
# By name, with its engine: a forest like those that the bars are about, and one of each other kind.
MODELS: Final[Mapping[str, tuple[str, Callable[[], Any]]]] = {
    "linear": ("linear", LinearRegression),
    "logistic": ("linear", lambda: LogisticRegression(max_iter=5_000)),
    "pipeline": (
        "chain",
        lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000)),
    ),
    "forest": ("trees", lambda: RandomForestClassifier(100, random_state=0)),
    "extra": ("trees", lambda: ExtraTreesClassifier(100, random_state=0)),
    "regression forest": ("trees", lambda: RandomForestRegressor(100, random_state=0)),
    "gradient": ("trees", lambda: GradientBoostingClassifier(random_state=0)),
    "histogram": ("trees", lambda: HistGradientBoostingClassifier(random_state=0)),
    "bayes": ("numeric", GaussianNB),
    "network": ("numeric", lambda: MLPClassifier(max_iter=300, random_state=0)),
}
REGRESSORS: Final = frozenset({"linear", "regression forest"})


def opened(name: str) -> tuple[Predictor, Any, Any]:
    """A model as a worker opens it, scikit-learn's own, and the rows that it was fitted on."""
    engine, make = MODELS[name]
    load = load_diabetes if name in REGRESSORS else load_breast_cancer
    rows, target = load(return_X_y=True)
    estimator = make().fit(rows, target)
    arrays = FOR_WORKERS[engine].compile(estimator)
    if isinstance(arrays, Unsuitable):
        raise SystemExit(f"{name} is not compiled: {arrays.reason}")
    predictor = FOR_WORKERS[engine].load(unpack_arrays(pack_arrays(arrays)))
    return predictor, serve_natively(estimator), rows


def microseconds(call: Callable[[], object]) -> Iterator[float]:
    """The processor's time for one call, as the mean of a block of calls; endlessly."""
    calls = 1
    while True:
        started = time.thread_time()
        for _ in range(calls):
            call()
        took = time.thread_time() - started
        yield took / calls * 1e6
        calls = max(1, round(calls * BLOCK_SECONDS / max(took, 1e-6)))


def compared(*calls: Callable[[], object]) -> list[float]:
    """The medians of calls that take turns."""
    clocks = [microseconds(call) for call in calls]
    for clock in clocks:
        next(clock), next(clock)
    turns = [[next(clock) for clock in clocks] for _ in range(BLOCKS)]
    return [statistics.median(blocks) for blocks in zip(*turns, strict=True)]


def measured(name: str, *, natively: bool) -> Iterator[str]:
    """A line for each method and number of rows."""
    predictor, native, known = opened(name)
    for method in METHODS:
        if method not in predictor.methods:
            continue
        for count in ROWS:
            rows = np.resize(known, (count, known.shape[1]))
            asked = [predictor, native] if natively else [predictor]

            def ask(one: Any, method: str = method, rows: Any = rows) -> Callable[[], object]:
                return lambda: one.answer(method, rows)

            with np.errstate(all="ignore"):
                took = compared(*map(ask, asked))
            ratio = f"{took[1]:10.1f} {took[1] / took[0]:8.1f} x" if natively else ""
            yield f"{name:18} {method:14} {count:6} {took[0]:10.1f} {ratio}"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--native", action="store_true")
    options = parser.parse_args()
    print(f"{'model':18} {'method':14} {'rows':>6} {'us':>10}")
    for name in options.models or MODELS:
        for line in measured(name, natively=options.native):
            print(line, flush=True)


if __name__ == "__main__":
    main()
