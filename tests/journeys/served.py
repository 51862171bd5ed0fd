"""The serving processes as the tests see them: start, ask, signal, wait."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from certs.authority import Authority
from certs.contexts import client_context
from config.sealing import Sealer

ROOT = Path(__file__).resolve().parent.parent.parent
KEY = bytes(32)
DEADLINE = 20.0


def until(holds: Callable[[], object], *, seconds: float = DEADLINE) -> None:
    """Poll until a condition holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "the state was not reached in time"
        time.sleep(0.02)


def authority(instance: Path) -> Authority:
    """Return the certificate authority of an instance."""
    names = ("localhost", "127.0.0.1")
    return Authority(instance / "certs", sealer=Sealer((KEY,)), names=names)


@dataclass
class Served:
    """A running supervisor."""

    instance: Path
    process: subprocess.Popen[str]
    ports: dict[str, int]

    @property
    def port(self) -> int:
        """The port of the web program."""
        return self.ports["web"]

    @property
    def web(self) -> psutil.Process:
        """The web program that serves now: the oldest child."""
        return psutil.Process(self.process.pid).children()[0]

    def ask(self, path: str = "/", *, seconds: float = 10.0, **request: Any) -> dict[str, Any]:
        """Ask over a connection of its own and return what the application said."""
        status, body = self.exchange(path, seconds=seconds, **request)
        assert status == 200, body
        answer: dict[str, Any] = json.loads(body)
        return answer

    def exchange(
        self,
        path: str = "/",
        *,
        seconds: float = 10.0,
        port: int | None = None,
        pair: Path | None = None,
        **request: Any,
    ) -> tuple[int, bytes]:
        """Ask over a connection of its own and return status and body."""
        context = client_context(self.instance / "certs" / "ca.pem", pair=pair)
        connection = http.client.HTTPSConnection(
            "127.0.0.1", port or self.port, timeout=seconds, context=context
        )
        try:
            connection.request(request.pop("method", "POST"), path, **request)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def certificate(self) -> bytes | None:
        """Return the certificate that a new connection is shown."""
        context = client_context(self.instance / "certs" / "ca.pem")
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secured,
        ):
            return secured.getpeercert(binary_form=True)

    def serves(self) -> bool:
        """Whether a new connection is answered."""
        try:
            return self.exchange(seconds=2.0)[0] == 200
        except (OSError, ssl.SSLError, http.client.HTTPException):
            return False

    def stop(self) -> int:
        """Stop in order and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)


def prepare(instance: Path) -> Path:
    """Give an instance its master key and certificates."""
    instance.mkdir(exist_ok=True)
    (instance / "master.key").write_text(base64.b64encode(KEY).decode())
    authority(instance).ensure()
    return instance


def launch(
    instance: Path, settings: Mapping[str, object], *, stderr: int | None = None
) -> subprocess.Popen[str]:
    """Start the supervisor of an instance on free ports."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SALLYPORT_")}
    chosen = {"PORT": 0, "INSTANCE": instance, "LOG_LEVEL": "warning", **settings}
    environment |= {
        name if name.startswith("TINY_") else f"SALLYPORT_{name}": str(value)
        for name, value in chosen.items()
    }
    return subprocess.Popen(
        [sys.executable, "-m", "tests.journeys.serve_tiny"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


@contextmanager
def serving(instance: Path, **settings: object) -> Iterator[Served]:
    """Serve an instance until the end of the block; nothing that was started outlives it."""
    process = launch(instance, settings)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "the supervisor ended before it served"
        yield Served(instance, process, json.loads(line))
    finally:
        end(process)


def end(process: subprocess.Popen[str]) -> None:
    """Kill a supervisor with all that it started."""
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def free_port() -> int:
    """Return a port that nothing listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
