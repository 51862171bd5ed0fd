"""How much one tenant notices of another: predictions at a steady rate, alone and beside a flood.

    python benchmarks/isolation.py INSTANCE URL [--seconds 5] [--rate 50]

Serve a demo installation first, its tenants on the plan `unlimited`, so that no limit answers in
place of the scheduler. Gail (globex) predicts at a steady rate; beside her Ada (acme) predicts over
80 connections as fast as they are answered, or 16 strangers guess passwords. The rounds alternate.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import ssl
import statistics
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROUNDS = 3
GREEDY_CONNECTIONS = 80
GUESSERS = 16


Measure = Callable[[], Awaitable[list[float]]]
Target = tuple[tuple[str | None, int | None], ssl.SSLContext]


def login(url: str, context: ssl.SSLContext, demo: dict[str, Any], username: str) -> str:
    """Return an access token of a member of the demo."""
    for tenant in demo["tenants"]:
        for user in tenant["users"]:
            if user["username"] == username:
                body = {"tenant": tenant["tenant"]} | {k: user[k] for k in ("username", "password")}
                request = urllib.request.Request(
                    f"{url}/auth/login",
                    json.dumps(body).encode(),
                    {"Content-Type": "application/json"},
                )
                with urllib.request.urlopen(request, context=context) as answer:
                    return str(json.load(answer)["access_token"])
    raise LookupError(username)


def request_of(path: str, body: bytes, *headers: str) -> bytes:
    """The bytes of a request that keeps its connection."""
    head = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> int:
    """Send a request and return the status of its answer."""
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
    await reader.readexactly(int(length[1]) if length else 0)
    return int(head.split(" ", 2)[1])


async def steadily(target: Target, request: bytes, rate: float, seconds: float) -> list[float]:
    """Latencies (ms) of requests sent at a rate over four connections; a failure is infinite."""
    latencies: list[float] = []

    async def one(offset: float) -> None:
        reader, writer = await asyncio.open_connection(*target[0], ssl=target[1])
        start = time.monotonic() + offset
        for number in range(int(rate / 4 * seconds)):
            await asyncio.sleep(max(0.0, start + number * 4 / rate - time.monotonic()))
            sent = time.monotonic()
            status = await ask(reader, writer, request)
            latencies.append((time.monotonic() - sent) * 1000 if status == 200 else float("inf"))
        writer.close()

    await asyncio.gather(*(one(n / rate) for n in range(4)))
    return latencies


async def flood(target: Target, request: bytes, connections: int) -> None:
    """Send a request over each connection as soon as the last is answered, until cancelled."""

    async def one() -> None:
        reader, writer = await asyncio.open_connection(*target[0], ssl=target[1])
        try:
            while True:
                await ask(reader, writer, request)
        finally:
            writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))


def flooding(arguments: list[str]) -> None:
    """Be the flood, in a process of its own."""
    instance, url, token, kind = arguments
    target = target_of(Path(instance), url)
    if kind == "predictions":
        body = request_of("/predict", b'{"features":[5,10]}', f"Authorization: Bearer {token}")
        asyncio.run(flood(target, body, GREEDY_CONNECTIONS))
    guess = b'{"tenant":"acme","username":"nobody","password":"a wrong password"}'
    body = request_of("/auth/login", guess, "Content-Type: application/json")
    asyncio.run(flood(target, body, GUESSERS))


def target_of(instance: Path, url: str) -> Target:
    """Where to connect, and with which trust."""
    context = ssl.create_default_context(cafile=instance / "certs" / "ca.pem")
    parts = urlsplit(url)
    return (parts.hostname, parts.port), context


async def beside(kind: str, arguments: list[str], measure: Measure) -> list[float]:
    """Measure while the flood runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--flood", *arguments, kind
    )
    await asyncio.sleep(1.5)
    try:
        return await measure()
    finally:
        process.kill()
        await process.wait()
        await asyncio.sleep(1.0)


async def main() -> None:
    """Alternate the rounds and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("instance", type=Path)
    parser.add_argument("url")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rate", type=float, default=50.0)
    given = parser.parse_args()
    demo = json.loads((given.instance / "demo.json").read_text())
    target = target_of(given.instance, given.url)
    gail, ada = (login(given.url, target[1], demo, name) for name in ("gail", "ada"))
    own = request_of("/predict", b'{"features":[5,10]}', f"Authorization: Bearer {gail}")

    def measure() -> Awaitable[list[float]]:
        return steadily(target, own, given.rate, given.seconds)

    rounds: dict[str, list[tuple[float, float, float]]] = {}
    for _ in range(ROUNDS):
        for kind in ("alone", "predictions", "logins"):
            arguments = [str(given.instance), given.url, ada]
            found = await (measure() if kind == "alone" else beside(kind, arguments, measure))
            served = [value for value in found if value != float("inf")]
            cuts = statistics.quantiles(served, n=100)
            rounds.setdefault(kind, []).append((100 * len(served) / len(found), cuts[49], cuts[98]))
    for kind, figures in rounds.items():
        share, p50, p99 = (statistics.median(column) for column in zip(*figures, strict=True))
        print(f"{kind:<12} served {share:6.2f} %   p50 {p50:7.2f} ms   p99 {p99:7.2f} ms")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--flood"]:
        flooding(sys.argv[2:])
    else:
        asyncio.run(main())
