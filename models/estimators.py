"""Opened scikit-learn estimators: what they are made of, and how they answer."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from models.columns import Columns, columns_of
from models.errors import EstimatorRefused
from models.signature import METHODS
from models.tables import Features, row_count, stack

POOLS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
THREADS: Final = ("n_jobs", "_n_threads")  # as given, and as counted on the machine of the fit
MOST_PARTS: Final = 5_000_000


@dataclass(frozen=True, slots=True)
class NativePredictor:
    """Answers with scikit-learn, in one thread."""

    estimator: Any
    columns: Columns

    @property
    def methods(self) -> frozenset[str]:
        """The methods that the estimator has."""
        return frozenset(m for m in METHODS if callable(getattr(self.estimator, m, None)))

    @property
    def size(self) -> int:
        """The bytes of the arrays that the estimator is made of."""
        return sum(part.nbytes for part in parts_of(self.estimator) if isinstance(part, np.ndarray))

    def answer(self, method: str, features: Features) -> NDArray[Any]:
        """Return what the estimator's method returns, as a dense array.

        Of a method that answers one table for each of several outputs, the tables stand side by
        side, in the order of the outputs.
        """
        with warnings.catch_warnings():
            # Names that are missing, categories that are unknown: decided by the signature.
            warnings.simplefilter("ignore")
            answers = _dense(getattr(self.estimator, method)(self.columns.arrange(features)))
            if row_count(features) == 1 and answers.shape[:1] != (1,):
                # Some drop the dimension of a single row: none does so for two.
                two = self.columns.arrange(stack([features, features]))
                answers = _dense(getattr(self.estimator, method)(two))[:1]
            return answers


def limit_native_threads() -> None:
    """Keep every native pool of this process, loaded or not yet, at one thread.

    Requests are what runs in parallel; a pool per request would only fight over the cores.
    """
    for pool in POOLS:
        os.environ.setdefault(pool, "1")
    # A host may not look up its libraries: the parent that it was forked from has limited them.
    with suppress(PermissionError):
        threadpool_limits(limits=1)


def serve_natively(estimator: object) -> NativePredictor:
    """Reset how many threads each part of an estimator takes, and wrap it for predictions.

    Raises EstimatorRefused if the estimator takes no rows of columns.
    """
    limit_native_threads()
    for part in parts_of(estimator):
        for threads in THREADS:
            if getattr(part, "__dict__", {}).get(threads) is not None:
                setattr(part, threads, 1)
    return NativePredictor(estimator, columns_of(estimator))


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


def _inside(part: object) -> Iterator[Any]:
    if isinstance(part, dict):
        yield from part.values()
    elif isinstance(part, list | tuple | set | frozenset):
        yield from part
    elif isinstance(part, np.ndarray):
        yield from part.ravel().tolist() if part.dtype == object else ()
    elif not isinstance(part, type) and hasattr(part, "__dict__"):
        yield from vars(part).values()


def _dense(answers: Any) -> NDArray[Any]:
    if isinstance(answers, list) and answers and getattr(answers[0], "ndim", 0) == 2:
        return np.hstack([_dense(table) for table in answers])
    dense: NDArray[Any] = np.asarray(answers.toarray() if hasattr(answers, "toarray") else answers)
    return dense
