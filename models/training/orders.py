"""The orders that a trainer carries out, and what of ours they need.

In the sandbox no file opens, so all that an order may need is imported before.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import orjson

from models import manifest as roles
from models.errors import TrainingFailed
from models.hosting.messages import Message
from models.training import messages as words
from models.training.answering import Carry, answer_order, read_whole
from models.training.drift_order import compare_log
from models.training.progress import Reporting
from models.training.spec import read_spec
from models.training.telling import Telling, as_json, remaining
from models.training.trainer import train


def serve_orders(connection: socket.socket) -> None:
    """Carry out the order that comes over the connection, answer it, and return."""
    answer_order(connection, ORDERS)


def _train(order: Message, connection: socket.socket) -> Message:
    """Train on the table that the order brings."""
    body = order.body
    spec = read_spec(body["spec"])
    telling = Telling(connection)
    reporting = Reporting(
        tell=telling.tell,
        keep=telling.keep,
        known=dict(orjson.loads(order.blobs[0])) if order.blobs else {},
        left=remaining(spec.budget_seconds, body["seconds"]),
    )
    (descriptor,) = order.descriptors
    data = read_whole(descriptor, body["size"])
    trained = train(spec, data, body["name"], reporting, confined=body["confined"])
    telling.flush()
    blobs = {
        roles.MODEL: trained.model,
        roles.EVALUATION: as_json(trained.evaluation),
        roles.REPORT: trained.report,
        roles.REFERENCE: as_json(trained.reference),
        words.ROWS: trained.rows,
        words.ANSWERS: trained.answers,
    }
    _require_fitting(blobs)
    return Message(words.TRAINED, {"roles": list(blobs)}, tuple(blobs.values()))


ORDERS: Final[Mapping[str, Carry]] = MappingProxyType(
    {words.TRAIN: _train, words.DRIFT: compare_log}
)


def _require_fitting(blobs: Mapping[str, bytes]) -> None:
    for role, blob in blobs.items():
        if len(blob) > words.MOST_BYTES[role]:
            raise TrainingFailed(
                f"its {role} has {len(blob)} bytes, more than the {words.MOST_BYTES[role]} "
                "that one may have; train on fewer columns or classes"
            )
