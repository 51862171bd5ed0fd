"""The workshop's side: one order, carried out within the sandbox.

An order brings the file as a descriptor. `convert` opens what may run code and writes it anew as
skops; `prepare` makes a version of what does not; `read` hands on the rows of a file of rows.
Nothing that is said here is trusted by who receives it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import orjson

from models.acceptance import contents_fit
from models.conversion import convert
from models.errors import EstimatorRefused, FormatRefused, GivenRowsRefused, IntakeRefused
from models.formats import FORMATS
from models.handlers import handler_of
from models.hosting.messages import Bounds, Message, MessagesEnded, receive, send
from models.hosting.reader import READ, serve_reader
from models.preparation import Origin, prepare
from models.stages import CONTENTS, Prepared, Stage

ORDER: Final = Bounds(head=16 * 1024**2)  # the names of a million columns
CHUNK_BYTES: Final = 16 * 1024**2
MOST_TEXT: Final = 2_000

Tell = Callable[[Stage, str], None]


def serve_workshop(connection: socket.socket) -> None:
    """Carry out the order that comes over the connection, answer it, and return."""
    try:
        order = receive(connection, ORDER, patience=lambda: None)
        if order.kind == READ:
            serve_reader(connection, order)
            return
        with _refusals(connection):
            send(connection, ORDERS[order.kind](order, connection))
    except MessagesEnded:
        return  # whoever waited has left


def _convert(order: Message, connection: socket.socket) -> Message:
    """Open a file that may run code, and write what it holds as skops."""
    data, *_ = _files(order)
    opened = handler_of(_format(order)).open(data)
    _told_versions(connection, opened.other_versions)
    return Message("converted", {}, (convert(opened.estimator, seed=_seed(order)),))


def _prepare(order: Message, connection: socket.socket) -> Message:
    """Make a version of a file."""
    data, rows, answers = _files(order)
    opened = handler_of(_format(order)).open(data)
    _told_versions(connection, opened.other_versions)
    origin = Origin(format=order.body["source_format"], digest=order.body["source_digest"])

    def tell(stage: Stage, note: str) -> None:
        send(connection, Message("told", {"stage": stage.value, "note": note[:MOST_TEXT]}))

    prepared = prepare(opened, origin, rows=rows or None, answers=answers or None, tell=tell)
    blobs = {CONTENTS: _described(prepared), **prepared.blobs}
    return Message("prepared", {"roles": list(blobs)}, tuple(blobs.values()))


def _described(prepared: Prepared) -> bytes:
    """The contents as text, whose bounds are said here where the uploader can be told."""
    text = orjson.dumps(prepared.contents.as_json())
    if not contents_fit(text):
        raise FormatRefused(
            "the names of its columns, their values and its classes are more than a version may "
            "have",
            "give it numbers for texts of many values, or fewer columns",
        )
    return text


ORDERS: Final[Mapping[str, Callable[[Message, socket.socket], Message]]] = {
    "convert": _convert,
    "prepare": _prepare,
}


@contextmanager
def _refusals(connection: socket.socket) -> Iterator[None]:
    """Answer a refusal as one, and whatever else a model raises as the model's failure."""
    try:
        yield
    except (MessagesEnded, KeyboardInterrupt):
        raise
    except IntakeRefused as refused:
        send(connection, Message("refused", _as_json(refused)))
    except MemoryError:
        send(connection, Message("refused", {"what": "memory"}))
    except BaseException as error:  # noqa: BLE001  a file may raise what it likes
        kind = type(error).__name__[:100]
        problem = f"it fails while it is prepared: {kind}"
        said = {"what": "format", "problem": problem, "remedy": ""}
        send(connection, Message("refused", said))


def _as_json(refused: IntakeRefused) -> dict[str, Any]:
    said: dict[str, Any] = {"remedy": refused.remedy[:MOST_TEXT]}
    match refused:
        case EstimatorRefused(kind=kind, problem=problem):
            said |= {"what": "estimator", "estimator": kind[:100], "problem": problem[:MOST_TEXT]}
        case GivenRowsRefused(problem=problem):
            said |= {"what": "rows", "problem": problem[:MOST_TEXT]}
        case FormatRefused(problem=problem):
            said |= {"what": "format", "problem": problem[:MOST_TEXT]}
        case _:
            said |= {"what": "format", "problem": refused.reason[:MOST_TEXT]}
    return said


def _told_versions(connection: socket.socket, versions: tuple[str, ...]) -> None:
    send(connection, Message("opened", {"saved_by": [version[:100] for version in versions[:8]]}))


def _format(order: Message) -> str:
    name: str = order.body["format"]
    assert name in FORMATS, "orders name formats that the platform knows"
    return name


def _seed(order: Message) -> int:
    return int(order.body["source_digest"][:8], 16)


def _files(order: Message) -> list[bytes]:
    """What the descriptors hold, each of the size that the order says; nothing of size zero."""
    sizes: list[int] = order.body["sizes"]
    descriptors = iter(order.descriptors)
    return [_read(next(descriptors), size) if size else b"" for size in sizes]


def _read(descriptor: int, size: int) -> bytes:
    data = bytearray()
    while len(data) < size and (part := os.read(descriptor, CHUNK_BYTES)):
        data += part
    os.close(descriptor)
    return bytes(data)
