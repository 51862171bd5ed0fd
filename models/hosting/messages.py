"""What a worker and a workshop say to each other: bounded messages over a stream socket.

    mark 4 bytes | length of the head, 4 bytes | head, JSON | blobs

The head is `{"kind": ..., "body": {...}, "blobs": [length, ...]}`. Descriptors come with the mark.
The workshop may be under the power of what it opened: its messages are read as a tenant's are.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from models.errors import FrameMalformed
from models.hosting.descriptors import DESCRIPTOR_BYTES, descriptors_in, descriptors_out

MARK: Final = b"SLYW"
PREFIX_BYTES: Final = 8
CHUNK_BYTES: Final = 16 * 1024**2
MOST_DESCRIPTORS: Final = 4
SLICE_MILLISECONDS: Final = 250
HEAD: Final = frozenset({"kind", "body", "blobs"})

Patience = Callable[[], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """The most that one message may have: bytes of its head, blobs, and bytes in all of these.

    Only messages of the kinds `bringing` may have blobs; of any kind if none are named.
    """

    head: int = 64 * 1024
    blobs: int = 0
    bytes: int = 0
    bringing: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Message:
    """One message; whoever receives descriptors has to close them."""

    kind: str
    body: Mapping[str, Any]
    blobs: tuple[bytes, ...] = ()
    descriptors: tuple[int, ...] = ()


class MessagesEnded(Exception):
    """Raised when the other side has closed the connection, or its process has ended."""


def send(connection: socket.socket, message: Message) -> None:
    """Send a message; raises MessagesEnded."""
    head = orjson.dumps(
        {
            "kind": message.kind,
            "body": dict(message.body),
            "blobs": [len(blob) for blob in message.blobs],
        }
    )
    prefix = MARK + len(head).to_bytes(4, "little")
    try:
        sent = connection.sendmsg(
            [prefix], descriptors_out(message.descriptors), socket.MSG_NOSIGNAL
        )
        for part in (prefix[sent:], head, *message.blobs):
            _send_all(connection, part)
    except OSError as error:
        raise MessagesEnded(str(error)) from error


def receive(connection: socket.socket, bounds: Bounds, *, patience: Patience) -> Message:
    """The next message; raises MessagesEnded, FrameMalformed, or what `patience` raises.

    `patience` is called before every read, and four times a second while there is nothing to read.
    """
    reader = _Reader(connection, patience)
    try:
        return reader.message(bounds)
    except BaseException:
        for descriptor in reader.descriptors:
            os.close(descriptor)
        raise


class _Reader:
    def __init__(self, connection: socket.socket, patience: Patience) -> None:
        self._connection = connection
        self._patience = patience
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)
        self.descriptors: list[int] = []

    def message(self, bounds: Bounds) -> Message:
        prefix = bytes(self._exactly(PREFIX_BYTES))
        length = int.from_bytes(prefix[4:], "little")
        if not prefix.startswith(MARK) or length > bounds.head:
            raise FrameMalformed("it does not begin like a message, or its head is too long")
        kind, body, lengths = _read_head(bytes(self._exactly(length)))
        if len(lengths) > bounds.blobs or sum(lengths) > bounds.bytes:
            raise FrameMalformed("it announces more blobs than are taken")
        if lengths and bounds.bringing and kind not in bounds.bringing:
            raise FrameMalformed("it announces blobs where none are taken")
        blobs = tuple(bytes(self._exactly(length)) for length in lengths)
        return Message(kind, body, blobs, tuple(self.descriptors))

    def _exactly(self, count: int) -> bytearray:
        # It grows with what arrives: who only claims a length gets no memory.
        received = bytearray()
        while len(received) < count:
            received += self._some(min(CHUNK_BYTES, count - len(received)))
        return received

    def _some(self, count: int) -> bytes:
        # Asked while data flows as well: who sends without end does not put off the deadline.
        self._patience()
        while not self._poll.poll(SLICE_MILLISECONDS):
            self._patience()
        size = socket.CMSG_SPACE(MOST_DESCRIPTORS * DESCRIPTOR_BYTES)
        try:
            data, ancillary, flags, _ = self._connection.recvmsg(
                count, size, socket.MSG_CMSG_CLOEXEC
            )
        except OSError as error:
            raise MessagesEnded(str(error)) from error
        self.descriptors += descriptors_in(ancillary)
        if flags & socket.MSG_CTRUNC or len(self.descriptors) > MOST_DESCRIPTORS:
            raise FrameMalformed("it brings too many descriptors")
        if not data:
            raise MessagesEnded("closed")
        return data


def _send_all(connection: socket.socket, part: bytes) -> None:
    view = memoryview(part)
    while view:
        view = view[connection.send(view[:CHUNK_BYTES], socket.MSG_NOSIGNAL) :]


def _read_head(data: bytes) -> tuple[str, dict[str, Any], Sequence[int]]:
    try:
        head = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise FrameMalformed("its head is no JSON") from error
    match head:
        case {"kind": str(kind), "body": dict(body), "blobs": list(lengths)} if (
            head.keys() == HEAD and all(type(n) is int and n >= 0 for n in lengths)
        ):
            return kind, body, lengths
    raise FrameMalformed("its head is not kind, body and blobs")
