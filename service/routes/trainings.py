"""Trainings: a spec and a table become a job, and the job a version with its report."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Mapping
from typing import Any, Final

import flask
import orjson
from flask import request

from auth.errors import AuthError
from auth.permissions import Permission
from models.errors import InputTooLarge, JobNotFound, SpecRefused
from models.manifest import EVALUATION, REPORT
from models.training.spec import Data, Spec, read_spec
from service.description.headers import referred
from service.errors import ClientRefused, InputMalformed, MediaTypeRefused, step
from service.idempotency import reads_body_itself, reserve
from service.limits import charge, charges_itself
from service.operations import training_orders, trainings
from service.operations.following import Following
from service.operations.training_orders import Reception
from service.pages import linked, paging
from service.parsing import MAX_CONTROL_BYTES, Blueprint, read_json, upload_of
from service.schemas import PageSchema
from service.schemas.trainings import (
    DOCUMENT,
    EVENTS,
    LAST_EVENT,
    TrainingFormSchema,
    TrainingSchema,
)
from service.security import current_platform, current_scope, requires, standing_scope
from service.spools import CONTINUE, Admission
from service.streams import HEARTBEAT, event, retry
from service.upload_forms import FORM, Digested, read_upload
from service.wsgi import Feed

SPEC: Final = "spec"
DATA: Final = "data"
MOST_DOTS: Final = 1_000
BODY: Final = {"required": True, "content": {FORM: {"schema": TrainingFormSchema}}}
EVENT_STREAM: Final = "text/event-stream"
ASK_SECONDS: Final = 0.5
HEARTBEAT_SECONDS: Final = 15.0
STREAM_SECONDS: Final = 300.0  # then whoever follows comes again, and is asked who they are
RETRY_SECONDS: Final = 2.0
HTML: Final = {"type": "string", "format": "html", "maxLength": 64 * 1024**2}
# A report is of a tenant's own words: it runs nothing, and loads nothing from anywhere.
ISOLATED: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; sandbox"
)

bp = Blueprint("trainings", __name__, url_prefix="/training", description="Trainings of models.")
reports = Blueprint("reports", __name__, url_prefix="/models", description="Reports of trainings.")

Members = dict[str, Any]


@bp.post("/jobs")
@bp.doc(requestBody=BODY)
@bp.alt_response(202, schema=TrainingSchema, headers=referred("Location"), success=True)
@bp.alt_response(409, "CONFLICT")
@bp.alt_response(422, "UNPROCESSABLE_ENTITY")
@bp.alt_response(507, "INSUFFICIENT_STORAGE")
@charges_itself
@reads_body_itself
@requires(Permission.TRAINING)
def start_training() -> flask.Response:
    """Have a model trained on a table; its winner becomes the model's next version.

    Over the platform's own servers this runs twice, as uploads do: to admit the body or to refuse
    it unread, and when it has arrived.
    """
    upload = upload_of(request)
    platform, scope = current_platform(), current_scope()
    if upload is None or not upload.complete:
        _admit(request.content_length if upload is None else upload.declared)
    if upload is not None and not upload.complete:
        upload.admission = Admission(scope, platform.settings.max_model_bytes)
        return flask.Response(status=CONTINUE)
    return _receive()


@bp.get("/jobs")
@requires(Permission.TRAINING)
@bp.arguments(PageSchema, location="query")
@bp.response(200, TrainingSchema(many=True))
def list_trainings(query: Members) -> Any:
    """List the tenant's trainings, newest first, a page at a time."""
    return linked(trainings.list_trainings(current_platform(), current_scope(), **paging(query)))


@bp.get("/jobs/<string:job_id>")
@requires(Permission.TRAINING)
@bp.response(200, TrainingSchema)
def show_training(job_id: str) -> trainings.TrainingView:
    """Show one training: how far it is, what leads so far, and its log."""
    return trainings.show_training(current_platform(), current_scope(), job_id)


@bp.delete("/jobs/<string:job_id>")
@requires(Permission.TRAINING)
@bp.response(202, TrainingSchema)
def cancel_training(job_id: str) -> trainings.TrainingView:
    """Cancel a training: one that waits ends at once, one that is worked on soon."""
    return trainings.cancel_training(current_platform(), current_scope(), job_id)


@bp.get("/jobs/<string:job_id>/events")
@requires(Permission.TRAINING)
@bp.doc(parameters=[LAST_EVENT])
@bp.alt_response(200, schema=EVENTS, content_type=EVENT_STREAM, success=True)
@bp.alt_response(204, description="It has ended, and nothing is new.")
def follow_training(job_id: str) -> flask.Response:
    """Follow a training live (server-sent events): `log`, `progress` and `state`.

    The stream ends when the training has, and after some minutes; a client then connects again
    with `Last-Event-ID`, and misses nothing.
    """
    platform, scope = current_platform(), current_scope()
    following = Following(platform, scope, job_id, standing=standing_scope(), known=_last_event())
    if following.is_over:
        return flask.Response(status=204)
    asking = Asking(following)
    feed = Feed(asking, platform.streams.open(scope.tenant_id), every=ASK_SECONDS)
    response = flask.Response(feed, mimetype=EVENT_STREAM, direct_passthrough=True)
    response.headers["X-Accel-Buffering"] = (
        "no"  # or a proxy keeps events back until there are many
    )
    return response


@bp.get("/jobs/<string:job_id>/report")
@requires(Permission.TRAINING)
@bp.alt_response(200, schema=HTML, content_type="text/html", success=True)
@bp.alt_response(410, "GONE")
def read_report(job_id: str) -> flask.Response:
    """Give the report of a training that is ready, a page by itself."""
    platform, scope = current_platform(), current_scope()
    return _page(trainings.read_of_training(platform, scope, job_id, REPORT))


@bp.get("/jobs/<string:job_id>/evaluation")
@requires(Permission.TRAINING)
@bp.alt_response(200, schema=DOCUMENT, success=True)
@bp.alt_response(410, "GONE")
def read_evaluation(job_id: str) -> flask.Response:
    """Give the evaluation of a training that is ready, as JSON."""
    platform, scope = current_platform(), current_scope()
    return _document(trainings.read_of_training(platform, scope, job_id, EVALUATION))


@reports.get("/<string:model>/versions/<string:version>/report")
@requires(Permission.MODELS_READ)
@reports.alt_response(200, schema=HTML, content_type="text/html", success=True)
@reports.alt_response(410, "GONE")
def read_report_of_version(model: str, version: str) -> flask.Response:
    """Give the report of a version that was trained here, a page by itself."""
    platform, scope = current_platform(), current_scope()
    return _page(trainings.read_of_version(platform, scope, model, version, REPORT))


@reports.get("/<string:model>/versions/<string:version>/evaluation")
@requires(Permission.MODELS_READ)
@reports.alt_response(200, schema=DOCUMENT, success=True)
@reports.alt_response(410, "GONE")
def read_evaluation_of_version(model: str, version: str) -> flask.Response:
    """Give the evaluation of a version that was trained here, as JSON."""
    platform, scope = current_platform(), current_scope()
    return _document(trainings.read_of_version(platform, scope, model, version, EVALUATION))


class Asking:
    """What a stream says when it is asked: what is new, or from time to time that it is there."""

    def __init__(self, following: Following) -> None:
        self._following = following
        self._ends = time.monotonic() + STREAM_SECONDS
        self._quiet = time.monotonic()
        self._begun = False

    def __call__(self) -> bytes | None:
        """What is to be sent now; None if that was all."""
        now = time.monotonic()
        if now > self._ends:
            return None
        had_ended = self._following.has_ended
        try:
            news = self._following.news()
        except (AuthError, ClientRefused, JobNotFound):
            return None  # whoever comes again is told why
        if not news and had_ended:
            return None
        said = b"".join(event(each.kind, each.number, each.said) for each in news)
        if not self._begun:
            self._begun, said = True, retry(RETRY_SECONDS) + said
        if not said and now - self._quiet > HEARTBEAT_SECONDS:
            said = HEARTBEAT
        self._quiet = now if said else self._quiet
        return said


class Parts:
    """The parts of a training's form: the spec is read here, the table goes to its reception."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception
        self._spec = bytearray()
        self._seen: set[str] = set()

    def begin(self, name: str) -> None:
        """Begin a part; raises InputMalformed for one that is unknown or repeated."""
        if name not in (SPEC, DATA):
            raise InputMalformed({f"/{step(name)}": "no part of a training; send spec and data"})
        if name in self._seen:
            raise InputMalformed({f"/{name}": "given twice"})
        self._seen.add(name)
        if name == DATA:
            self._reception.begin()

    def write(self, name: str, data: bytes) -> None:
        """Append to it."""
        if name == DATA:
            self._reception.write(data)
            return
        self._spec += data
        if len(self._spec) > MAX_CONTROL_BYTES:
            raise InputMalformed({"/spec": f"longer than {MAX_CONTROL_BYTES} bytes"})

    def finish(self, name: str, content_type: str = "") -> None:
        """End it."""
        if name == DATA:
            self._reception.finish(content_type)

    def spec(self, fields: Mapping[str, str]) -> Spec:
        """The spec that was sent, as a file or as a field; raises InputMalformed."""
        unknown = next((name for name in fields if name != SPEC), None)
        if unknown is not None:
            raise InputMalformed({f"/{step(unknown)}": "no part of a training"})
        if (SPEC in fields) == (SPEC in self._seen):
            raise InputMalformed({"/spec": "send it once"})
        text = fields.get(SPEC)
        return spec_of(bytes(self._spec) if text is None else text.encode())


def spec_of(text: bytes) -> Spec:
    """A spec that came over HTTP, as JSON or TOML; raises InputMalformed."""
    said = _members(text)
    try:
        spec = read_spec(said)
    except SpecRefused as refused:
        where = "/".join(step(part) for part in refused.where.split("."))
        remedy = f"; {refused.remedy}" if refused.remedy else ""
        raise InputMalformed({f"/spec/{where}": f"{refused.problem}{remedy}"}) from refused
    _refuse_local(spec, said)
    return spec


def _members(text: bytes) -> Mapping[str, Any]:
    if text.lstrip().startswith(b"{"):
        said: Mapping[str, Any] = read_json(text)
        return said
    # A key of so many parts takes its reader time and memory that grow with their square.
    if text.count(b".") > MOST_DOTS:
        raise InputMalformed({"/spec": f"TOML with more than {MOST_DOTS} dots; send it as JSON"})
    try:
        return tomllib.loads(text.decode())
    except UnicodeDecodeError:
        raise InputMalformed({"/spec": "not UTF-8"}) from None
    except RecursionError:
        raise InputMalformed({"/spec": "nested too deeply"}) from None
    except ValueError as error:  # a number of too many digits is one that is not TOML's own
        raise InputMalformed({"/spec": f"neither JSON nor TOML: {error}"}) from error


def _refuse_local(spec: Spec, said: Mapping[str, Any]) -> None:
    """Raise InputMalformed for what only the operator's own command may do."""
    if spec.data != Data():
        raise InputMalformed({"/spec/data": "send the table as the part data"})
    for name, value in said.get("parallel", {}).items():
        if (name, value) != ("backend", "sequential"):
            problem = "fits run one after another here; leave it out"
            raise InputMalformed({f"/spec/parallel/{step(name)}": problem})


def _admit(declared: int | None) -> None:
    platform, scope = current_platform(), current_scope()
    charge(scope, None, rows=0)
    if request.mimetype != FORM:
        raise MediaTypeRefused(request.mimetype, FORM)
    training_orders.admit(platform, scope)
    most = platform.settings.max_model_bytes
    if declared is not None and declared > most:
        raise InputTooLarge(declared, most)


def _receive() -> flask.Response:
    platform, scope = current_platform(), current_scope()
    most = platform.settings.max_model_bytes
    with training_orders.receiving(platform, scope) as reception:
        parts = Parts(reception)
        digested = Digested(parts)
        fields = read_upload(request, digested, most=most, most_field=MAX_CONTROL_BYTES)
        spec = parts.spec(fields)
        scope.require(Permission.TRAINING, spec.model)
        answered = reserve(digested.content(fields))
        if answered is not None:
            reception.abandon()
            return answered
        job = trainings.view(reception.accept(spec))
    body = orjson.dumps(TrainingSchema().dump(job))
    response = flask.Response(body, 202, mimetype="application/json")
    response.headers["Location"] = f"/training/jobs/{job.id}"
    return response


def _last_event() -> int:
    """What the client has heard; one that says nothing that is a number is told everything."""
    said = request.headers.get("Last-Event-ID", "")
    return int(said) if said.isascii() and said.isdigit() and len(said) < 16 else 0


def _page(content: bytes) -> flask.Response:
    response = flask.Response(content, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = ISOLATED
    return response


def _document(content: bytes) -> flask.Response:
    return flask.Response(content, mimetype="application/json")
