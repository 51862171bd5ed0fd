"""TF Serving's REST API, and KServe's V1 protocol, which has the same address for predictions.

Addresses are those of TF Serving's own patterns; every other under /v1 is, as there, a malformed
request. Clients send any content type or none, so that nothing depends on it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import flask
import orjson
from flask import request
from flask.blueprints import BlueprintSetupState
from werkzeug.routing import BaseConverter

from auth.permissions import Permission
from models.errors import InputRefused
from models.names import ALIAS, NUMBER, Reference
from service import visiting
from service.dataplane import Answer
from service.limits import charges_itself
from service.operations import resolution
from service.operations.version_states import version_states
from service.parsing import CODINGS, Blueprint, read_body
from service.problems import Problem
from service.security import current_platform, current_scope, public, requires
from service.tensorflow_serving import answers, metadata, shapes
from service.tensorflow_serving.requests import (
    ExamplesCall,
    Naming,
    PredictCall,
    Target,
    read_examples,
    read_predict,
)
from service.tensorflow_serving.signatures import classifying_method, regressing_method
from service.visits import TENSORFLOW_SERVING
from service.wording import STATUSES, Document, Wording, sentence

DIALECT: Final = TENSORFLOW_SERVING
JSON: Final = "application/json"
MODEL: Final = "/v1/models/<servable:model>"
VERSION: Final = f"{MODEL}/versions/<number:version>"
LABEL: Final = f"{MODEL}/labels/<servable:label>"
SHOWN: Final = 256
NOBODY: Final = 0  # the number of no version

bp = Blueprint("tensorflow_serving", __name__, description="TF Serving's REST API, KServe's V1.")


class Servable(BaseConverter):
    """A model's name or a label: what comes after a colon is a verb."""

    regex = "[^/:]+"


class Number(BaseConverter):
    """A version's number, kept as digits: it may be beyond any integer."""

    regex = "[0-9]+"


@bp.record_once
def _register_converters(state: BlueprintSetupState) -> None:
    state.app.url_map.converters |= {"servable": Servable, "number": Number}


def _word(problem: Problem, document: Document) -> tuple[int, dict[str, Any]]:
    """The refusal as one sentence: TF Serving's own where it has one for the case."""
    status = STATUSES.get(problem.status, problem.status)
    said = sentence(document)
    if flask.has_request_context():
        if request.url_rule is None and status in (404, 405):
            said = f"Malformed request: {request.method} {request.path[:SHOWN]}"
            return (400 if status == 404 else status), {"error": said}
        if status == 404:
            return _not_found(**request.view_args or {})
    return status, {"error": said}


def _not_found(
    model: str = "", version: str | None = None, label: str | None = None
) -> tuple[int, dict[str, Any]]:
    if label is not None:
        return 400, {"error": f"Unrecognized servable version label: {label[:SHOWN]}"}
    if request.method == "POST" or request.path.endswith("/metadata"):
        servable = f"Latest({model})" if version is None else f"Specific({model}, {version})"
        return 404, {"error": f"Servable not found for request: {servable[:SHOWN]}"}
    if version is not None:
        return 404, {"error": f"Could not find version {version[:SHOWN]} of model {model}"}
    return 404, {"error": f"Could not find any versions of model {model[:SHOWN]}"}


WORDING: Final = Wording(paths=re.compile(r"/v1(?:/.*)?", re.DOTALL), word=_word)


@bp.get("/", strict_slashes=False)  # else an empty path is led to wherever Host says
@bp.alt_response(200, schema=shapes.ALIVE, success=True)
@public
def alive() -> flask.Response:
    """Say that this process answers."""
    return _json({"status": "alive"})


@bp.get("/v1/models")
@bp.alt_response(200, schema=shapes.STATES, success=True)
@requires(Permission.PREDICT)
def name_missing() -> flask.Response:
    """Refuse: models are listed elsewhere, and TF Serving wants one named here."""
    raise InputRefused("", "Missing model name in request.")


@bp.get(MODEL, endpoint="model_status")
@bp.get(VERSION, endpoint="version_status")
@bp.get(LABEL, endpoint="label_status")
@bp.alt_response(200, schema=shapes.STATES, success=True)
@requires(Permission.PREDICT)
def show_status(model: str, version: str | None = None, label: str | None = None) -> flask.Response:
    """Say which versions answer, and whether the model does."""
    found = version_states(current_platform(), current_scope(), model, _named(version, label))
    return _json(metadata.describe_states(model, found))


@bp.get(f"{MODEL}/metadata", endpoint="model_metadata")
@bp.get(f"{VERSION}/metadata", endpoint="version_metadata")
@bp.get(f"{LABEL}/metadata", endpoint="label_metadata")
@bp.alt_response(200, schema=shapes.METADATA, success=True)
@requires(Permission.PREDICT)
def show_metadata(
    model: str, version: str | None = None, label: str | None = None
) -> flask.Response:
    """Show the signatures of a model: what it takes, and what its methods give."""
    plan = resolution.plan(current_platform(), current_scope(), model, _named(version, label))
    return _json(metadata.describe_version(plan.versions[0]))


@bp.post(f"{MODEL}:predict", endpoint="predict")
@bp.post(f"{VERSION}:predict", endpoint="predict_version")
@bp.post(f"{LABEL}:predict", endpoint="predict_label")
@bp.doc(requestBody={"required": True, "content": {JSON: {"schema": shapes.PREDICT}}})
@bp.alt_response(200, schema=shapes.PREDICTIONS, success=True)
@charges_itself
@requires(Permission.PREDICT)
def predict(model: str, version: str | None = None, label: str | None = None) -> flask.Response:
    """Predict row by row, or by columns."""
    call = _Call(Target(model, _named(version, label)))
    return call.encode(visiting.predict(DIALECT, call.decode))


@bp.post(f"{MODEL}:classify", endpoint="classify")
@bp.post(f"{VERSION}:classify", endpoint="classify_version")
@bp.post(f"{LABEL}:classify", endpoint="classify_label")
@bp.doc(requestBody={"required": True, "content": {JSON: {"schema": shapes.EXAMPLES}}})
@bp.alt_response(200, schema=shapes.CLASSES, success=True)
@charges_itself
@requires(Permission.PREDICT)
def classify(model: str, version: str | None = None, label: str | None = None) -> flask.Response:
    """Say of each example how probable each class is."""
    answer = _answer(Target(model, _named(version, label)), classifying_method)
    return _encoded(answers.write_classes(answer.version.signature, answer.answers))


@bp.post(f"{MODEL}:regress", endpoint="regress")
@bp.post(f"{VERSION}:regress", endpoint="regress_version")
@bp.post(f"{LABEL}:regress", endpoint="regress_label")
@bp.doc(requestBody={"required": True, "content": {JSON: {"schema": shapes.EXAMPLES}}})
@bp.alt_response(200, schema=shapes.NUMBERS, success=True)
@charges_itself
@requires(Permission.PREDICT)
def regress(model: str, version: str | None = None, label: str | None = None) -> flask.Response:
    """Predict one number for each example."""
    answer = _answer(Target(model, _named(version, label)), regressing_method)
    return _encoded(answers.write_numbers(answer.answers))


@dataclass(slots=True)
class _Call:
    """The current request for predictions; what it asks for is known once it is decoded."""

    target: Target
    asked: PredictCall | None = None

    def decode(self) -> PredictCall:
        """Read the body."""
        self.asked = read_predict(_body(), self.target, current_platform().bounds)
        return self.asked

    def encode(self, answer: Answer) -> flask.Response:
        """Write the answer in the form of the request."""
        assert self.asked is not None, "what was answered has been decoded"
        signature = answer.version.signature
        return _encoded(answers.write_predictions(self.asked, signature, answer.answers))


def _answer(target: Target, naming: Naming) -> Answer:
    """Answer the examples of the current request."""

    def decode() -> ExamplesCall:
        return read_examples(_body(), target, current_platform().bounds, naming)

    return visiting.predict(DIALECT, decode)


def _body() -> bytes:
    return read_body(request, current_platform().settings.max_body_bytes, codings=CODINGS)


def _named(version: str | None, label: str | None) -> Reference:
    """A version's number, or the alias that a label is; what can be none is not found."""
    if label is not None:
        return label if ALIAS.fullmatch(label) else NOBODY
    if version is None:
        return None
    digits = version.lstrip("0")
    return int(digits) if NUMBER.fullmatch(digits) else NOBODY


def _encoded(body: bytes) -> flask.Response:
    return flask.Response(body, mimetype=JSON)


def _json(value: object) -> flask.Response:
    return _encoded(orjson.dumps(value))
