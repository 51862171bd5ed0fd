"""The headers of requests that many calls take: what each is for, and how it is written."""

from __future__ import annotations

from typing import Any, Final

from service.idempotency import BARE, HEADER, MOST_KEY, QUOTED
from service.schemas import described

IDEMPOTENCY_KEY: Final[dict[str, Any]] = {
    "in": "header",
    "name": HEADER,
    "description": "Of a call that may be sent again: it acts once within a day, and is answered "
    "alike (draft-ietf-httpapi-idempotency-key-header).",
    "schema": {"type": "string", "minLength": 1}
    | described(f"{QUOTED.pattern}|{BARE.pattern}", MOST_KEY),
    "example": '"8e03978e-40d5-43e8-bc93-6894a57f9324"',
}
