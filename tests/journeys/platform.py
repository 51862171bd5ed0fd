"""The real platform as its users and its operator meet it: `manage.py serve`, TLS, two workers."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import httpx
import psutil

from certs.contexts import client_context
from service.bootstrap import Platform

ROOT: Final = Path(__file__).resolve().parent.parent.parent
DEADLINE: Final = 30.0
Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]
PREDICTION: Final = b'{"features":[5,10]}'
PROGRAM_SECONDS: Final = 120


def printed(
    words: Sequence[str],
    *,
    cwd: Path = ROOT,
    environment: Mapping[str, str] | None = None,
    given: str | None = None,
) -> str:
    """Run a program that is to succeed, and return what it printed."""
    done = subprocess.run(
        words,
        input=given,
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass
class Running:
    """A platform that serves, and the operator's hand on it."""

    instance: Path
    process: subprocess.Popen[str]
    url: str
    environment: dict[str, str]
    demo: dict[str, Any] = field(repr=False)

    @property
    def port(self) -> int:
        """The port of the HTTPS listener."""
        return int(self.url.rsplit(":", 1)[1])

    @property
    def context(self) -> ssl.SSLContext:
        """TLS as a client has it who was given the CA file."""
        return client_context(self.instance / "certs" / "ca.pem")

    def client(self) -> httpx.Client:
        """A client with connections of its own."""
        return httpx.Client(base_url=self.url, verify=self.context, timeout=10)

    def workers(self) -> list[psutil.Process]:
        """The web workers that serve now."""
        web = psutil.Process(self.process.pid).children()[0]
        return list(web.children())

    def manage(self, *arguments: str, check: bool = True) -> str:
        """Run a command of the operator and return what it printed."""
        done = subprocess.run(
            [sys.executable, "manage.py", "--instance", str(self.instance), *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout if check else done.stderr

    def credentials(self, username: str) -> dict[str, str]:
        """What a member of the demo logs in with."""
        for tenant in self.demo["tenants"]:
            for user in tenant["users"]:
                if user["username"] == username:
                    secret = {"username": username, "password": user["password"]}
                    return {"tenant": tenant["tenant"]} | secret
        raise LookupError(username)

    def login(self, username: str = "ada") -> dict[str, Any]:
        """Log in over a new connection and return the tokens."""
        with self.client() as client:
            response = client.post("/auth/login", json=self.credentials(username))
        assert response.status_code == 200, response.text
        tokens: dict[str, Any] = response.json()
        return tokens

    def predict(self, token: str) -> httpx.Response:
        """Predict over a new connection, which any worker may take."""
        with self.client() as client:
            return client.post("/predict", content=PREDICTION, headers=bearer(token))

    def everywhere(self, token: str, *, times: int = 12) -> Counter[int]:
        """The statuses of predictions over many new connections, so that every worker answers."""
        return Counter(self.predict(token).status_code for _ in range(times))


def bearer(token: str) -> dict[str, str]:
    """The header that carries an access token."""
    return {"Authorization": f"Bearer {token}"}


@contextmanager
def running(
    instance: Path, *, log: IO[bytes] | None = None, **settings: object
) -> Iterator[Running]:
    """Serve an installation on a free port until the end of the block; its log may be kept."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SALLYPORT_")}
    environment |= {"SALLYPORT_LOG_LEVEL": "error", "SALLYPORT_HOSTS_IMPORTS": "late"}
    environment |= {f"SALLYPORT_{name}": str(value) for name, value in settings.items()}
    process = subprocess.Popen(
        [sys.executable, "manage.py", "--instance", str(instance), "serve", "--port", "0"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    try:
        assert process.stdout is not None
        found = re.search(r"https://localhost:\d+", process.stdout.readline())
        assert found, "the platform ended before it served"
        demo = json.loads((instance / "demo.json").read_text())
        yield Running(instance, process, found[0], environment, demo)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(DEADLINE)
        finally:
            process.kill()
            if process.stdout is not None:
                process.stdout.close()


@dataclass
class Load:
    """What became of a steady stream of predictions."""

    statuses: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def failures(self) -> int:
        """Everything but a 200."""
        return self.errors.total() + self.statuses.total() - self.statuses[200]


@contextmanager
def predicting(
    platform: Running, token: str, *, per_second: float, connections: int = 8, reuse: bool = True
) -> Iterator[Load]:
    """Predict at a steady rate until the end of the block."""
    load, over = Load(), threading.Event()
    work = _stream(platform, token, per_second / connections, connections, reuse, load, over)
    thread = threading.Thread(target=lambda: asyncio.run(work))
    thread.start()
    try:
        yield load
    finally:
        over.set()
        thread.join()


async def _stream(
    platform: Running,
    token: str,
    rate: float,
    connections: int,
    reuse: bool,
    load: Load,
    over: threading.Event,
) -> None:
    head = (
        f"POST /predict HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Length: {len(PREDICTION)}\r\n"
    )
    closing = "" if reuse else "Connection: close\r\n"
    request = f"{head}{closing}\r\n".encode() + PREDICTION
    context = platform.context
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(_one(platform.port, context, request, rate, reuse, load, over))


async def _one(
    port: int,
    context: ssl.SSLContext,
    request: bytes,
    rate: float,
    reuse: bool,
    load: Load,
    over: threading.Event,
) -> None:
    pair: Pair | None = None
    while not over.is_set():
        started = time.monotonic()
        try:
            async with asyncio.timeout(10):
                if pair is None:
                    pair = await asyncio.open_connection(
                        "127.0.0.1", port, ssl=context, server_hostname="localhost"
                    )
                load.statuses[await _ask(*pair, request)] += 1
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            load.errors[type(error).__name__] += 1
            _close(pair)
            pair = None
        if not reuse:
            _close(pair)
            pair = None
        await asyncio.sleep(max(0.0, started + 1 / rate - time.monotonic()))
    _close(pair)


def _close(pair: Pair | None) -> None:
    if pair is not None:
        pair[1].transport.abort()


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> int:
    writer.write(request)
    await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
    await reader.readexactly(int(length[1]) if length else 0)
    return int(head.split(" ", 2)[1])


def until(holds: Any, *, seconds: float = DEADLINE) -> None:
    """Poll until a condition holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "the state was not reached in time"
        time.sleep(0.05)


def kid_of(platform: Platform) -> str:
    """The key that signs now, by the database."""
    with platform.database.read() as session:
        return platform.keys.signer(session).kid
