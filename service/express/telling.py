"""The headers of an answer that is charged, which is counted, and traced, with them."""

from __future__ import annotations

from typing import Final, NamedTuple

from config.counters import Answered, Receipt
from service import hardening, observing
from service.express.passes import Pass
from service.observing import request_ids
from service.wsgi import Headers


class Spent(NamedTuple):
    """The seconds that each stage of a call took, in the order in which it tells them."""

    authenticate: float
    decode: float
    admit: float
    bind: float
    compute: float
    encode: float


ALWAYS: Final = (*hardening.ALWAYS, *hardening.UNLESS_SET)


def counted(spent: Spent, *, rows: int, total: float) -> Answered:
    """A call as it is charged and added to its version's totals; the times are in seconds."""
    return Answered(
        total_ns=int(total * 1e9),
        queue_ns=int((spent.authenticate + spent.admit) * 1e9),
        decode_ns=int((spent.decode + spent.bind) * 1e9),
        compute_ns=int(spent.compute * 1e9),
        encode_ns=int(spent.encode * 1e9),
        rows=rows,
    )


def tell(
    mine: Pass,
    receipt: Receipt,
    described: Headers,
    *,
    rows: int,
    total: float,
    spent: Spent,
) -> Headers:
    """Count a call, and say what it was charged.

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
