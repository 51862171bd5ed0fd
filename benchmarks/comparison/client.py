"""A load generator for where there is no wrk: one process, an event loop, connections that stay.

python -m benchmarks.comparison.client URL --body FILE --headers FILE [--connections 16] ...

It prints what wrk.lua prints. Its own work is a part of every latency, and it is slower than a
fast server, so ratios come out smaller than with wrk.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

HEAD_END: Final = b"\r\n\r\n"
LENGTH: Final = b"content-length:"


@dataclass(slots=True)
class Seen:
    """What came of all requests so far; latencies in seconds."""

    latencies: list[float] = field(default_factory=list)
    refused: int = 0
    broken: int = 0


class Connection(asyncio.Protocol):
    """Asks again as soon as it is answered, or after a pause; until it is closed."""

    def __init__(self, request: bytes, seen: Seen, pause: float) -> None:
        self._request = request
        self._seen = seen
        self._pause = pause
        self._received = bytearray()
        self._wanted = 0  # bytes of the whole answer, once its head is there
        self._sent = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        """Ask again where an answer is whole."""
        self._received += data
        if not self._wanted:
            end = self._received.find(HEAD_END)
            if end < 0:
                return
            self._wanted = end + len(HEAD_END) + length_of(bytes(self._received[:end]))
        if len(self._received) >= self._wanted:
            self._seen.latencies.append(time.perf_counter() - self._sent)
            self._seen.refused += not self._received.startswith(b"HTTP/1.1 200")
            self._received.clear()
            self._wanted = 0
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count what a server breaks off; `close` has taken the transport away before."""
        if self._transport is not None:
            self._seen.broken += 1
            self._transport = None

    @property
    def alive(self) -> bool:
        """Whether the server has not ended it."""
        return self._transport is not None

    def close(self) -> None:
        """End, whatever is under way."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    def _next(self) -> None:
        if self._pause:
            later = random.expovariate(1 / self._pause)
            asyncio.get_running_loop().call_later(later, self._send)
        else:
            self._send()

    def _send(self) -> None:
        if self._transport is not None:
            self._sent = time.perf_counter()
            self._transport.write(self._request)


def length_of(head: bytes) -> int:
    """The length of the body that follows a head; chunked answers are not read."""
    for line in head.lower().split(b"\r\n"):
        if line.startswith(LENGTH):
            return int(line.removeprefix(LENGTH))
    raise ValueError("the answer has no Content-Length")


def percentile(values: Sequence[float], share: float) -> float:
    """The least of some sorted values that is not below so large a share of them."""
    return values[min(len(values) - 1, max(0, -int(-len(values) * share // 1) - 1))]


async def press(options: argparse.Namespace, request: bytes) -> Seen:
    """Hold the connections for as long as asked."""
    parts, seen = urlsplit(options.url), Seen()
    context = ssl.create_default_context(cafile=options.ca) if options.ca else None
    loop = asyncio.get_running_loop()
    over = loop.time() + options.seconds
    connections: list[Connection] = []
    while (now := loop.time()) < over:
        connections = [connection for connection in connections if connection.alive]
        while len(connections) < options.connections:
            make = partial(Connection, request, seen, options.pause / 1000)
            _, made = await loop.create_connection(make, parts.hostname, parts.port, ssl=context)
            connections.append(made)
        await asyncio.sleep(min(0.1, over - now))
    for connection in connections:
        connection.close()
    return seen


def request_of(options: argparse.Namespace) -> bytes:
    """The bytes of a request that keeps its connection."""
    parts, body = urlsplit(options.url), bytes(options.body.read_bytes())
    head = [f"{options.method} {parts.path or '/'} HTTP/1.1", f"Host: {parts.netloc}"]
    head += [f"Content-Length: {len(body)}", *options.headers.read_text().splitlines()]
    return "\r\n".join([*head, "", ""]).encode() + body


def main() -> None:
    """Press, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--body", type=Path, required=True)
    parser.add_argument("--headers", type=Path, required=True)
    parser.add_argument("--method", default="POST")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--pause", type=float, default=0.0, help="milliseconds, on average")
    parser.add_argument("--ca")
    options = parser.parse_args()
    gc.disable()
    began = time.perf_counter()
    seen = asyncio.run(press(options, request_of(options)))
    seconds = time.perf_counter() - began
    latencies = sorted(seen.latencies) or [0.0]
    result = {"requests": len(seen.latencies), "seconds": round(seconds, 6)}
    result |= {f"p{n}": round(1e3 * percentile(latencies, n / 100), 3) for n in (50, 99)}
    print("result", json.dumps(result | {"refused": seen.refused, "broken": seen.broken}))


if __name__ == "__main__":
    main()
