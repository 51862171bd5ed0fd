"""A server of `manage.py serve` on loopback, a caller of it, and what its processes take."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
START_SECONDS: Final = 120.0
POLL_SECONDS: Final = 0.005
CPU_CLOCK: Final = 2  # of all the threads that a process has had, as Linux numbers them
DEMO: Final = b'{"features":[5,10]}'


class Caller:
    """One connection over TLS, opened anew where the server has ended it."""

    def __init__(self, instance: Path, port: int) -> None:
        self._trust = ssl.create_default_context(cafile=instance / "certs" / "ca.pem")
        self._port = port
        self._connection: http.client.HTTPSConnection | None = None

    def ask(self, path: str, body: bytes | None = None, token: str = "") -> tuple[int, bytes]:
        """POST a body, or GET; the answer's status and body."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        for last in (False, True):
            try:
                return self._ask(path, body, headers)
            except (http.client.HTTPException, OSError):  # it may have been idle for too long
                self.close()
                if last:
                    raise
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close the connection; the next question opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        if self._connection is None:
            self._connection = http.client.HTTPSConnection(
                "localhost", self._port, context=self._trust, timeout=START_SECONDS
            )
        self._connection.request("GET" if body is None else "POST", path, body, dict(headers))
        answer = self._connection.getresponse()
        return answer.status, answer.read()


@dataclass(frozen=True, slots=True)
class Server:
    """A server under measurement."""

    instance: Path
    port: int
    pid: int
    began: float  # time.monotonic() before its first instruction

    def caller(self) -> Caller:
        """A connection of its own."""
        return Caller(self.instance, self.port)

    def first_answer(self, path: str, body: bytes | None = None, token: str = "") -> float:
        """Ask until it answers well; the seconds since it was started."""
        caller = self.caller()
        while time.monotonic() < self.began + START_SECONDS:
            with suppress(OSError, http.client.HTTPException):
                status, _ = caller.ask(path, body, token)
                if status == 200:
                    caller.close()
                    return time.monotonic() - self.began
            caller.close()
            time.sleep(POLL_SECONDS)
        raise TimeoutError(f"no good answer within {START_SECONDS:.0f} s")

    def processes(self) -> dict[int, str]:
        """Every process of the server: its identifier, and what it is."""
        return {pid: _role(pid) for pid in family(self.pid)}

    def cpu_seconds(self) -> float:
        """The processor time that all its processes have taken."""
        return sum(cpu_seconds(pid) for pid in family(self.pid))


@contextmanager
def serving(
    instance: Path, *, workers: int = 1, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Serve an installation until the block ends; it may not answer yet when the block begins."""
    port = _free_port()
    words = [sys.executable, "manage.py", "--instance", str(instance), "serve"]
    words += ["--port", str(port), "--workers", str(workers)]
    with (instance / "benchmark.log").open("wb") as log:
        began = time.monotonic()
        process = subprocess.Popen(
            words, cwd=ROOT, stdout=log, stderr=log, env=os.environ | dict(environment or {})
        )
    try:
        yield Server(instance, port, process.pid, began)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def demo_account(instance: Path) -> bytes:
    """The body of a login of the demo's first user."""
    tenant = json.loads((instance / "demo.json").read_text())["tenants"][0]
    user = tenant["users"][0]
    named = {"tenant": tenant["tenant"], "username": user["username"]}
    return json.dumps(named | {"password": user["password"]}).encode()


def log_in(server: Server, account: bytes) -> str:
    """An access token, as soon as the server gives one."""
    server.first_answer("/health/live")
    caller = server.caller()
    status, body = caller.ask("/auth/login", account)
    caller.close()
    if status != 200:
        raise SystemExit(f"the login was answered with {status}: {body[:300]!r}")
    return str(json.loads(body)["access_token"])


def manage(*words: str) -> None:
    """Run a command of manage.py; its output is shown if it fails."""
    done = subprocess.run(
        [sys.executable, "manage.py", *words], cwd=ROOT, capture_output=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"manage.py {' '.join(words)}:\n{done.stderr.decode()}")


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += family(int(child))
    return found


def cpu_seconds(pid: int) -> float:
    """The processor time of a process, user and system."""
    with suppress(OSError):  # it has ended
        # The clock that clock_getcpuclockid(3) names: /proc tells hundredths of a second.
        return time.clock_gettime((~pid << 3) | CPU_CLOCK)
    return 0.0


def memory(pid: int) -> dict[str, float]:
    """What the kernel says of a process's memory, in MB: Rss, Pss, Private, ..."""
    found: dict[str, float] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, rest = line.partition(":")
        found[name] = int(rest.split()[0]) / 1024
    found["Private"] = found["Private_Clean"] + found["Private_Dirty"]
    return found


def say(text: str) -> None:
    """Show how far it is, where a person looks."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
    else:
        sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def report(found: dict[str, Any], *, as_json: bool, lines: list[str]) -> None:
    """Print a table for people, or the same for programs."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    print(json.dumps(found, indent=2) if as_json else "\n".join(lines))


def _role(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    same = Path(f"/proc/{parent}/cmdline").read_bytes().decode().split("\0") == words
    if "service.workers" in words:
        return "worker" if same else "workers' parent"
    if "models.hosting.parent" in words:
        flavour = words[words.index("--flavour") + 1]
        return f"nursery or host ({flavour})" if same else f"hosts' parent ({flavour})"
    return "supervisor" if "serve" in words else " ".join(words[:4])


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
