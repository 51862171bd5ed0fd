"""Sallyport as an operator runs it: an installation from `manage.py`, every gate on."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from benchmarks.comparison.dialects import Ask, sallyport
from benchmarks.comparison.loads import LOADS, SALLYPORT, estimator, expected
from benchmarks.comparison.servers import (
    ROOT,
    START_SECONDS,
    Server,
    ServerEnded,
    environment,
    first_answer,
    process_of,
)
from models.handlers.skops_file import write_skops

TENANT: Final = "bench"
# Logins by strangers count by their address, and all of these come from one.
SETTINGS: Final = {
    "SALLYPORT_LOG_LEVEL": "error",
    "SALLYPORT_ADDRESS_REQUESTS_PER_MINUTE": 10_000_000,
    "SALLYPORT_LOGIN_ADDRESS_ATTEMPTS_PER_MINUTE": 1_000_000,
}
FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True, slots=True)
class Installation:
    """An installation with the models of the loads, and who asks them.

    Its tenants are on the plan `unlimited`: every limit is counted, none is reached.
    """

    instance: Path
    client: Mapping[str, str] = field(repr=False)
    engines: Mapping[str, str]

    def manage(self, *words: str) -> Any:
        """Run an operator's command, and return the JSON that it prints."""
        return manage(self.instance, *words)


def manage(instance: Path, *words: str) -> Any:
    """Run an operator's command on an installation, and return the JSON that it prints."""
    done = subprocess.run(
        [sys.executable, "manage.py", "--instance", str(instance), *words],
        cwd=ROOT,
        env=environment(**SETTINGS),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"manage.py {' '.join(words)}: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout) if "--json" in words else done.stdout


def install(instance: Path, models: Sequence[str]) -> Installation:
    """Make an installation, and import models."""
    run = partial(manage, instance)
    run("init")
    run("tenants", "create", TENANT, "--plan", "unlimited", "--json")
    engines = {name: bring(instance, TENANT, name) for name in models}
    words = ("clients", "create", "caller", "--tenant", TENANT, "--scope", "predict", "--json")
    return Installation(instance, run(*words), engines)


def bring(instance: Path, tenant: str, name: str) -> str:
    """Import a model of the loads; return the engine that answers it."""
    file = instance.parent / f"{name}.skops"
    file.write_bytes(write_skops(estimator(name)))
    words = ("models", "import", name, str(file), "--tenant", tenant, "--promote", "--json")
    found = manage(instance, *words)
    return str(found.get("engine", "?"))


@contextmanager
def serving(installation: Installation, *, workers: int, log: Path) -> Iterator[Server]:
    """Serve until the end of the block, on a free port over TLS."""
    words = [sys.executable, "manage.py", "--instance", str(installation.instance), "serve"]
    words += ["--port", "0", "--workers", str(workers)]
    expected(LOADS[0])  # now, and not while the start is timed
    began = time.perf_counter()
    with process_of(words, environment(**SETTINGS), log) as process:
        url = _address(process, log)
        server = Server(
            SALLYPORT, process, url, sallyport, installation.instance / "certs" / "ca.pem"
        )
        server = replace(server, proofs=partial(bearer, server, installation.client))
        first_answer(server, LOADS[0], log)
        yield replace(server, cold_seconds=time.perf_counter() - began)


def bearer(server: Server, client: Mapping[str, str]) -> dict[str, str]:
    """The header with a new token of a service account."""
    pair = f"{client['id']}:{client['secret']}".encode()
    proof = {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    body = urlencode({"grant_type": "client_credentials"}).encode()
    ask = Ask("/auth/token", FORM, body, json.loads)
    token = ask.read(server.ask(ask, proof))["access_token"]
    return {"Authorization": f"Bearer {token}"}


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Where it says that it serves."""
    until = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        found = re.search(r"https://localhost:\d+", log.read_text(errors="replace"))
        if found:
            return found[0].replace("localhost", "127.0.0.1")
        time.sleep(0.01)
    raise ServerEnded(SALLYPORT, log)
