"""What the platform's own dialect answers, in bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from models.errors import InputRefused
from models.versions import Version


def encode(version: Version, prediction: NDArray[Any]) -> bytes:
    """An answer in JSON; raises InputRefused at a number that JSON cannot hold."""
    body = {
        "prediction": _plain(prediction),
        "model": version.model,
        "version": version.number,
    }
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def _plain(prediction: NDArray[Any]) -> NDArray[Any] | list[Any]:
    """The answers as orjson takes them."""
    if prediction.dtype.kind == "f":
        _refuse_infinite(prediction)
        if prediction.dtype == np.float64 and prediction.flags.c_contiguous:
            return prediction
    answers: list[Any] = prediction.tolist()
    return answers


def _refuse_infinite(prediction: NDArray[Any]) -> None:
    finite = np.isfinite(prediction)
    if not finite.all():
        row = int(np.argwhere(~finite)[0][0])
        raise InputRefused(f"/features/{row}", "the model's answer to it is not a finite number")
