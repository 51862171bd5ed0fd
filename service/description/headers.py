"""The headers of answers: what each says, and which answers carry it."""

from __future__ import annotations

from typing import Any, Final

from service.description.operations import Operation
from service.schemas import LARGEST, described
from service.schemas.answers import REQUEST_ID

Header = dict[str, Any]


def _word(description: str, pattern: str, most: int, *, required: bool = False) -> Header:
    schema = {"type": "string"} | described(pattern, most)
    return {"description": description, "required": required, "schema": schema}


def _seconds(description: str) -> Header:
    schema = {"type": "integer", "format": "int64", "minimum": 1, "maximum": LARGEST}
    return {"description": description, "schema": schema}


_POLICY: Final = r'"[a-z_]+";q=[0-9]+;w=[0-9]+'
_STATE: Final = r'"[a-z_]+";r=[0-9]+;t=[0-9]+'
_STAGE: Final = r"[a-z_]+;dur=[0-9]+\.[0-9]+"
# RFC 9110, section 8.8.3: of the characters that an entity tag may have, those that ours do.
ETAG: Final = r'(?:W/)?"[\x21\x23-\x7e]*"'
VISIBLE: Final = r"[\x20-\x7e]+"

HEADERS: Final[dict[str, Header]] = {
    "X-Request-Id": _word("As the log has it.", REQUEST_ID, 32, required=True),
    "RateLimit-Policy": _word(
        "The limits that the call was charged to (IETF RateLimit fields); absent where nobody "
        "in particular called.",
        f"{_POLICY}(?:, {_POLICY})*",
        512,
    ),
    "RateLimit": _word(
        "What is left of them, and in how many seconds there is more.",
        f"{_STATE}(?:, {_STATE})*",
        512,
    ),
    "Retry-After": _seconds("Seconds after which the same call may succeed; never too early."),
    "WWW-Authenticate": _word("How to identify oneself.", VISIBLE, 512, required=True),
    "Link": _word("The next page (RFC 8288), where there is one.", VISIBLE, 8192),
    "Location": _word("The address of what was made.", VISIBLE, 2048, required=True),
    "Server-Timing": _word(
        "How long each stage took, in milliseconds.", f"{_STAGE}(?:, {_STAGE})*", 1024
    ),
    "traceresponse": _word(
        "The span of the call, if it is part of a trace (W3C Trace Context).",
        "00-[0-9a-f]{32}-[0-9a-f]{16}-01",
        55,
    ),
    "ETag": _word("The state that was answered (RFC 9110).", ETAG, 256),
    "Preference-Applied": _word("Present if `Prefer` was heeded.", r"wait=[0-9]{1,6}", 16),
    "Idempotency-Replayed": _word(
        "Present if the same call was answered so before, under its idempotency key.", "true", 4
    ),
    "X-Model-Version": _word("The version that answered.", r"[1-9][0-9]{0,14}", 15, required=True),
    "Accept-Encoding": _word("The codings that are read here (RFC 7694).", VISIBLE, 64),
}
FIRST_FAILURE: Final = 400
EVERYWHERE: Final = ("X-Request-Id", "RateLimit-Policy", "RateLimit", "traceresponse")
OF_FAILURES: Final = {
    401: ("WWW-Authenticate",),
    409: ("Retry-After",),
    415: ("Accept-Encoding",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}


def headers_of(operation: Operation, status: int) -> dict[str, Header]:
    """The headers of an operation's own answers."""
    if status >= FIRST_FAILURE:
        return of_failure(status)
    names = list(EVERYWHERE)
    if operation.takes("cursor"):
        names.append("Link")
    if operation.is_tagged:
        names.append("ETag")
    if operation.takes_key:
        names.append("Idempotency-Replayed")
    if operation.predicts:
        names.append("Server-Timing")
    return referred(*names)


def of_failure(status: int) -> dict[str, Header]:
    """The headers of every refusal with this status."""
    return referred(*EVERYWHERE, *OF_FAILURES.get(status, ()))


def referred(*names: str) -> dict[str, Header]:
    """These headers as a response lists them."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
