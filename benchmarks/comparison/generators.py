"""Load from outside: wrk where it is installed, else our own client in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.comparison.dialects import Ask
from benchmarks.comparison.servers import ROOT, Server

SCRIPT: Final = Path(__file__).with_name("wrk.lua")
MARK: Final = "result "
GRACE_SECONDS: Final = 120.0
REQUEST_SECONDS: Final = 60


class NoResult(Exception):
    """Raised when a load generator prints no result."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a load generator saw; times in milliseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float
    refused: int = 0
    broken: int = 0

    @property
    def rate(self) -> float:
        """Answers a second, those that were no predictions not counted."""
        return max(0, self.requests - self.refused) / self.seconds


@dataclass(frozen=True, slots=True)
class Pressure:
    """How hard a load presses: `pause` milliseconds of thought between two requests, on average."""

    connections: int
    seconds: float
    pause: float = 0.0


def generator() -> str:
    """Which load generator is used."""
    return "wrk" if shutil.which("wrk") else "own"


def press(server: Server, ask: Ask, pressure: Pressure) -> Result:
    """Load a server, and return what came of it."""
    with started(server, ask, pressure) as process:
        printed, complaint = process.communicate(timeout=pressure.seconds + GRACE_SECONDS)
    return parse(printed, complaint)


@contextmanager
def started(server: Server, ask: Ask, pressure: Pressure) -> Iterator[subprocess.Popen[str]]:
    """A load that runs beside the block, at most until its end."""
    headers = {**ask.headers, **server.proofs()}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        (folder / "body").write_bytes(ask.body)
        (folder / "headers").write_text("\n".join(f"{k}: {v}" for k, v in headers.items()))
        words = _wrk if generator() == "wrk" else _own
        process = subprocess.Popen(
            words(server, ask, pressure, folder),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            try:
                yield process
            finally:
                process.kill()


def parse(printed: str, complaint: str = "") -> Result:
    """Read the line of a load generator that holds its result; raises NoResult."""
    for line in printed.splitlines():
        if line.startswith(MARK):
            found: Mapping[str, Any] = json.loads(line.removeprefix(MARK))
            return Result(**found)
    raise NoResult((complaint or printed).strip()[-300:])


def _wrk(server: Server, ask: Ask, pressure: Pressure, folder: Path) -> list[str]:
    threads = max(1, min(pressure.connections, (os.cpu_count() or 1) // 4))
    return [
        *("wrk", "-t", str(threads), "-c", str(pressure.connections)),
        *("-d", f"{max(1, round(pressure.seconds))}s", "--timeout", f"{REQUEST_SECONDS}s"),
        *("-s", str(SCRIPT), f"{server.url}{ask.path}", "--"),
        *(str(folder / "body"), str(folder / "headers"), ask.method, str(pressure.pause)),
    ]


def _own(server: Server, ask: Ask, pressure: Pressure, folder: Path) -> list[str]:
    words = [sys.executable, "-m", "benchmarks.comparison.client", f"{server.url}{ask.path}"]
    words += ["--body", str(folder / "body"), "--headers", str(folder / "headers")]
    words += ["--method", ask.method, "--connections", str(pressure.connections)]
    words += ["--seconds", str(pressure.seconds), "--pause", str(pressure.pause)]
    return [*words, "--ca", str(server.ca)] if server.ca else words
