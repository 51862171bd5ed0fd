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
    plain = prediction.dtype == np.float64 and prediction.flags.c_contiguous
    body = orjson.dumps(
        {
            "prediction": prediction if plain else prediction.tolist(),
            "model": version.model,
            "version": version.number,
        },
        option=orjson.OPT_SERIALIZE_NUMPY,
    )
    # What is not finite is written so. To look at each number took as long as to write it.
    if b"null" in body and prediction.dtype.kind == "f":
        _refuse_infinite(prediction)
    return body


def _refuse_infinite(prediction: NDArray[Any]) -> None:
    finite = np.isfinite(prediction)
    if not finite.all():
        row = int(np.argwhere(~finite)[0][0])
        raise InputRefused(f"/features/{row}", "the model's answer to it is not a finite number")
