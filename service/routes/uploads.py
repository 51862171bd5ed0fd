"""Uploads: a model file becomes a job, and the job a version."""

from __future__ import annotations

import re
from typing import Any, Final

import flask
import orjson
from flask import request

from auth.permissions import Permission
from models.errors import InputTooLarge
from service.description.headers import referred
from service.errors import InputMalformed, ModelRefused
from service.idempotency import reads_body_itself, reserve
from service.limits import charge, charges_itself
from service.operations import jobs, uploads
from service.operations.jobs import JobView
from service.operations.uploads import Wishes, read_digest
from service.parsing import Blueprint, load_fields, upload_of
from service.schemas import UNREAD
from service.schemas.jobs import (
    DIGEST_FORM,
    FILE,
    FORMAT_NAMES,
    JobSchema,
    UploadFormSchema,
    UploadSchema,
)
from service.security import current_platform, current_scope, requires
from service.spools import CONTINUE, Admission
from service.upload_forms import FORM, Digested, read_upload

FORMAT_HEADER: Final = "X-Model-Format"
DIGEST_HEADER: Final = "X-Model-Digest"
HEADERS: Final = {FORMAT_HEADER: "format", DIGEST_HEADER: "digest"}
WAIT: Final = re.compile(r"(?:^|,)\s*wait\s*=\s*\"?([0-9]{1,6})\"?\s*(?=,|;|$)", re.IGNORECASE)
MOST_WAIT: Final = 60.0
BODY: Final = {
    "required": True,
    "content": {FORM: {"schema": UploadFormSchema}, "application/octet-stream": {"schema": FILE}},
}
DESCRIBED: Final = [
    {"in": "header", "name": name, "schema": {"type": "string"} | form, "description": description}
    for name, form, description in (
        (FORMAT_HEADER, {"enum": FORMAT_NAMES}, "The same as `format`."),
        (
            DIGEST_HEADER,
            DIGEST_FORM,
            "The same as `digest`; Content-Digest (RFC 9530) is verified as well.",
        ),
        (
            "Prefer",
            UNREAD,
            "`wait=N` (RFC 7240): answer when the version is there, or after N seconds.",
        ),
    )
]
MADE: Final = referred("Location", "Preference-Applied")

bp = Blueprint("uploads", __name__, url_prefix="/models", description="Uploads of models.")


@bp.post("/<string:model>/versions")
@bp.doc(requestBody=BODY, parameters=DESCRIBED)
@bp.arguments(UploadSchema, location="query")
@bp.alt_response(201, schema=JobSchema, headers=MADE, success=True)
@bp.alt_response(202, schema=JobSchema, headers=MADE, success=True)
@bp.alt_response(409, "CONFLICT")
@bp.alt_response(422, "UNPROCESSABLE_ENTITY")
@bp.alt_response(507, "INSUFFICIENT_STORAGE")
@charges_itself
@reads_body_itself
@requires(Permission.MODELS_WRITE)
def upload_version(query: dict[str, Any], model: str) -> flask.Response:
    """Upload a model file, which a job makes the model's next version.

    Over the platform's own servers this runs twice: when the head of the request has arrived, to
    admit the body or to refuse it unread, and when the body has.
    """
    upload = upload_of(request)
    named = {field: request.headers[h] for h, field in HEADERS.items() if h in request.headers}
    stated = _merged(query, load_fields(UploadSchema(), named))
    if upload is None or not upload.complete:
        _admit(model, stated, request.content_length if upload is None else upload.declared)
    if upload is not None and not upload.complete:
        most = current_platform().settings.max_model_bytes
        upload.admission = Admission(current_scope(), most)
        return flask.Response(status=CONTINUE)
    received = _receive(model, stated)
    return received if isinstance(received, flask.Response) else _answer(received)


def _admit(model: str, stated: dict[str, Any], declared: int | None) -> None:
    platform, scope = current_platform(), current_scope()
    charge(scope, None, rows=0)
    uploads.admit(platform, scope, model, stated.get("format", ""))
    most = platform.settings.max_model_bytes
    if declared is not None and declared > most:
        raise InputTooLarge(declared, most)


def _receive(model: str, stated: dict[str, Any]) -> JobView | flask.Response:
    """The job of what arrives, or the answer if the same was sent before."""
    platform, scope = current_platform(), current_scope()
    with uploads.receiving(platform, scope, model) as reception:
        digested = Digested(reception)
        fields = read_upload(request, digested, most=platform.settings.max_model_bytes)
        wishes = _merged(stated, load_fields(UploadSchema(), fields))
        answered = reserve(digested.content(wishes))
        if answered is not None:
            reception.abandon()
            return answered
        return jobs.view(reception.accept(_wishes(wishes)))


def _answer(job: JobView) -> flask.Response:
    """The job, or after a wait that was preferred the version that it has become."""
    wait = WAIT.search(request.headers.get("Prefer", ""))
    if wait is not None:
        seconds = min(float(wait[1]), MOST_WAIT)
        job = jobs.await_job(current_platform(), current_scope(), job.id, seconds=seconds)
    if job.state == "refused":
        raise ModelRefused(job.id, job.problem or "")
    made = job.state == "ready"
    body = orjson.dumps(JobSchema().dump(job))
    response = flask.Response(body, 201 if made else 202, mimetype="application/json")
    where = f"/models/{job.model}/versions/{job.version}" if made else f"/jobs/{job.id}"
    response.headers["Location"] = where
    if wait is not None:
        response.headers["Preference-Applied"] = f"wait={wait[1]}"
    return response


def _wishes(stated: dict[str, Any]) -> Wishes:
    if "digest" in stated:
        stated = stated | {"digest": read_digest(stated["digest"])}
    return Wishes(**stated)


def _merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Both, where they do not contradict each other."""
    given = {name: value for name, value in second.items() if value is not None}
    for name, value in given.items():
        if first.get(name, value) != value:
            raise InputMalformed({f"/{name}": "given twice, differently"})
    return first | given
