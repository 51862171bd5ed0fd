"""Reading of requests: whole bodies within bounds; of the control plane strict JSON, forms and
queries, refused with a path.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final, NoReturn, cast

import flask
import marshmallow as ma
from flask_smorest import Blueprint as SmorestBlueprint
from webargs.flaskparser import FlaskParser

from service.errors import BodyTooLarge, CodingRefused, InputMalformed, MediaTypeRefused, step
from service.spools import UPLOAD, Upload
from service.wsgi import BODY

MAX_CONTROL_BYTES: Final = 64 * 1024  # no control-plane request is larger; predictions are not
MAX_DEPTH: Final = 8
MAX_PROBLEMS: Final = 20  # in one refusal, or a short body would be answered by a long one
# What each content coding is to zlib: gzip (RFC 1952), and deflate, which is zlib's (RFC 1950).
WINDOWS: Final = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
CODINGS: Final = tuple(WINDOWS)  # where other servers' clients compress what they send
# Absent, or what curl (a form) and browsers (text) say of a body that nobody described.
UNDESCRIBED: Final = frozenset({"", "application/x-www-form-urlencoded", "text/plain"})
JSON: Final = "application/json"
# What marshmallow puts between the name of a field and what is wrong with it.
BETWEEN: Final = frozenset({"_schema", "key", "value"})


class StrictParser(FlaskParser):
    """Reads exactly what the schema declares; anything else is an InputMalformed."""

    DEFAULT_VALIDATION_STATUS = 400
    DEFAULT_UNKNOWN_BY_LOCATION: Final = {  # type: ignore[misc]
        "json": ma.RAISE,
        "form": ma.RAISE,
        "query": ma.RAISE,
        "headers": ma.EXCLUDE,
        "path": ma.RAISE,
    }

    def load_json(self, req: flask.Request, schema: ma.Schema) -> Any:
        """The request's JSON object, duplicate members and wrong media types refused."""
        if req.mimetype != JSON:
            raise MediaTypeRefused(req.mimetype, JSON)
        return read_json(read_body(req, MAX_CONTROL_BYTES))

    def load_form(self, req: flask.Request, schema: ma.Schema) -> Any:
        """The request's form fields; RFC 6749, section 3.2: none may be repeated."""
        if req.mimetype != "application/x-www-form-urlencoded":
            raise MediaTypeRefused(req.mimetype, "application/x-www-form-urlencoded")
        refuse_encodings(req)
        if (req.content_length or 0) > MAX_CONTROL_BYTES:
            flask.abort(413)
        _refuse_repeats(req.form)
        return super().load_form(req, schema)

    def load_querystring(self, req: flask.Request, schema: ma.Schema) -> Any:
        """The query's members, none of them repeated."""
        _refuse_repeats(req.args)
        return super().load_querystring(req, schema)

    def handle_error(
        self, error: ma.ValidationError, req: flask.Request, schema: ma.Schema, **_: Any
    ) -> NoReturn:
        """Turn marshmallow's nested messages into one path each."""
        messages = cast(dict[str, Any], error.normalized_messages())  # type: ignore[no-untyped-call]
        raise _malformed(next(iter(messages.values()), {})) from error


class Blueprint(SmorestBlueprint):  # type: ignore[misc]
    """A blueprint whose arguments are read strictly."""

    ARGUMENTS_PARSER = StrictParser()


def load_fields(schema: ma.Schema, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields as the schema declares them; raises InputMalformed."""
    try:
        return cast(dict[str, Any], schema.load(fields))
    except ma.ValidationError as error:
        raise _malformed(error.normalized_messages()) from error  # type: ignore[no-untyped-call]


def read_body(request: flask.Request, limit: int, *, codings: tuple[str, ...] = ()) -> bytes:
    """The whole body, without a copy where the server has it at hand.

    Refuses with 413 before more than `limit` bytes are read, or decoded from one of the codings.
    """
    coding = request.headers.get("Content-Encoding", "identity").lower()
    if coding != "identity" and coding not in codings:
        raise CodingRefused(f"the coding {coding!r} is not decoded here", codings)
    body = _body_at_hand(request, limit)
    return body if coding == "identity" else _decode(body, coding, limit, codings)


def upload_of(request: flask.Request) -> Upload | None:
    """What the gateway keeps on the disk of a body; None where another server hands it on.

    A body that our own gateway took for no file is in memory, and the call in a thread that others
    wait for: neither is meant for a file.
    """
    upload: Upload | None = request.environ.get(UPLOAD)
    if upload is None and BODY in request.environ:
        flask.abort(400)
    return upload


def may_be_json(media_type: str) -> bool:
    """Whether a body of this media type may be JSON: it is called so, or nothing better."""
    return media_type == JSON or media_type in UNDESCRIBED or media_type.endswith("+json")


def refuse_encodings(request: flask.Request) -> None:
    """Refuse a body in a content coding; none is decoded here, so that none can be a bomb."""
    coding = request.headers.get("Content-Encoding", "identity")
    if coding.lower() != "identity":
        raise CodingRefused(f"the coding {coding!r} is not decoded here", ())


def _body_at_hand(request: flask.Request, limit: int) -> bytes:
    body: bytes | None = request.environ.get(BODY)
    if body is None:
        request.max_content_length = limit
        return request.get_data(cache=False)
    if len(body) > limit:
        raise BodyTooLarge(limit)
    return body


def _decode(body: bytes, coding: str, limit: int, codings: tuple[str, ...]) -> bytes:
    """Decode one gzip member or zlib stream (RFC 9110, section 8.4.1), never beyond the limit."""
    decoder = zlib.decompressobj(wbits=WINDOWS[coding])
    try:
        decoded = decoder.decompress(body, limit + 1)
    except zlib.error as error:
        raise CodingRefused(f"the body is not {coding}", codings) from error
    if len(decoded) > limit:
        raise BodyTooLarge(limit, coding=coding)
    if not decoder.eof or decoder.unused_data:
        raise CodingRefused(f"the body is not whole in {coding}", codings)
    return decoded


def read_json(body: bytes) -> Any:
    """A JSON value within MAX_DEPTH, without duplicate members, NaN or Infinity."""
    try:
        # Decoded first: json.loads would take UTF-16 and UTF-32 bytes as well.
        text = body.decode()
        value = json.loads(text, object_pairs_hook=_unique_members, parse_constant=_refuse_constant)
        depth = _depth(value)
    except RecursionError:
        depth = MAX_DEPTH + 1
    except ValueError as error:
        raise InputMalformed({"": "the body is not JSON"}) from error
    if depth > MAX_DEPTH:
        raise InputMalformed({"": f"the body nests deeper than {MAX_DEPTH}"})
    if "\\u" in text:
        _refuse_halves(value)
    return value


def _refuse_halves(value: Any) -> None:
    """Half a surrogate pair is no character: neither an answer nor a database could hold it."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise InputMalformed({"": "a text holds half of a surrogate pair"}) from error


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        [(repeated, _)] = Counter(name for name, _ in pairs).most_common(1)
        # One that is no character is named as it was written.
        written = repeated.encode(errors="backslashreplace").decode()
        raise InputMalformed({f"/{step(written)}": "given twice"})
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise InputMalformed({"": f"{name} is not JSON"})


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


def _refuse_repeats(values: Any) -> None:
    for name, given in values.lists():
        if len(given) > 1:
            raise InputMalformed({f"/{step(name)}": "given twice"})


def _malformed(messages: Any) -> InputMalformed:
    return InputMalformed(_some(dict(_flatten(messages, ""))) or {"": "not valid"})


def _some(problems: dict[str, str]) -> dict[str, str]:
    """The first problems, and how many more there are."""
    if len(problems) <= MAX_PROBLEMS:
        return problems
    first = dict(islice(problems.items(), MAX_PROBLEMS - 1))
    return first | {"": f"{len(problems) - len(first)} more problems"}


def _flatten(messages: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(messages, dict):
        for name, inner in messages.items():
            inner_path = path if name in BETWEEN else f"{path}/{step(str(name))}"
            yield from _flatten(inner, inner_path)
    else:
        yield path, " ".join(str(message).rstrip(".") for message in messages).lower()
