"""The headers of an answer that is charged, which is counted, and traced, with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from config.counters import Receipt
from service import hardening, observing
from service.express.passes import Pass
from service.observing import request_ids
from service.wsgi import Headers

ALWAYS: Final = (*hardening.ALWAYS, *hardening.UNLESS_SET)


def tell(
    mine: Pass,
    receipt: Receipt,
    described: Headers,
    *,
    rows: int,
    total: float,
    spent: Sequence[float],
) -> Headers:
    """Count a call, and say what it was charged; the seconds are those of observing.tell.

    `described` are the headers that are the body's.
    """
    request_id = request_ids.next()
    timing, response = observing.tell(
        mine.recurring, request_id, rows=rows, total=total, spent=spent
    )
    policies, limits = mine.tariff.fields(receipt)
    headers: Headers = [
        *described,
        *ALWAYS,
        ("x-request-id", request_id),
        ("ratelimit-policy", policies),
        ("ratelimit", limits),
        ("server-timing", timing),
    ]
    if response is not None:
        headers.append(("traceresponse", response))
    return headers
