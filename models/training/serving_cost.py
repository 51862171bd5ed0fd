"""What it will cost to serve a fitted pipeline: by the platform's own engines, row by row."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from models.arrays import unpack_arrays
from models.compilation import Predictor
from models.engines import ENGINES, FOR_WORKERS, NATIVE
from models.estimators import serve_natively
from models.inspection import inspect
from models.landmarks import landmarks_of
from models.preparation import Trial, compile_estimator, with_rows
from models.probes import Source
from models.questions import ask_a_little
from models.stages import Stage
from models.tables import Features, row_count, take
from models.training.samples import rows_as_json, some_rows

WARMING: Final = 5
LEAST_CALLS: Final = 20
MOST_CALLS: Final = 300
MOST_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True)
class Serving:
    """The engine that answers, or `native` and why none does, and how long a single row takes."""

    engine: str
    p50_ms: float
    p99_ms: float
    bytes: int
    reason: str = ""

    @property
    def in_worker(self) -> bool:
        """Whether the process that takes a request answers it; else it asks a sandboxed host."""
        return self.engine in FOR_WORKERS

    def as_json(self) -> dict[str, Any]:
        """The cost as plain JSON types."""
        return asdict(self)


def serving_cost(pipeline: Any, features: pd.DataFrame, *, seed: int) -> Serving:
    """Compile a pipeline as the intake would, and time it; raises IntakeRefused.

    It is asked about fewer rows than the intake asks, which decides again.
    """
    own, given = with_rows(serve_natively(pipeline), rows_as_json(some_rows(features)))
    assert given is not None
    signature = inspect(own, given).signature
    source = Source(own.columns, landmarks_of(pipeline), given=given, seed=seed)
    reference = ask_a_little(own, signature, source)
    compiled, reason = compile_estimator(pipeline, Trial(signature, reference, seed), _unheard)
    method = signature.default_method
    predictor: Predictor = own
    engine = NATIVE
    if compiled is not None and method in compiled.methods:
        engine = compiled.engine
        predictor = ENGINES[engine].load(unpack_arrays(compiled.arrays))
    middle, slow = _timed(predictor, method, given)
    return Serving(engine, middle, slow, predictor.size, reason)


def _timed(predictor: Predictor, method: str, given: Features) -> tuple[float, float]:
    """The median and the 99th percentile of single rows, in milliseconds."""
    rows = [take(given, at, at + 1) for at in range(row_count(given))]
    taken: list[int] = []
    with np.errstate(all="ignore"):
        for at in range(WARMING):
            predictor.answer(method, rows[at % len(rows)])
        until = time.perf_counter() + MOST_SECONDS
        while len(taken) < LEAST_CALLS or (len(taken) < MOST_CALLS and time.perf_counter() < until):
            row = rows[len(taken) % len(rows)]
            started = time.perf_counter_ns()
            predictor.answer(method, row)
            taken.append(time.perf_counter_ns() - started)
    middle, slow = np.percentile(taken, (50, 99)) / 1e6
    return round(float(middle), 5), round(float(slow), 5)


def _unheard(_stage: Stage, _note: str) -> None:
    pass
