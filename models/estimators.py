"""Opened scikit-learn estimators: what they are made of, and how they serve."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from models.errors import EstimatorRefused
from models.signature import METHODS, AnswerKind, Output, Signature, Task
from models.tables import Features, Table

TASKS: Final[dict[str, Task]] = {
    "classifier": "classification",
    "regressor": "regression",
    "clusterer": "clustering",
    "outlier_detector": "outlier",
}
POOLS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
MOST_PARTS: Final = 5_000_000


@dataclass(frozen=True, slots=True)
class NativePredictor:
    """Answers with the model's own library, in one thread."""

    estimator: Any

    @property
    def methods(self) -> frozenset[str]:
        """The methods that the estimator has."""
        return frozenset(m for m in METHODS if callable(getattr(self.estimator, m, None)))

    @property
    def size(self) -> int:
        """The bytes of the arrays that the estimator is made of."""
        return sum(part.nbytes for part in parts_of(self.estimator) if isinstance(part, np.ndarray))

    def answer(self, method: str, features: Features) -> NDArray[Any]:
        """Return what the estimator's method returns."""
        assert not isinstance(features, Table), "it takes numbers alone"
        return np.asarray(getattr(self.estimator, method)(features))


def limit_native_threads() -> None:
    """Keep every native pool of this process, loaded or not yet, at one thread.

    Requests are what runs in parallel; a pool per request would only fight over the cores.
    """
    for pool in POOLS:
        os.environ.setdefault(pool, "1")
    threadpool_limits(limits=1)


def serve_natively(estimator: object) -> NativePredictor:
    """Reset `n_jobs` everywhere in an estimator and wrap it for predictions.

    Rows come by position, checked against the signature, which keeps the columns' names; without
    its own copy of them scikit-learn does not warn at each prediction.
    """
    limit_native_threads()
    for part in parts_of(estimator):
        inside = getattr(part, "__dict__", {})
        if inside.get("n_jobs") is not None:
            part.n_jobs = 1
        if "feature_names_in_" in inside:
            del part.feature_names_in_
    return NativePredictor(estimator)


def parts_of(estimator: object) -> Iterator[Any]:
    """Walk everything that an estimator is made of, each object once."""
    waiting, seen = [estimator], set()
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if len(seen) > MOST_PARTS:
            raise EstimatorRefused(type(estimator).__name__, f"more than {MOST_PARTS} parts")
        yield part
        waiting.extend(_inside(part))


def inspect(estimator: Any) -> Signature:
    """Read what a fitted estimator takes and gives; raises EstimatorRefused if it cannot serve.

    The estimator is left as `serve_natively` leaves it.
    """
    kind = type(estimator).__name__
    if not callable(getattr(estimator, "predict", None)):
        raise EstimatorRefused(kind, "it has no predict method")
    columns = getattr(estimator, "n_features_in_", None)
    if not isinstance(columns, int | np.integer) or columns < 1:
        raise EstimatorRefused(kind, "it is not fitted, or does not say how many columns it takes")
    names = getattr(estimator, "feature_names_in_", None)
    answer = _trial_answer(serve_natively(estimator), int(columns))
    return Signature(
        task=TASKS.get(getattr(estimator, "_estimator_type", None) or _task(estimator), "other"),
        columns=int(columns),
        feature_names=None if names is None else tuple(str(name) for name in names),
        classes=_classes(estimator),
        methods={"predict": _output(answer)},
    )


def _output(answer: NDArray[Any]) -> Output:
    kinds: dict[str, AnswerKind] = {"f": "number", "i": "integer", "u": "integer", "b": "boolean"}
    width = None if answer.ndim == 1 else int(answer.shape[1])
    return Output(kinds.get(answer.dtype.kind, "text"), width)


def _inside(part: object) -> Iterator[Any]:
    if isinstance(part, dict):
        yield from part.values()
    elif isinstance(part, list | tuple | set | frozenset):
        yield from part
    elif isinstance(part, np.ndarray):
        yield from part.ravel().tolist() if part.dtype == object else ()
    elif not isinstance(part, type) and hasattr(part, "__dict__"):
        yield from vars(part).values()


def _trial_answer(predictor: NativePredictor, columns: int) -> NDArray[Any]:
    """One answer, to learn its shape, on a row that nearly every model takes."""
    kind = type(predictor.estimator).__name__
    try:
        answer = predictor.answer("predict", np.ones((1, columns)))
    except Exception as error:
        raise EstimatorRefused(kind, f"it fails on a row of ones: {error}") from error
    if answer.shape[:1] != (1,) or answer.ndim > 2:
        raise EstimatorRefused(kind, "it does not answer once for each row")
    return answer


def _task(estimator: Any) -> str:
    tags = getattr(estimator, "__sklearn_tags__", None)
    return str(tags().estimator_type) if callable(tags) else ""


def _classes(estimator: Any) -> tuple[str | int | float | bool, ...] | None:
    classes = getattr(estimator, "classes_", None)
    if not isinstance(classes, np.ndarray) or classes.ndim != 1:
        return None
    labels = classes.tolist()
    plain = all(isinstance(label, str | int | float) for label in labels)
    return tuple(labels) if plain else None
