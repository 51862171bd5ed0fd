"""How a trainer answers: one order, carried out, with what came of it or why nothing did.

It is plain: what trains is behind the orders. Nothing that is said here is trusted by who hears it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from models.errors import DataRefused, ModelsError, SpecRefused, TrainingFailed
from models.hosting.messages import Bounds, Message, MessagesEnded, receive, send
from models.training import messages as words

ORDER: Final = Bounds(head=words.MOST_SPEC_BYTES, blobs=1, bytes=words.MOST_KNOWN_BYTES)

# Takes the order and the connection, over which it may tell how far it is.
Carry = Callable[[Message, socket.socket], Message]


def answer_order(connection: socket.socket, orders: Mapping[str, Carry]) -> None:
    """Carry out the order that comes over the connection, answer it, and return."""
    try:
        order = receive(connection, ORDER, patience=lambda: None)
        with _refusals(connection, confined=bool(order.body["confined"])):
            send(connection, orders[order.kind](order, connection))
    except MessagesEnded:
        return  # whoever waited has left


def read_whole(descriptor: int, size: int) -> bytes:
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
