"""How long a version takes for a single row where it would be served, measured when it is asked.

What is timed is the executor of this process: an engine in the worker, or the way to a host and
back. Reading a request and writing its answer are the same for every version, and not counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from typing import Any, Final

import numpy as np
import orjson

from models.errors import ModelsError
from models.execution import Executor
from models.gates.facts import Timing
from models.signature import Signature
from models.tables import Features, Table
from models.versions import Version

MOST_CALLS: Final = 300
FIRST_CALLS: Final = 5  # which find nothing in the caches, and are not counted
MOST_SECONDS: Final = 5.0
MOST_ROWS: Final = 10
ANY_TEXT: Final = "a"


def timing_of(
    executor: Executor,
    version: Version,
    rows: Sequence[Features],
    *,
    seconds: float = MOST_SECONDS,
    clock: Callable[[], float] = time.perf_counter,
) -> Timing:
    """Time calls with each of the rows in turn, until there are enough or the time is over."""
    method, until = version.signature.default_method, clock() + seconds
    taken: list[float] = []
    for made, row in zip(range(FIRST_CALLS + MOST_CALLS), cycle(rows), strict=False):
        begun = clock()
        if begun >= until:
            break
        try:
            executor.answer(version, method, row, seconds=until - begun)
        except ModelsError as error:
            return Timing(len(taken), 0.0, f"the model does not answer a probe row: {error}")
        if made >= FIRST_CALLS:
            taken.append(clock() - begun)
    if not taken:
        return Timing(0, 0.0, f"{FIRST_CALLS} calls took longer than {seconds:g} s")
    return Timing.of(taken)


def probe_rows(signature: Signature, reference: bytes | None) -> list[Features]:
    """Rows to ask with: as the model was trained on where that is known, else of zeros."""
    features = _features(reference)
    return [_row(signature, features, at / MOST_ROWS) for at in range(MOST_ROWS)]


def _row(signature: Signature, features: Mapping[str, Any], place: float) -> Features:
    cells = [
        _text(signature, position, features, place)
        if kind == "text"
        else _number(features.get(signature.column(position)), place)
        for position, kind in enumerate(signature.column_kinds)
    ]
    if signature.numbers_alone:
        return np.array([cells], np.float64)
    return Table(tuple(np.array([c], object if isinstance(c, str) else float) for c in cells))


def _number(summary: Any, place: float) -> float:
    try:
        sample = summary["sample"]
        return float(np.nan_to_num(float(sample[int(place * len(sample))])))
    except (LookupError, TypeError, ValueError):
        return 0.0


def _text(signature: Signature, position: int, features: Mapping[str, Any], place: float) -> str:
    known = signature.categories.get(position, ())
    if not known:
        try:
            values = features[signature.column(position)]["values"]
            known = tuple(str(value) for value, _ in values)
        except (LookupError, TypeError, ValueError):
            known = ()
    return known[int(place * len(known))] if known else ANY_TEXT


def _features(reference: bytes | None) -> Mapping[str, Any]:
    try:
        found = orjson.loads(reference or b"{}").get("features")
    except (ValueError, AttributeError):
        return {}
    return found if isinstance(found, Mapping) else {}
