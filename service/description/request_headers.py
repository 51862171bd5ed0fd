"""The headers of requests that many calls take: what each is for, and how it is written."""

from __future__ import annotations

from typing import Any, Final

from service.description.headers import ETAG
from service.description.operations import Operation
from service.idempotency import BARE, HEADER, MOST_KEY, QUOTED
from service.schemas import UNREAD, described

IDEMPOTENCY_KEY: Final[dict[str, Any]] = {
    "in": "header",
    "name": HEADER,
    "description": "Of a call that may be sent again: it acts once within a day, and is answered "
    "alike (draft-ietf-httpapi-idempotency-key-header).",
    "schema": {"type": "string", "minLength": 1}
    | described(f"{QUOTED.pattern}|{BARE.pattern}", MOST_KEY),
    "example": '"8e03978e-40d5-43e8-bc93-6894a57f9324"',
}


def _condition(name: str, description: str) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1} | described(rf"\*|{ETAG}(?:, ?{ETAG})*", 1024)
    return {"in": "header", "name": name, "description": description, "schema": schema}


OF_CHANGES: Final = (
    _condition("If-Match", "Change it only in one of these states, or with `*` if it is there."),
    _condition("If-None-Match", "With `*`: make it only if it is not there."),
)
# What is no list of tags is left alone, as any header that is not understood.
OF_READING: Final = (
    {
        "in": "header",
        "name": "If-None-Match",
        "description": "Answer 304 if it is still in one of these states.",
        "schema": UNREAD,
    },
)


def request_headers(operation: Operation) -> list[dict[str, Any]]:
    """The headers that an operation takes, beside those that it declares itself."""
    headers = [IDEMPOTENCY_KEY] if operation.takes_key else []
    if operation.heeds_conditions:
        headers += OF_CHANGES
    return [*headers, *OF_READING] if operation.is_tagged else headers
