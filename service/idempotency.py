"""`Idempotency-Key`: a call that changes something may be sent again, and acts once.

After draft-ietf-httpapi-idempotency-key-header. It holds for every call of the control plane that
may change something. Predictions change nothing; tokens are not given twice, and rotating ones
have a grace of their own. What a gate refuses has no key: the gates come before.
"""

from __future__ import annotations

import re
from typing import Final

import flask
import orjson
import structlog
from flask import g, request
from sqlalchemy.exc import SQLAlchemyError

from auth.idempotency import Kept, Reservation
from auth.permissions import Permission
from service.errors import InputMalformed
from service.operations import idempotency
from service.operations.recording import RESERVED
from service.parsing import MAX_CONTROL_BYTES, read_body
from service.security import Access, View, access_of, current_platform, current_scope
from service.wsgi import BODY

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
MOST_KEY: Final = 255
# A String of RFC 9651, as the draft has it, or the bare word that most clients send.
QUOTED: Final = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])+)"')
BARE: Final = re.compile(r"[A-Za-z0-9._~:/+=-]+")
UNSAFE: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
# What these permit changes nothing, whatever method it needs.
READING: Final = frozenset(
    {
        Permission.PREDICT,
        Permission.MODELS_READ,
        Permission.PREDICTIONS_READ,
        Permission.LIMITS_READ,
        Permission.USAGE,
        Permission.AUDIT,
        Permission.METRICS,
    }
)
# A precondition is a part of what is asked.
CONDITIONS: Final = ("If-Match", "If-None-Match")
KEPT_HEADERS: Final = ("Content-Type", "Location", "Link", "ETag", "Preference-Applied")
# Refused before or without anything being done: the same call may succeed later.
PASSING: Final = frozenset({401, 403, 408, 429})
log = structlog.get_logger("sallyport.idempotency")


def reads_body_itself(view: View) -> View:
    """Mark a view that has the body read part by part, and then calls `reserve`."""
    view.reads_body_itself = True  # type: ignore[attr-defined]
    return view


def takes_key(access: Access, method: str) -> bool:
    """Whether calls of an endpoint may carry a key."""
    changes = access.permission is not None and access.permission not in READING
    return changes and method.upper() in UNSAFE


def begin() -> flask.Response | None:
    """Reserve the request's key if it has one, or answer what the same request was answered."""
    app, endpoint = flask.current_app, request.endpoint  # noqa: TID251
    if endpoint is None or HEADER not in request.headers:
        return None
    access = access_of(app, endpoint)
    if access is None or not takes_key(access, request.method):
        return None
    g.idempotency_key = _key(request.headers[HEADER])
    if getattr(app.view_functions[endpoint], "reads_body_itself", False):
        return None
    body = read_body(request, MAX_CONTROL_BYTES)
    request.environ[BODY] = body  # for the view, which reads it again
    return reserve(body)


def reserve(content: bytes) -> flask.Response | None:
    """Reserve the key for this request with this content; the answer, if it was given before."""
    key: str | None = g.get("idempotency_key")
    if key is None:
        return None
    found = idempotency.begin(current_platform(), current_scope(), key, _fingerprint(content))
    if isinstance(found, Kept):
        g.replayed = True
        return flask.Response(found.body, found.status, headers=list(found.headers))
    g.reservation = found
    RESERVED.set(found)
    return None


def keep(response: flask.Response) -> flask.Response:
    """Keep the answer of a request that holds a key, unless the call may succeed later."""
    if g.get("replayed"):
        response.headers[REPLAYED] = "true"
    mine: Reservation | None = g.pop("reservation", None)
    if mine is None:
        return response
    final = response.status_code < 500 and response.status_code not in PASSING
    answer = _kept(response) if final else None
    try:
        idempotency.finish(current_platform(), current_scope(), mine, answer)
    except SQLAlchemyError:
        # What was done is done and on record: the next one hears that its answer is lost.
        log.exception("an answer was not kept for its idempotency key")
    return response


def forget(_error: BaseException | None = None) -> None:
    """Let nothing of this request reach the next one of its thread."""
    RESERVED.set(None)


def _key(text: str) -> str:
    quoted = QUOTED.fullmatch(text.strip())
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else text.strip()
    if len(key) > MOST_KEY or not (quoted or BARE.fullmatch(key)):
        problem = f'1 to {MOST_KEY} characters, such as "8e03978e-40d5-43e8-bc93-6894a57f9324"'
        raise InputMalformed({f"/{HEADER}": f"not a key: give {problem}"})
    return key


def _fingerprint(content: bytes) -> bytes:
    """Everything that tells one request from another; never stored, except as a keyed hash."""
    conditions = [request.headers.get(name) for name in CONDITIONS]
    head = [request.method, request.path, request.query_string.decode("latin-1"), conditions]
    return orjson.dumps(head) + content


def _kept(response: flask.Response) -> Kept:
    headers = [(name, response.headers[name]) for name in KEPT_HEADERS if name in response.headers]
    return Kept(response.status_code, tuple(headers), response.get_data())
