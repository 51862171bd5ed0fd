"""The native dialect: POST /predict with rows of numbers."""

from __future__ import annotations

import flask
import orjson

from auth.permissions import Permission
from models.tensors import read_prediction_request
from service import dataplane
from service.limits import charges_itself
from service.parsing import Blueprint
from service.schemas import PredictionSchema, PredictRequestSchema
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
@charges_itself
@requires(Permission.PREDICT)
def predict() -> flask.Response:
    """Predict one row or many with a model of the caller's tenant."""
    answer = dataplane.predict(read_prediction_request)
    body = {
        "prediction": answer.prediction,
        "model": answer.version.model,
        "version": answer.version.number,
    }
    encoded = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    return flask.Response(encoded, mimetype="application/json")
