"""Files of rows: CSV, Arrow, Parquet and npy, taken and answered by content type.

A file may be larger than memory should hold. It lies sealed on the disk while it is read, and so
do its answers until they are sent. JSON is taken as well, and is the native dialect.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, BinaryIO, Final

import flask
from flask import g, request

from auth.permissions import Permission
from models.errors import InputRefused, InputTooLarge
from models.requests.tensors import PredictionRequest, read_prediction_request
from models.versions import Version
from service import bulk, visiting
from service.bulk import DIALECT, BulkCall, Source
from service.columnar.forms import (
    ARROW_FILE,
    ARROW_STREAM,
    COLUMNAR,
    CSV,
    JSON,
    NPY,
    PARQUET,
    TAKEN,
    Form,
    form_of,
    media_types,
)
from service.columnar.writers import Answering
from service.columnar.writing import writer_of
from service.description.headers import referred
from service.errors import CallAbandoned, FormNotOffered, InputMalformed, MediaTypeRefused
from service.limits import charges_itself
from service.parsing import Blueprint, may_be_json, read_body, refuse_encodings, upload_of
from service.schemas.bulk import FILE, BulkSchema
from service.schemas.predictions import ANSWER, REQUEST
from service.security import current_platform, current_scope, requires
from service.spools import CONTINUE, Admission, Answers, Held, Spool, Upload
from service.visits import NATIVE, Visit
from service.wsgi import Chunks

VERSION_HEADER: Final = "X-Model-Version"
READ_BYTES: Final = 256 * 1024
UTF_8: Final = frozenset({"", "utf-8", "utf8", "us-ascii"})
QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*+"')
PARAMETER: Final = re.compile(r";\s*+([^\s;=*]+)")
HEADER: Final = {"present": True, "absent": False}  # RFC 7111, section 3

FILES: Final[dict[str, Any]] = {form.media_type: {"schema": FILE} for form in COLUMNAR}
BODY: Final = {"required": True, "content": {JSON.media_type: {"schema": REQUEST}} | FILES}
ANSWERED: Final = referred(VERSION_HEADER)

bp = Blueprint("columnar", __name__, description="Predictions for files of rows.")


@bp.post("/models/<string:model>/predict")
@bp.doc(requestBody=BODY)
@bp.arguments(BulkSchema, location="query")
@bp.alt_response(200, schema=ANSWER, headers=ANSWERED, success=True)
@bp.alt_response(200, schema=FILE, content_type=CSV.media_type, success=True)
@bp.alt_response(200, schema=FILE, content_type=ARROW_STREAM.media_type, success=True)
@bp.alt_response(200, schema=FILE, content_type=ARROW_FILE.media_type, success=True)
@bp.alt_response(200, schema=FILE, content_type=PARQUET.media_type, success=True)
@bp.alt_response(200, schema=FILE, content_type=NPY.media_type, success=True)
@bp.alt_response(404, "NOT_FOUND")
@bp.alt_response(406, "NOT_ACCEPTABLE")
@bp.alt_response(507, "INSUFFICIENT_STORAGE")
@charges_itself
@requires(Permission.PREDICT)
def predict(query: dict[str, Any], model: str) -> flask.Response:
    """Predict the rows of a file, and answer in the form of that file or one that is accepted.

    Over the platform's own servers this runs twice for a file that memory should not hold: when
    the head of the request has arrived, to admit the body or to refuse it unread, and when the
    body has.
    """
    sent = form_of(request.content_type or "") or _sent_by_default()
    answered = _accepted(sent)
    if sent is JSON:
        return _predict_json(query, model, answered)
    call = BulkCall(
        model=model,
        version=query.get("version"),
        methods=tuple(query["method"].split(",")) if "method" in query else (),
        form=sent,
        options=_options(sent, request.content_type or ""),
        answer=answered,
    )
    visit = visiting.visit_of(DIALECT)
    upload = upload_of(request)
    if upload is None:
        _admit(visit, call, request.content_length)
        return _predict_arriving(visit, call)
    if upload.spool is None:
        _admit(visit, call, upload.declared)
        most = current_platform().settings.max_bulk_bytes
        upload.admission = Admission(current_scope(), most)
        return flask.Response(status=CONTINUE)
    if upload.body is not None:
        _admit(visit, call, len(upload.body))
        return _predict(visit, call, Held(upload.body, upload.spool), upload.spool, upload)
    return _predict(visit, call, upload.spool, upload.spool, upload)


def _sent_by_default() -> Form:
    """JSON, if a body that says nothing better of itself may be that."""
    if may_be_json(request.mimetype):
        return JSON
    raise MediaTypeRefused(request.mimetype, TAKEN)


def _accepted(sent: Form) -> Form:
    """The form of the answer: the one that was sent, unless another is preferred."""
    if not request.headers.get("Accept"):
        return sent
    best = request.accept_mimetypes.best_match(media_types(sent))
    found = form_of(best or "")
    if found is None:
        raise FormNotOffered(TAKEN)
    return found


def _options(sent: Form, content_type: str) -> dict[str, Any]:
    """What a content type says of a CSV file; raises InputMalformed for what is not read."""
    if sent is not CSV:
        return {}
    names = [name.lower() for name in PARAMETER.findall(QUOTED.sub("", content_type))]
    if len(set(names)) < len(names):
        raise InputMalformed({"/Content-Type": "a parameter is given more than once"})
    parameters = request.mimetype_params
    if parameters.get("charset", "").lower() not in UTF_8:
        raise InputMalformed({"/Content-Type": "CSV is read in UTF-8; convert it"})
    stated = parameters.get("header", "").lower()
    if stated and stated not in HEADER:
        raise InputMalformed({"/Content-Type": "header is present or absent"})
    return {"header": HEADER.get(stated)}


def _predict_json(query: dict[str, Any], model: str, answered: Form) -> flask.Response:
    answer = visiting.predict(NATIVE, partial(_read_json, query, model))
    sink = io.BytesIO()
    writer = writer_of(answered, Answering(answer.version, tuple(answer.answers)), sink)
    writer.write(answer.answers)
    body = writer.finish() + sink.getvalue()
    return _described(flask.Response(body, content_type=answered.content_type), answer.version)


def _read_json(query: dict[str, Any], model: str) -> PredictionRequest:
    """The native dialect's body, of which the address says the model."""
    platform = current_platform()
    body = read_body(request, platform.settings.max_body_bytes)
    asked = read_prediction_request(body, platform.bounds)
    if asked.model not in (None, model):
        raise InputRefused("/model", "another model than the address names")
    stated = {"version": asked.version, "method": asked.method}
    for name, value in query.items():
        if stated[name] not in (None, value):
            raise InputRefused(f"/{name}", "given twice, differently")
    return replace(asked, model=model, **(stated | query))


def _admit(visit: Visit, call: BulkCall, declared: int | None) -> None:
    refuse_encodings(request)
    try:
        bulk.admit(visit, call)
    finally:
        g.policies = visit.policies
    most = visit.platform.settings.max_bulk_bytes
    if declared is not None and declared > most:
        raise InputTooLarge(declared, most)


def _predict_arriving(visit: Visit, call: BulkCall) -> flask.Response:
    """Predict behind a server that hands on a body while it arrives."""
    settings = visit.platform.settings
    request.max_content_length = settings.max_bulk_bytes
    spool = Spool(settings.uploads, least_free=settings.free_disk_bytes)
    try:
        while data := request.stream.read(READ_BYTES):
            spool.write(data)
        return _predict(visit, call, spool, spool)
    finally:
        spool.close()


def _predict(
    visit: Visit, call: BulkCall, source: Source, spool: Spool, upload: Upload | None = None
) -> flask.Response:
    def goes_on() -> None:
        if upload is not None and upload.gone.is_set():
            raise CallAbandoned

    answers = Answers(spool.another())
    try:
        answer = bulk.predict(visit, call, source, answers.write, goes_on=goes_on)
        response = _answer(answer.head, answers)
    except BaseException:
        answers.spool.close()
        raise
    finally:
        g.policies = visit.policies
    response.content_type = call.answer.content_type
    return _described(response, answer.version)


def _answer(head: bytes, answers: Answers) -> flask.Response:
    whole, spool = answers.whole(), answers.spool
    if whole is not None:
        return flask.Response(head + whole)
    body = Chunks(_pieces(head, spool.read()), len(head) + spool.size, spool.close)
    response = flask.Response(body, direct_passthrough=True)
    response.content_length = body.size
    return response


def _pieces(head: bytes, file: BinaryIO) -> Iterator[bytes]:
    if head:
        yield head
    while data := file.read(READ_BYTES):
        yield data


def _described(response: flask.Response, version: Version) -> flask.Response:
    response.headers[VERSION_HEADER] = str(version.number)
    return response
