"""Workshops without a sandbox, in a thread of the test, and ones that say what a test wants."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import joblib

from models.formats import FORMATS
from models.hosting.messages import Bounds, Message, MessagesEnded, receive, send
from models.hosting.workshop import serve_workshop
from models.intake import Intake
from models.stages import Prepared

SKOPS = frozenset({"skops"})
ANY = frozenset(FORMATS)


@dataclass
class Bench:
    """The worker's end of a workshop."""

    connection: socket.socket


@dataclass
class Parent:
    """Opens workshops that `serve`, each in a thread; `orders` counts them."""

    serve: Callable[[socket.socket], None] = serve_workshop
    orders: list[Mapping[str, float]] = field(default_factory=list)

    def workshop(self, *, memory_bytes: int, seconds: float) -> Bench:
        """Start one."""
        self.orders.append({"memory_bytes": memory_bytes, "seconds": seconds})
        ours, theirs = socket.socketpair()

        def work() -> None:
            with theirs:
                self.serve(theirs)

        threading.Thread(target=work, daemon=True).start()
        return Bench(ours)


def take_in(source: bytes | int, **options: Any) -> Prepared:
    """Prepare a file, by default skops, in a workshop without a sandbox."""
    options = {"formats": SKOPS} | options
    return Intake({"sklearn": Parent()}).run(source, **options)


def saying(*messages: Message | bytes) -> Intake:
    """An intake whose workshop hears its order and says this."""

    def serve(connection: socket.socket) -> None:
        receive(connection, Bounds(head=65536), patience=lambda: None)
        with suppress(MessagesEnded, OSError):  # who has heard enough leaves
            for message in messages:
                if isinstance(message, bytes):
                    connection.sendall(message)
                else:
                    send(connection, message)

    return Intake({"sklearn": Parent(serve)})


def joblib_bytes(estimator: object, **options: Any) -> bytes:
    """A joblib file of an estimator."""
    buffer = io.BytesIO()
    joblib.dump(estimator, buffer, **options)
    return buffer.getvalue()
