"""The Open Inference Protocol V2 over REST, as the clients of Triton, KServe and MLServer speak it.

Clients send any content type or none, so that nothing depends on it; they take every status but
200 for an error, and read `{"error": ...}` from `application/json` alone. Triton's own send Basic
credentials, and no token without a plug-in: a service account's are taken here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import flask
import orjson
from flask import request

from auth.permissions import Permission
from models.errors import InputRefused
from models.names import Reference
from service import visiting
from service.dataplane import Answer
from service.limits import charges_itself
from service.open_inference import inference_answers, metadata, models, shapes
from service.open_inference.answers import outputs_of
from service.open_inference.asking import TensorRequest, version_of
from service.open_inference.documents import read_document
from service.open_inference.framing import HEADER_LENGTH
from service.open_inference.inference_requests import Target, Wishes, read_request
from service.open_inference.parameters import check_parameters, read_switch
from service.operations import health, repository
from service.parsing import CODINGS, Blueprint, read_body
from service.problems import Problem
from service.security import accepts_basic, current_platform, current_scope, public, requires
from service.visits import OPEN_INFERENCE
from service.wording import Document, Wording, sentence

DIALECT: Final = OPEN_INFERENCE
JSON: Final = "application/json"
BINARY: Final = "application/octet-stream"
MODEL: Final = "/v2/models/<string:model>"
VERSION: Final = f"{MODEL}/versions/<string:version>"
REPOSITORY: Final = "/v2/repository"
NO_SUCH_MODEL: Final = "there is no model"
# What the protocol has no status for; Triton answers whatever it cannot name with 400.
AS_BAD_REQUEST: Final = frozenset({422})

bp = Blueprint("open_inference", __name__, description="Open Inference Protocol V2.")


def _word(problem: Problem, document: Document) -> tuple[int, dict[str, Any]]:
    """The refusal as one sentence; that there is no such model begins as Triton says it."""
    said = sentence(document)
    if said.startswith(NO_SUCH_MODEL):
        said = f"Request for unknown model: {said}"
    return 400 if problem.status in AS_BAD_REQUEST else problem.status, {"error": said}


WORDING: Final = Wording(paths=re.compile(r"/v2(?:/.*)?", re.DOTALL), word=_word)


@bp.get("/v2/health/live")
@bp.alt_response(200, schema=shapes.LIVE, success=True)
@public
def live() -> flask.Response:
    """Say that this process answers."""
    return _json({"live": True})


@bp.get("/v2/health/ready")
@bp.alt_response(200, schema=shapes.READY, success=True)
@bp.alt_response(503, "SERVICE_UNAVAILABLE")
@public
def ready() -> flask.Response:
    """Say whether predictions can be answered."""
    health.require_ready(current_platform())
    return _json({"ready": True, "live": True})


@bp.get("/v2", endpoint="server_metadata")
@bp.get("/v2/", endpoint="server_metadata_of_folder")
@bp.alt_response(200, schema=shapes.SERVER, success=True)
@public
def server() -> flask.Response:
    """Say what serves, and which extensions of the protocol it has."""
    return _json(metadata.describe_server())


@bp.get("/v2/models")
@bp.alt_response(200, schema=shapes.MODELS, success=True)
@accepts_basic
@requires(Permission.PREDICT)
def list_models() -> flask.Response:
    """List the models that the caller may ask."""
    return _json({"models": models.names(current_platform(), current_scope())})


@bp.get(MODEL, endpoint="model_metadata")
@bp.get(VERSION, endpoint="version_metadata")
@bp.alt_response(200, schema=shapes.METADATA, success=True)
@accepts_basic
@requires(Permission.PREDICT)
def show_metadata(model: str, version: str | None = None) -> flask.Response:
    """Show what a model takes and gives."""
    return _json(models.metadata(current_platform(), current_scope(), model, _named(version)))


@bp.get(f"{MODEL}/ready", endpoint="model_ready")
@bp.get(f"{VERSION}/ready", endpoint="version_ready")
@bp.alt_response(200, schema=shapes.MODEL_READY, success=True)
@bp.alt_response(503, "SERVICE_UNAVAILABLE")
@accepts_basic
@requires(Permission.PREDICT)
def model_ready(model: str, version: str | None = None) -> flask.Response:
    """Say that a model answers; one that does not is refused as its predictions are."""
    models.find(current_platform(), current_scope(), model, _named(version))
    return _json({"name": model, "ready": True})


@bp.get(f"{MODEL}/config", endpoint="model_configuration")
@bp.get(f"{VERSION}/config", endpoint="version_configuration")
@bp.alt_response(200, schema=shapes.CONFIGURATION, success=True)
@accepts_basic
@requires(Permission.PREDICT)
def show_configuration(model: str, version: str | None = None) -> flask.Response:
    """Show a model in the form of Triton's configurations."""
    return _json(models.configuration(current_platform(), current_scope(), model, _named(version)))


@bp.get("/v2/models/stats", endpoint="every_statistics")
@bp.get(f"{MODEL}/stats", endpoint="model_statistics")
@bp.get(f"{VERSION}/stats", endpoint="version_statistics")
@bp.alt_response(200, schema=shapes.STATISTICS, success=True)
@accepts_basic
@requires(Permission.PREDICT)
def show_statistics(model: str | None = None, version: str | None = None) -> flask.Response:
    """Show what was counted of each version."""
    return _json(models.statistics(current_platform(), current_scope(), model, _named(version)))


@bp.post(f"{MODEL}/infer", endpoint="infer")
@bp.post(f"{VERSION}/infer", endpoint="infer_version")
@bp.doc(
    requestBody={
        "required": True,
        "content": {JSON: {"schema": shapes.REQUEST}, BINARY: {"schema": shapes.BINARY}},
    },
    responses={
        "200": {
            "description": "In binary form if an output is wanted so.",
            "content": {JSON: {"schema": shapes.ANSWER}, BINARY: {"schema": shapes.BINARY}},
        }
    },
    parameters=[{"in": "header", "name": HEADER_LENGTH, "schema": shapes.LENGTH}],
)
@charges_itself
@accepts_basic
@requires(Permission.PREDICT)
def infer(model: str, version: str | None = None) -> flask.Response:
    """Predict from tensors, as JSON or in binary form."""
    call = _Call(model, _named(version))
    return call.encode(visiting.predict(DIALECT, call.decode))


@bp.post(f"{REPOSITORY}/index")
@bp.doc(requestBody={"content": {JSON: {"schema": shapes.WHICH}}})
@bp.alt_response(200, schema=shapes.INDEX, success=True)
@accepts_basic
@requires(Permission.MODELS_READ)
def index() -> flask.Response:
    """List every version that the caller may see, and whether it answers."""
    only_ready = read_switch(_document(), "ready", "") or False
    return _json(models.index(current_platform(), current_scope(), ready=only_ready))


@bp.post(f"{REPOSITORY}/models/<string:model>/unload")
@bp.doc(requestBody={"content": {JSON: {"schema": shapes.UNLOADING}}})
@bp.alt_response(200, schema=shapes.UNLOADED, success=True)
@accepts_basic
@requires(Permission.MODELS_WRITE)
def unload(model: str) -> flask.Response:
    """Let a model answer nobody until it is loaded again, in every dialect and on every worker."""
    repository.unload(current_platform(), current_scope(), model, _parameters())
    return _json({"name": model, "unload": True})


@bp.post(f"{REPOSITORY}/models/<string:model>/load")
@bp.doc(requestBody={"content": {JSON: {"schema": shapes.LOADING}}})
@bp.alt_response(200, schema=shapes.LOADED, success=True)
@accepts_basic
@requires(Permission.MODELS_WRITE)
def load(model: str) -> flask.Response:
    """Let a model answer again that was unloaded; its champion is opened first."""
    repository.load(current_platform(), current_scope(), model, _parameters())
    return _json({"name": model, "load": True})


@dataclass(slots=True)
class _Call:
    """The current inference request; `outputs` and `wishes` are known once it is decoded."""

    model: str
    version: Reference
    outputs: tuple[str, ...] = ()
    wishes: Wishes = field(default_factory=Wishes)

    def decode(self) -> TensorRequest:
        """Read the body, as JSON or what its header says."""
        platform, scope = current_platform(), current_scope()
        target = Target(
            model=self.model,
            version=self.version,
            bounds=platform.bounds,
            signature=lambda: models.signature_of(platform, scope, self.model, self.version),
        )
        body = read_body(request, platform.settings.max_body_bytes, codings=CODINGS)
        asked, self.wishes = read_request(target, body, request.headers.get(HEADER_LENGTH))
        self.outputs = asked.outputs
        return asked

    def encode(self, answer: Answer) -> flask.Response:
        """Write the answer, compressed if that is asked for and makes it smaller."""
        outputs = outputs_of(answer.answers, answer.version.signature, self.outputs)
        encoded = inference_answers.encode_answer(answer.version, outputs, self.wishes)
        coding, body = inference_answers.compress(encoded.body, request.accept_encodings)
        if encoded.json_length is None:
            response = flask.Response(body, mimetype=JSON)
        else:
            response = flask.Response(body, mimetype=BINARY)
            response.headers[HEADER_LENGTH] = str(encoded.json_length)
        response.headers["Vary"] = "Accept-Encoding"
        if coding:
            response.headers["Content-Encoding"] = coding
        return response


def _named(version: str | None) -> Reference:
    return None if version is None else version_of(version)


def _document() -> Mapping[str, Any]:
    """The body as a JSON object; none is an empty one."""
    platform = current_platform()
    body = read_body(request, platform.settings.max_body_bytes)
    return read_document(body, platform.bounds) if body else {}


def _parameters() -> Mapping[str, Any]:
    document = _document()
    for name in document.keys() - {"parameters"}:
        raise InputRefused(f"/{name[:64]}", "unknown; known is parameters")
    return check_parameters(document.get("parameters"), "/parameters")


def _json(value: object) -> flask.Response:
    """An answer as clients compare its type: without a charset."""
    return flask.Response(orjson.dumps(value), mimetype=JSON)
