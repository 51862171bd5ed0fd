"""New TLS connections at a steady rate, and connections that never get on with it."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from certs.contexts import client_context
from tests.journeys.served import Served

Slow = Literal["handshake", "silence", "headers", "body"]
HEAD = b"POST /load HTTP/1.1\r\nHost: localhost\r\n"
REQUEST = HEAD + b"Content-Length: 5\r\nConnection: close\r\n\r\nhello"


@dataclass
class Outcome:
    """What became of the connections: stage and error of each failure, who answered."""

    begun: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    answered_by: Counter[int] = field(default_factory=Counter)

    @property
    def successes(self) -> int:
        """How many were answered."""
        return self.answered_by.total()

    @property
    def under_way(self) -> int:
        """How many have begun, and neither were answered nor failed yet."""
        return self.begun - self.successes - self.failures.total()


@contextmanager
def arrivals(served: Served, *, per_second: float, hesitation: float = 0.0) -> Iterator[Outcome]:
    """Open connections at a rate, one request each, until the end of the block.

    Clients hesitate before the handshake and before the request, as those far away do.
    """
    outcome, over = Outcome(), threading.Event()
    thread = threading.Thread(
        target=lambda: asyncio.run(_arrive(served, per_second, hesitation, outcome, over))
    )
    thread.start()
    try:
        yield outcome
    finally:
        over.set()
        thread.join()


async def _arrive(
    served: Served,
    per_second: float,
    hesitation: float,
    outcome: Outcome,
    over: threading.Event,
) -> None:
    context = client_context(served.instance / "certs" / "ca.pem")
    start, count = time.monotonic(), 0
    async with asyncio.TaskGroup() as group:
        while not over.is_set():
            group.create_task(_once(served.port, context, hesitation, outcome))
            count += 1
            await asyncio.sleep(max(0.0, start + count / per_second - time.monotonic()))


async def _once(port: int, context: ssl.SSLContext, hesitation: float, outcome: Outcome) -> None:
    stage = "connect"
    outcome.begun += 1
    try:
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            stage = "handshake"
            await asyncio.sleep(hesitation)
            await writer.start_tls(context, server_hostname="localhost")
            stage = "request"
            await asyncio.sleep(hesitation)
            writer.write(REQUEST)
            _head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            writer.close()
        outcome.answered_by[json.loads(body)["pid"]] += 1
    except (OSError, ValueError, TimeoutError) as error:
        outcome.failures[f"{stage}: {error!r}"] += 1


@contextmanager
def slow_connections(served: Served, count: int, kind: Slow) -> Iterator[None]:
    """Hold connections that send one piece a second and never a whole request."""
    ready, over = threading.Event(), threading.Event()
    thread = threading.Thread(
        target=lambda: asyncio.run(_dawdle(served, count, kind, ready.set, over))
    )
    thread.start()
    try:
        assert ready.wait(30)
        yield
    finally:
        over.set()
        thread.join()


async def _dawdle(
    served: Served, count: int, kind: Slow, ready: Callable[[], None], over: threading.Event
) -> None:
    context = client_context(served.instance / "certs" / "ca.pem")
    tasks = [asyncio.create_task(_slow(served.port, context, kind)) for _ in range(count)]
    await asyncio.sleep(1)
    ready()
    while not over.is_set():
        await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _slow(port: int, context: ssl.SSLContext, kind: Slow) -> None:
    _reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        if kind != "handshake":
            await writer.start_tls(context, server_hostname="localhost")
        if kind == "headers":
            writer.write(HEAD)
        if kind == "body":
            writer.write(HEAD + b"Content-Length: 1000\r\n\r\n")
        piece = {"headers": b"X-A: b\r\n", "body": b"x"}.get(kind, b"")
        while True:
            await asyncio.sleep(1)
            writer.write(piece)
    finally:
        writer.transport.abort()
