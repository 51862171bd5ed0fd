"""MLflow's scoring protocol: `/invocations`, for the tenant's default model or one in the path.

MLflow's own clients send no token: `requests` finds Basic credentials in a `.netrc`, so that a
service account's identifier and secret are taken here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import flask
from flask import g, request

from auth.permissions import Permission
from service import loose_json, visiting
from service.errors import MediaTypeRefused
from service.limits import charges_itself
from service.mlflow import shapes
from service.mlflow.requests import ScoringCall, read_csv_call, read_json_call, read_target
from service.operations import health
from service.parsing import CODINGS, Blueprint, read_body
from service.problems import MEDIA_TYPE_REFUSED, Problem
from service.schemas import TEXT
from service.security import accepts_basic, current_platform, public, requires
from service.visits import MLFLOW
from service.wording import STATUSES, Document, Wording, sentence

DIALECT: Final = MLFLOW
JSON: Final = "application/json"
CSV: Final = "text/csv"
SHOWN: Final = 64
# Of the protocol, not of this platform: what its clients may expect.
VERSION: Final = "3"
INVALID_PARAMETER: Final = "INVALID_PARAMETER_VALUE"
CODES: Final[Mapping[int, str]] = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}

bp = Blueprint("mlflow", __name__, description="MLflow's scoring protocol.")


def _word(problem: Problem, document: Document) -> tuple[int, dict[str, Any]]:
    """The refusal with MLflow's name for its kind; never a stack trace, never the data."""
    status = STATUSES.get(problem.status, problem.status)
    code = CODES.get(status, "BAD_REQUEST")
    pointers = [str(error["pointer"]) for error in document.get("errors", ())]
    if any(pointer == "/method" or pointer.startswith("/params") for pointer in pointers):
        code = INVALID_PARAMETER
    if status == 404 and flask.has_request_context() and request.url_rule is None:
        code = "ENDPOINT_NOT_FOUND"
    return status, {"error_code": code, "message": sentence(document)}


# Whatever a model is called: names that none can have hold slashes.
PATHS: Final = re.compile(r"/(?:ping|health|version|(?:.*/)?invocations)", re.DOTALL)
WORDING: Final = Wording(paths=PATHS, word=_word)


@bp.get("/ping", endpoint="ping")
@bp.get("/health", endpoint="health")
@bp.alt_response(200, schema=TEXT, content_type=JSON, success=True)
@bp.alt_response(503, "SERVICE_UNAVAILABLE")
@public
def ping() -> flask.Response:
    """Say that predictions are answered: one empty line."""
    health.require_ready(current_platform())
    return flask.Response("\n", mimetype=JSON)


@bp.get("/version")
@bp.alt_response(200, schema=TEXT, content_type="text/plain", success=True)
@public
def version() -> flask.Response:
    """Say which version of MLflow's protocol is spoken."""
    return flask.Response(VERSION, mimetype="text/plain")


@bp.post("/invocations", endpoint="invoke_default")
@bp.post("/models/<string:model>/invocations", endpoint="invoke_model")
@bp.post("/endpoints/<string:model>/invocations", endpoint="invoke_endpoint")
@bp.post("/serving-endpoints/<string:model>/invocations", endpoint="invoke_serving_endpoint")
@bp.doc(
    requestBody={
        "required": True,
        "content": {JSON: {"schema": shapes.REQUEST}, CSV: {"schema": shapes.CSV}},
    }
)
@bp.alt_response(200, schema=shapes.PREDICTIONS, success=True)
@bp.alt_response(415, schema=shapes.REFUSED, content_type="text/plain")
@charges_itself
@accepts_basic
@requires(Permission.PREDICT)
def invocations(model: str | None = None) -> flask.Response:
    """Predict from a data frame, from tensors or from CSV."""
    call = _Call(model, request.args.get("version"))
    try:
        prediction = visiting.predict(DIALECT, call.decode).prediction
    except MediaTypeRefused:
        g.problem = MEDIA_TYPE_REFUSED.name
        return flask.Response(_media_type_problem(), 415, mimetype="text/plain")
    body = loose_json.encode({"predictions": prediction}, [prediction])
    return flask.Response(body, mimetype=JSON)


@dataclass(frozen=True, slots=True)
class _Call:
    """The current request for predictions."""

    model: str | None
    version: str | None

    def decode(self) -> ScoringCall:
        """Read the body as what its content type says it is."""
        platform = current_platform()
        read = read_csv_call if _media_type() == CSV else read_json_call
        body = read_body(request, platform.settings.max_body_bytes, codings=CODINGS)
        return read(body, read_target(self.model, self.version), platform.bounds)


def _media_type() -> str:
    """JSON or CSV; raises MediaTypeRefused for what MLflow answers with 415."""
    if _media_type_problem():
        raise MediaTypeRefused(request.mimetype, f"{CSV} or {JSON}")
    return request.mimetype


def _media_type_problem() -> str:
    """What MLflow says of the content type, if it does not take it."""
    parameters = request.mimetype_params
    if parameters.get("charset", "utf-8").lower() != "utf-8":
        return "The scoring server only supports UTF-8"
    if parameters.keys() - {"charset"}:
        return "Unrecognized content type parameters; the only one is charset"
    if request.mimetype not in (CSV, JSON):
        given = request.mimetype[:SHOWN]
        known = f"Types: {[CSV, JSON]}. Got '{given}'."
        return f"This predictor only supports the following content types: {known}"
    return ""
