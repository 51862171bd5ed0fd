"""JSON as TF Serving's and MLflow's encoders write it: what is not finite as NaN and Infinity."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray


def encode(body: dict[str, Any], arrays: Iterable[NDArray[Any]]) -> bytes:
    """A body in JSON; `arrays` are those whose numbers are in it, as they are or as lists."""
    if all(array.dtype.kind != "f" or np.isfinite(array).all() for array in arrays):
        return orjson.dumps(body, default=_listed, option=orjson.OPT_SERIALIZE_NUMPY)
    return json.dumps(body, default=_listed, ensure_ascii=False, separators=(",", ":")).encode()


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{type(value)} is not an answer")
    answers: list[Any] = value.tolist()
    return answers
