"""The other servers: how each is installed and started, without security and with as many workers.

Each runs as its own documentation shows, with its access log off where that has a switch.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.comparison import dialects
from benchmarks.comparison.dialects import Ask, Dialect
from benchmarks.comparison.loads import Load, expected
from benchmarks.comparison.servers import (
    ROOT,
    Server,
    environment,
    first_answer,
    free_port,
    process_of,
)

SOURCES: Final = ROOT / "benchmarks" / "peers"
THREADS: Final = 4  # of a gunicorn worker; without threads it keeps no connection
LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a peer is installed, and as what it is started."""

    programs: Path
    models: Path
    source: Path
    port: int
    workers: int
    model: str

    def program(self, name: str) -> str:
        """A program of the peer's environment."""
        return str(self.programs / name)


Words = Callable[[Place], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Peer:
    """Another server; one that is `single` serves one model at a time, and is started for each."""

    name: str
    title: str
    words: Words
    dialect: Dialect
    single: bool = False
    secured: bool = False


def _uvicorn(place: Place) -> Sequence[str]:
    return [
        *(place.program("uvicorn"), "server:app", "--app-dir", str(place.source)),
        *("--host", LOOPBACK, "--port", str(place.port), "--workers", str(place.workers)),
        *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
    ]


def _gunicorn(place: Place) -> Sequence[str]:
    return [
        *(place.program("gunicorn"), "server:app", "--chdir", str(place.source)),
        *("--bind", f"{LOOPBACK}:{place.port}", "--workers", str(place.workers)),
        *("--worker-class", "gthread", "--threads", str(THREADS), "--keep-alive", "75"),
        *("--log-level", "warning"),
    ]


def _script(place: Place) -> Sequence[str]:
    return [place.program("python"), str(place.source / "server.py")]


def _mlflow(place: Place) -> Sequence[str]:
    return [
        *(place.program("mlflow"), "models", "serve", "--env-manager", "local"),
        *("--model-uri", str(place.models / "mlflow" / place.model)),
        *("--host", LOOPBACK, "--port", str(place.port), "--workers", str(place.workers)),
    ]


def _bentoml(place: Place) -> Sequence[str]:
    return [
        *(place.program("bentoml"), "serve", "server:Models", "--working-dir", str(place.source)),
        *("--host", LOOPBACK, "--port", str(place.port)),
    ]


PEERS: Final = (
    Peer("fastapi", "FastAPI on uvicorn", _uvicorn, dialects.features),
    Peer("flask", "plain Flask on gunicorn", _gunicorn, dialects.features),
    Peer(
        "textbook",
        "Flask, flask-jwt-extended, flask-limiter, marshmallow on gunicorn",
        _gunicorn,
        dialects.features_in_json,
        secured=True,
    ),
    Peer("mlserver", "MLServer", _script, dialects.open_inference),
    Peer("litserve", "LitServe", _script, dialects.named_features),
    Peer("bentoml", "BentoML", _bentoml, dialects.bentoml),
    Peer("mlflow", "MLflow", _mlflow, dialects.mlflow, single=True),
    Peer("ray", "Ray Serve", _script, dialects.features),
)


@contextmanager
def serving(
    peer: Peer, programs: Path, models: Path, first: Load, *, workers: int, log: Path
) -> Iterator[Server]:
    """Serve a peer until the end of the block; `first` is what it is asked when it starts."""
    place = Place(programs, models, SOURCES / peer.name, free_port(), workers, first.model)
    password, secret = secrets.token_urlsafe(), secrets.token_hex(32)
    given = environment(
        BENCH_MODELS=models, BENCH_PORT=place.port, BENCH_WORKERS=workers, BENCH_MODEL=first.model
    )
    given |= {"BENCH_PASSWORD": password, "BENCH_SECRET": secret}
    given["PATH"] = f"{programs}:{given.get('PATH', '')}"
    expected(first)  # now, and not while the start is timed
    began = time.perf_counter()
    with process_of(peer.words(place), given, log) as process:
        server = Server(peer.name, process, f"http://{LOOPBACK}:{place.port}", peer.dialect)
        if peer.secured:
            server = replace(server, proofs=partial(_bearer, server, password))
        first_answer(server, first, log)
        yield replace(server, cold_seconds=time.perf_counter() - began)


def _bearer(server: Server, password: str) -> Mapping[str, str]:
    body = json.dumps({"username": "ada", "password": password}).encode()
    ask = Ask("/login", dialects.JSON, body, json.loads)
    return {"Authorization": f"Bearer {ask.read(server.ask(ask, {}))['access_token']}"}
