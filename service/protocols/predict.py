"""The native dialect: POST /predict with rows of numbers or records."""

from __future__ import annotations

import flask
from flask import request

from auth.permissions import Permission
from models.requests.tensors import PredictionRequest, read_prediction_request
from service import native, visiting
from service.errors import MediaTypeRefused
from service.limits import charges_itself
from service.parsing import Blueprint, may_be_json, read_body
from service.schemas.predictions import ANSWER, REQUEST
from service.security import current_platform, requires
from service.visits import NATIVE

bp = Blueprint("predict", __name__, description="Predictions.")


@bp.post("/predict")
@bp.doc(
    requestBody={
        "required": True,
        "content": {"application/json": {"schema": REQUEST}},
    }
)
@bp.alt_response(200, schema=ANSWER, success=True)
@bp.alt_response(404, "NOT_FOUND")
@charges_itself
@requires(Permission.PREDICT)
def predict() -> flask.Response:
    """Predict one row or many with a model of the caller's tenant."""
    answer = visiting.predict(NATIVE, _decode)
    encoded = native.encode(answer.version, answer.prediction)
    return flask.Response(encoded, mimetype="application/json")


def _decode() -> PredictionRequest:
    """Read the current request; what says that it is no JSON is not looked at."""
    if not may_be_json(request.mimetype):
        raise MediaTypeRefused(request.mimetype, "application/json")
    platform = current_platform()
    body = read_body(request, platform.settings.max_body_bytes)
    return read_prediction_request(body, platform.bounds)
