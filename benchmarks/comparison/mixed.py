"""Fast predictions beside slow work: logins, a neighbour's slow model, pages, uploads.

In each round the same load is measured alone, beside two clients that log in endlessly and a
tenant whose model takes a fifth of a second, and beside all of that with pages and uploads.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.comparison.dialects import JSON, Ask, as_json, member
from benchmarks.comparison.generators import Pressure, Result, parse, press, started
from benchmarks.comparison.loads import Load, estimator, rows_of
from benchmarks.comparison.platform import Installation, bearer, bring, manage
from benchmarks.comparison.servers import Server
from models.handlers.skops_file import write_skops

NEIGHBOUR: Final = "neighbour"
PLAIN: Final = "alone"
LOGINS: Final = "beside logins and a slow model"
ALL: Final = "beside logins, a slow model, pages and uploads"
LEAD_SECONDS: Final = 1.0
SLOW_ROWS: Final = 140  # of 1.4 ms each
FILE: Final = {"Content-Type": "application/octet-stream", "X-Model-Format": "skops"}


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another tenant: who logs in there, and who asks and uploads models."""

    login: Mapping[str, str] = field(repr=False)
    client: Mapping[str, str] = field(repr=False)
    file: Path


@dataclass(frozen=True, slots=True)
class Noise:
    """What runs beside: its name, its request, and over how many connections it is repeated."""

    name: str
    ask: Ask
    connections: int
    known: bool = True  # with a token


def move_in(installation: Installation) -> Neighbour:
    """Make the other tenant, with its slow model and its accounts."""
    run = partial(manage, installation.instance)
    run("tenants", "create", NEIGHBOUR, "--plan", "unlimited", "--json")
    words = ("users", "create", "gail", "--tenant", NEIGHBOUR, "--role", "caller", "--json")
    user = run(*words)
    scope = "predict models.write models.read"
    client = run("clients", "create", "machine", "--tenant", NEIGHBOUR, "--scope", scope, "--json")
    bring(installation.instance, NEIGHBOUR, "slow")
    file = installation.instance.parent / "upload.skops"
    file.write_bytes(write_skops(estimator("linear")))
    login = {"tenant": NEIGHBOUR, "username": "gail", "password": user["password"]}
    return Neighbour(login, client, file)


def noises(neighbour: Neighbour, *, everything: bool) -> Sequence[Noise]:
    """What runs beside."""
    rows = {"features": rows_of(SLOW_ROWS).tolist(), "model": "slow"}
    found = [
        Noise("logins", Ask("/auth/login", JSON, as_json(neighbour.login), json.loads), 2, False),
        Noise("slow predictions", Ask("/predict", JSON, as_json(rows), member("prediction")), 1),
    ]
    if everything:
        upload = Ask("/models/uploaded/versions", FILE, neighbour.file.read_bytes(), json.loads)
        found += [
            Noise("pages", Ask("/openapi.json", {}, b"", json.loads, "GET"), 1, False),
            Noise("uploads", upload, 1),
        ]
    return found


def measure(
    server: Server, neighbour: Neighbour, load: Load, seconds: float
) -> Iterator[tuple[str, Result, Mapping[str, float]]]:
    """The load in each company, with what the company was answered in a second."""
    ask = server.dialect(load)
    assert ask is not None
    pressure = Pressure(load.connections[0], seconds)
    press(server, ask, replace(pressure, seconds=LEAD_SECONDS))
    yield PLAIN, press(server, ask, pressure), {}
    for name, everything in ((LOGINS, False), (ALL, True)):
        company = noises(neighbour, everything=everything)
        with beside(server, neighbour, company, seconds) as counted:
            press(server, ask, Pressure(load.connections[0], LEAD_SECONDS))
            found = press(server, ask, pressure)
        yield name, found, counted


@contextmanager
def beside(
    server: Server, neighbour: Neighbour, company: Sequence[Noise], seconds: float
) -> Iterator[dict[str, float]]:
    """Run what runs beside during the block; afterwards its answers a second are filled in."""
    known = replace(server, proofs=partial(bearer, server, neighbour.client))
    stranger = replace(server, proofs=dict)
    counted: dict[str, float] = {}
    with ExitStack() as stack:
        processes = {}
        for noise in company:
            pressure = Pressure(noise.connections, seconds + 2 * LEAD_SECONDS)
            caller = known if noise.known else stranger
            processes[noise.name] = stack.enter_context(started(caller, noise.ask, pressure))
        yield counted
        for name, process in processes.items():
            counted[name] = round(parse(*process.communicate(timeout=60)).rate, 2)
