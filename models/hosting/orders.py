"""What a worker orders of the hosts' parent, and the replies: one datagram each way.

Both sides are the platform's own, so the content is JSON; descriptors go with a reply.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import orjson

from models.errors import HostsUnavailable
from models.hosting.descriptors import DESCRIPTOR_BYTES, descriptors_in, descriptors_out

MOST_BYTES: Final = 128 * 1024
MOST_DESCRIPTORS: Final = 2
CREDENTIALS: Final = struct.Struct("3i")  # process, user, group

Order = dict[str, Any]


def ask(
    connection: socket.socket, order: Order, *, deadline: float
) -> tuple[dict[str, Any], list[int]]:
    """Send an order and wait for its reply; raises HostsUnavailable or OSError."""
    connection.send(orjson.dumps(order), socket.MSG_NOSIGNAL)
    waited = select.poll()
    waited.register(connection, select.POLLIN)
    if not waited.poll(max(0.0, deadline - time.monotonic()) * 1000):
        raise HostsUnavailable("their parent does not answer in time")
    size = socket.CMSG_SPACE(MOST_DESCRIPTORS * DESCRIPTOR_BYTES)
    content, ancillary, _, _ = connection.recvmsg(MOST_BYTES, size, socket.MSG_CMSG_CLOEXEC)
    if not content:
        raise ConnectionResetError("the parent of hosts is gone")
    descriptors = descriptors_in(ancillary)
    reply: dict[str, Any] = orjson.loads(content)
    return reply, descriptors


def receive(connection: socket.socket) -> Order | None:
    """The order that waits on a connection; None when it is closed."""
    content = connection.recv(MOST_BYTES, socket.MSG_DONTWAIT)
    if not content:
        return None
    order: Order = orjson.loads(content)
    return order


def reply(
    connection: socket.socket, content: dict[str, Any], descriptors: tuple[int, ...] = ()
) -> None:
    """Answer an order; never waits for who does not read."""
    connection.sendmsg(
        [orjson.dumps(content)],
        descriptors_out(descriptors),
        socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL,
    )


def is_ours(connection: socket.socket) -> bool:
    """Whether the other side is of this process's user, or root."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    return CREDENTIALS.unpack(raw)[1] in (0, os.geteuid())


@contextmanager
def address_of(path: Path) -> Iterator[str]:
    """A short name of a socket's path, since a socket's address has room for 108 bytes only."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def listen(path: Path) -> socket.socket:
    """Listen at a path that only this process's user may connect to; an old socket goes."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    path.unlink(missing_ok=True)
    before = os.umask(0o177)
    try:
        with address_of(path) as address:
            listener.bind(address)
    finally:
        os.umask(before)
    listener.listen(socket.SOMAXCONN)
    return listener


def connect(path: Path) -> socket.socket:
    """Connect to the parent that listens at a path; raises OSError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with address_of(path) as address:
            connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection
