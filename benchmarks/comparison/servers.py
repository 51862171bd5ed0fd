"""Servers as processes: started on a free loopback port, asked, measured and ended by their ids."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import numpy as np
import psutil

from benchmarks.comparison.dialects import Ask, Dialect
from benchmarks.comparison.loads import Load, expected

ROOT: Final = Path(__file__).resolve().parent.parent.parent
START_SECONDS: Final = 120.0
STOP_SECONDS: Final = 20.0
ASK_SECONDS: Final = 60.0
SETTLING_SECONDS: Final = 15.0
CALM_SECONDS: Final = 0.5
CALM_SHARE: Final = 0.2  # of one core
LARGEST_ERROR: Final = 1e-9
OK: Final = 200
WORKERS: Final = "service.workers"


class ServerEnded(Exception):
    """Raised when a server ends, or does not answer, where it should."""

    def __init__(self, name: str, log: Path) -> None:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        last = lines[-1].strip()[:160] if lines else "it says nothing"
        super().__init__(f"{name} does not serve: {last}; more is in {log}")


class AnswerRefused(Exception):
    """Raised when a server answers a load with anything but predictions."""


class AnswerWrong(Exception):
    """Raised when a server's predictions are not scikit-learn's own."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs, how it is asked, and with which headers it knows its caller."""

    name: str
    process: subprocess.Popen[bytes]
    url: str
    dialect: Dialect
    ca: Path | None = None
    proofs: Callable[[], Mapping[str, str]] = field(default=dict)
    cold_seconds: float = 0.0

    def ask(self, ask: Ask, proofs: Mapping[str, str] | None = None) -> bytes:
        """Send one request over a connection of its own; raises AnswerRefused and OSError."""
        headers = {**ask.headers, **(self.proofs() if proofs is None else proofs)}
        with self._connected() as connection:
            connection.request(ask.method, ask.path, ask.body, headers)
            answer = connection.getresponse()
            body = answer.read()
        if answer.status != OK:
            raise AnswerRefused(f"{answer.status} {body[:200]!r}")
        return body

    def check(self, load: Load) -> None:
        """See that a load is answered as scikit-learn does; raises AnswerWrong, AnswerRefused."""
        ask = self.dialect(load)
        if ask is None:
            raise AnswerRefused("it takes no such body")
        found, right = np.ravel(ask.read(self.ask(ask))), np.ravel(expected(load))
        if found.shape != right.shape or not np.allclose(found, right, rtol=LARGEST_ERROR, atol=0):
            raise AnswerWrong(f"{self.name}, {load.name}: {found[:3]} instead of {right[:3]}")

    def memory(self) -> dict[str, float]:
        """Megabytes: of all processes with what they share divided; resident of a web worker."""
        members = family(self.process.pid)
        workers = [process for process in members if _is_worker(process)]
        return {
            "pss": sum(_memory(process)[0] for process in members) / 1e6,
            "worker": max((_memory(process)[1] for process in workers), default=0) / 1e6,
        }

    def settle(self) -> None:
        """Wait until it has nothing more to do of its own, as what it imports beside serving."""
        until = time.monotonic() + SETTLING_SECONDS
        while time.monotonic() < until:
            before = self._processor_seconds()
            time.sleep(CALM_SECONDS)
            if self._processor_seconds() - before < CALM_SHARE * CALM_SECONDS:
                return

    def _processor_seconds(self) -> float:
        spent = 0.0
        for member in family(self.process.pid):
            with suppress(psutil.Error):
                times = member.cpu_times()
                spent += times.user + times.system
        return spent

    @contextmanager
    def _connected(self) -> Iterator[http.client.HTTPConnection]:
        parts = urlsplit(self.url)
        host, port = str(parts.hostname), parts.port
        if self.ca is None:
            connection = http.client.HTTPConnection(host, port, timeout=ASK_SECONDS)
        else:
            context = ssl.create_default_context(cafile=self.ca)
            connection = http.client.HTTPSConnection(
                host, port, timeout=ASK_SECONDS, context=context
            )
        try:
            yield connection
        finally:
            connection.close()


@contextmanager
def process_of(
    words: Sequence[str], environment: Mapping[str, str], log: Path, *, cwd: Path = ROOT
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the end of the block, and end whatever it started with it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        process = subprocess.Popen(
            words,
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the driver, which ends it in order
        )
        try:
            yield process
        finally:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a program to end, then end what is left of it and of its children."""
    members = family(process.pid)
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    for member in members:  # psutil knows a process by its start, so no other one is hit
        with suppress(psutil.NoSuchProcess):
            member.kill()
    psutil.wait_procs(members, timeout=STOP_SECONDS)
    process.wait()


def family(pid: int) -> list[psutil.Process]:
    """A process and all that descend from it."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def first_answer(server: Server, load: Load, log: Path) -> None:
    """Wait until a server predicts; raises ServerEnded."""
    until = time.monotonic() + START_SECONDS
    while server.process.poll() is None and time.monotonic() < until:
        try:
            server.check(load)
        except (OSError, http.client.HTTPException, AnswerRefused, ssl.SSLError):
            time.sleep(0.02)
        else:
            return
    raise ServerEnded(server.name, log)


def free_port() -> int:
    """A loopback port that nobody listens on, chosen by the system."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(**more: object) -> dict[str, str]:
    """This process's environment without settings of the platform, and with some more.

    One thread for each native pool: a server's processes are what is compared, and on few cores
    pools of several only stand in each other's way.
    """
    other = ("SALLYPORT_", "BENCH_", "PYTHONDONTWRITEBYTECODE")
    known = {k: v for k, v in os.environ.items() if not k.startswith(other)}
    threads = {f"{pool}_NUM_THREADS": "1" for pool in ("OMP", "OPENBLAS", "MKL")}
    return known | threads | {name: str(value) for name, value in more.items()}


def _is_worker(process: psutil.Process) -> bool:
    """Whether a process is Sallyport's and answers requests: a fork of its web program."""
    with suppress(psutil.Error):
        parent = process.parent()
        words = process.cmdline()
        return WORKERS in words and parent is not None and parent.cmdline() == words
    return False


def _memory(process: psutil.Process) -> tuple[int, int]:
    try:
        found: Any = process.memory_full_info()
    except psutil.Error:
        return 0, 0
    return int(found.pss), int(found.rss)
