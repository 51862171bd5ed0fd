"""The native dialect: POST /predict with rows of numbers or records."""

from __future__ import annotations

from typing import Any

import flask
import numpy as np
import orjson
from numpy.typing import NDArray

from auth.permissions import Permission
from models.errors import InputRefused
from models.requests.tensors import read_prediction_request
from service import dataplane
from service.limits import charges_itself
from service.parsing import Blueprint
from service.schemas.predictions import PredictionSchema, PredictRequestSchema
from service.security import requires

bp = Blueprint("predict", __name__, description="Predictions.")


@bp.post("/predict")
@bp.doc(
    requestBody={
        "required": True,
        "content": {"application/json": {"schema": PredictRequestSchema}},
    }
)
@bp.alt_response(200, schema=PredictionSchema, success=True)
@bp.alt_response(404, "NOT_FOUND")
@charges_itself
@requires(Permission.PREDICT)
def predict() -> flask.Response:
    """Predict one row or many with a model of the caller's tenant."""
    answer = dataplane.predict(read_prediction_request)
    body = {
        "prediction": _plain(answer.prediction),
        "model": answer.version.model,
        "version": answer.version.number,
    }
    encoded = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    return flask.Response(encoded, mimetype="application/json")


def _plain(prediction: NDArray[Any]) -> NDArray[Any] | list[Any]:
    """The answers as orjson takes them; raises InputRefused at one that JSON cannot hold."""
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
