"""The trainer's side: one order, carried out by the process that trains.

In the sandbox no file opens, so all that an order may need is imported before. Nothing that is said
here is trusted by who receives it.
"""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Final

import orjson

from models.errors import DataRefused, ModelsError, SpecRefused, TrainingFailed
from models.hosting.messages import Bounds, Message, MessagesEnded, receive, send
from models.training import messages as words
from models.training.drift_order import compare_log
from models.training.progress import Progress, Reporting, Result
from models.training.spec import read_spec
from models.training.trainer import train

ORDER: Final = Bounds(head=words.MOST_SPEC_BYTES, blobs=1, bytes=words.MOST_KNOWN_BYTES)
# What is kept back of the time for all that follows the search: the last fit, and the report.
RESERVED_SHARE: Final = 0.15
MOST_RESERVED_SECONDS: Final = 120.0

Carry = Callable[[Message, socket.socket], Message]


def serve_orders(connection: socket.socket, orders: Mapping[str, Carry] | None = None) -> None:
    """Carry out the order that comes over the connection, answer it, and return."""
    try:
        order = receive(connection, ORDER, patience=lambda: None)
        with _refusals(connection, confined=bool(order.body["confined"])):
            send(connection, (ORDERS if orders is None else orders)[order.kind](order, connection))
    except MessagesEnded:
        return  # whoever waited has left


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
    data = _read(descriptor, body["size"])
    trained = train(spec, data, body["name"], reporting, confined=body["confined"])
    telling.flush()
    blobs = {
        words.MODEL: trained.model,
        words.EVALUATION: _as_json(trained.evaluation),
        words.REPORT: trained.report,
        words.REFERENCE: _as_json(trained.reference),
        words.ROWS: trained.rows,
        words.ANSWERS: trained.answers,
    }
    _require_fitting(blobs)
    return Message(words.TRAINED, {"roles": list(blobs)}, tuple(blobs.values()))


# Each takes the order and the connection, over which it may tell how far it is.
ORDERS: Final[Mapping[str, Carry]] = MappingProxyType(
    {words.TRAIN: _train, words.DRIFT: compare_log}
)


class Telling:
    """Tells a customer how far a training is, not more often than anybody can read."""

    def __init__(
        self, connection: socket.socket, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._next = -math.inf
        self._said: Progress | None = None
        self._held: Progress | None = None
        self._results = 0
        self._bytes = 0

    def tell(self, progress: Progress) -> None:
        """Say it, unless something was said of this phase a moment ago: then the last is held."""
        if self._said is None or progress.phase is not self._said.phase:
            self.flush()
            self._say(progress)
        elif self._clock() >= self._next:
            self._say(progress)
        else:
            self._held = progress

    def flush(self) -> None:
        """Say what was held back."""
        if self._held is not None:
            self._say(self._held)

    def keep(self, result: Result) -> None:
        """Hand on a result; one that is too much to keep is computed anew by the next attempt."""
        body = {"key": result.key, "value": orjson.Fragment(_as_json(result.value))}
        size = len(orjson.dumps(body))
        fits = size <= words.MOST_RESULT_BYTES and len(result.key) <= words.MOST_KEY
        if (
            not fits
            or self._results >= words.MOST_RESULTS
            or self._bytes + size > words.MOST_KNOWN_BYTES
        ):
            return
        self._results += 1
        self._bytes += size
        send(self._connection, Message(words.RESULT, body))

    def _say(self, progress: Progress) -> None:
        self._said, self._held = progress, None
        self._next = self._clock() + words.TOLD_SECONDS
        body = {
            "phase": progress.phase.value,
            "done": int(progress.done),
            "total": int(progress.total),
            "note": progress.note[: words.MOST_NOTE],
        }
        send(self._connection, Message(words.TOLD, body))


def remaining(
    budget: float, seconds: float, *, clock: Callable[[], float] = time.monotonic
) -> Callable[[], float]:
    """What says how much time there is to search: `seconds` are all, `budget` is what was wished.

    0 is no budget.
    """
    whole = min(budget or math.inf, seconds)
    until = clock() + whole - min(RESERVED_SHARE * whole, MOST_RESERVED_SECONDS)
    return lambda: max(0.0, until - clock())


@contextmanager
def _refusals(connection: socket.socket, *, confined: bool) -> Iterator[None]:
    """Answer a refusal as one, and whatever else a library raises as a failure.

    Its words may tell of this machine: they are for an operator, not for a tenant.
    """
    try:
        yield
    except (MessagesEnded, KeyboardInterrupt):
        raise
    except MemoryError:
        send(connection, _refusal("memory", "it takes more memory than a training may have"))
    except SpecRefused as refused:
        said = _refusal("spec", refused.problem, remedy=refused.remedy, where=refused.where)
        send(connection, said)
    except DataRefused as refused:
        lines = refused.report[: words.MOST_LINES]
        said = _refusal("data", refused.problem, remedy=refused.remedy, report=lines)
        send(connection, said)
    except TrainingFailed as failed:
        send(connection, _refusal("failed", failed.reason))
    except ModelsError as error:
        send(connection, _refusal("failed", str(error)))
    except BaseException as error:  # noqa: BLE001  a library may raise what it likes
        kind = type(error).__name__[:100]
        send(connection, _refusal("failed", kind if confined else f"{kind}: {error}"))


def _refusal(
    what: str, problem: str, *, remedy: str = "", where: str = "", report: tuple[str, ...] = ()
) -> Message:
    texts = {"where": where, "problem": problem, "remedy": remedy}
    body: dict[str, Any] = {name: text[: words.MOST_NOTE] for name, text in texts.items()}
    lines = [line[: words.MOST_LINE] for line in report]
    return Message(words.REFUSED, body | {"what": what, "report": lines})


def _require_fitting(blobs: Mapping[str, bytes]) -> None:
    for role, blob in blobs.items():
        if len(blob) > words.MOST_BYTES[role]:
            raise TrainingFailed(
                f"its {role} has {len(blob)} bytes, more than the {words.MOST_BYTES[role]} "
                "that one may have; train on fewer columns or classes"
            )


def _as_json(value: object) -> bytes:
    """As JSON has it: what is no number there is null."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def _read(descriptor: int, size: int) -> bytes:
    """All that a descriptor holds, or so much of it; closes it."""
    try:
        pieces = []
        done = 0
        while done < size and (piece := os.read(descriptor, size - done)):
            pieces.append(piece)
            done += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
    finally:
        os.close(descriptor)
