"""The order to compare a log with a reference, carried out where trainings are.

customer: drift {confined, sizes, model, version, method, since, until, page}; the reference as a
          blob, and the files of the log one after another behind a descriptor
trainer:  drifted {}, with what was found as JSON and, if it is wanted, a page of HTML
"""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from models.drift.comparing import compare_all, overall
from models.drift.tables import read_logged
from models.errors import DataRefused
from models.hosting.messages import Message
from models.training.drift_page import drift_page
from models.training.messages import DRIFTED

SCHEMA: Final = 1


def compare_log(order: Message, _connection: socket.socket) -> Message:
    """Compare what the order brings; raises DataRefused for a reference that is none."""
    body = order.body
    (descriptor,) = order.descriptors
    segments = _pieces(descriptor, body["sizes"])
    times = {"since": body["since"], "until": body["until"]}
    logged = read_logged(segments, method=body["method"], **times)
    try:
        reference = orjson.loads(order.blobs[0])
        found, said = compare_all(reference, logged.columns, logged.answers)
        trained = int(reference["rows"])
    except (ValueError, TypeError, KeyError) as error:
        raise DataRefused("the reference of the version cannot be read") from error
    every = found if said is None else [*found, said]
    verdict, words = overall(every, logged.rows)
    told: dict[str, Any] = {
        "schema": SCHEMA,
        "model": body["model"],
        "version": body["version"],
        **times,
        "rows": logged.rows,
        "reference_rows": trained,
        "verdict": verdict,
        "words": words,
        "features": [each.as_json() for each in found],
        "predictions": said and said.as_json(),
    }
    shown = told | {name: _day(at) for name, at in times.items()}
    page = (drift_page(shown, every),) if body["page"] else ()
    return Message(DRIFTED, {}, (orjson.dumps(told), *page))


def _pieces(descriptor: int, sizes: list[int]) -> list[bytes]:
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        return [_exactly(file.fileno(), size) for size in sizes]


def _exactly(descriptor: int, size: int) -> bytes:
    data = bytearray()
    while len(data) < size and (piece := os.read(descriptor, size - len(data))):
        data += piece
    return bytes(data)


def _day(at: float | None) -> str:
    return "" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
