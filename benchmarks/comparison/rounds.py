"""Rounds: in each, every server is started alone, checked, warmed, loaded and ended, in turns."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.comparison import environments, peers, platform
from benchmarks.comparison.environments import NotInstalled
from benchmarks.comparison.generators import NoResult, Pressure, press
from benchmarks.comparison.loads import Load, models_of
from benchmarks.comparison.peers import Peer
from benchmarks.comparison.servers import AnswerRefused, AnswerWrong, Server, ServerEnded

# Starts a server that is first asked a load.
Start = Callable[[Load], AbstractContextManager[Server]]
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured, how often, and for how long."""

    loads: Sequence[Load]
    rounds: int
    seconds: float
    workers: int


@dataclass(frozen=True, slots=True)
class Contender:
    """A server that takes part."""

    name: str
    start: Start
    single: bool = False


@dataclass(slots=True)
class Results:
    """What was measured, and why something was not."""

    records: list[Record] = field(default_factory=list)
    starts: list[Record] = field(default_factory=list)
    reasons: dict[str, dict[str, str]] = field(default_factory=dict)

    def miss(self, server: str, load: str, reason: str) -> None:
        """Keep why a server has no number for a load; `*` is every load."""
        self.reasons.setdefault(server, {})[load] = reason
        say(f"{server}, {load}: {reason}")


def contenders(
    plan: Plan, chosen: Sequence[Peer], folder: Path, results: Results
) -> Iterator[Contender]:
    """Sallyport, and every peer that can be installed."""
    models = models_of(plan.loads)
    say("Sallyport: makes an installation and imports the models")
    installation = platform.install(folder / "instance", models)
    for name, engine in installation.engines.items():
        say(f"  {name}: {engine}")

    def start(first: Load) -> AbstractContextManager[Server]:
        return platform.serving(installation, workers=plan.workers, log=folder / "sallyport.log")

    yield Contender(platform.NAME, start)
    for peer in chosen:
        try:
            yield _contender(peer, plan, folder / peer.name)
        except NotInstalled as problem:
            results.miss(peer.name, "*", f"cannot be installed: {problem}")


def _contender(peer: Peer, plan: Plan, folder: Path) -> Contender:
    say(f"{peer.title}: installs it, unless it is, and fits the models")
    programs = environments.programs(peer)
    models = environments.saved(peer, programs, folder / "models", models_of(plan.loads))

    def start(first: Load) -> AbstractContextManager[Server]:
        log = folder / "server.log"
        return peers.serving(peer, programs, models, first, workers=plan.workers, log=log)

    return Contender(peer.name, start, peer.single)


def run(plan: Plan, chosen: Sequence[Contender], results: Results) -> None:
    """Let every server have its turn in every round; each round begins with another one."""
    for number in range(plan.rounds):
        first = number % len(chosen)
        for contender in [*chosen[first:], *chosen[:first]]:
            say(f"round {number + 1} of {plan.rounds}: {contender.name}")
            for loads in _at_once(contender, plan.loads, results):
                _turn(contender, loads, plan, number, results)


def _at_once(contender: Contender, loads: Sequence[Load], results: Results) -> list[list[Load]]:
    """The loads that one start serves, those left out that failed before."""
    failed = results.reasons.get(contender.name, {})
    left = [load for load in loads if load.name not in failed and "*" not in failed]
    if not contender.single:
        return [left] if left else []
    return [[load for load in left if load.model == model] for model in models_of(left)]


def _turn(
    contender: Contender, loads: Sequence[Load], plan: Plan, number: int, results: Results
) -> None:
    """One server from its start to its end."""
    about = {"round": number, "server": contender.name}
    try:
        with contender.start(loads[0]) as server:
            idle = server.memory()["pss"]
            for load in loads:
                _load(server, load, plan, about, results)
            cold = {"cold_seconds": server.cold_seconds, "idle_pss": idle}
            results.starts.append(about | cold | server.memory())
    except (ServerEnded, OSError) as problem:
        for load in loads:
            results.miss(contender.name, load.name, str(problem))


def _load(server: Server, load: Load, plan: Plan, about: Record, results: Results) -> None:
    """Check a server's answers to a load, then press."""
    ask = server.dialect(load)
    try:
        server.check(load)
        assert ask is not None
        for connections in load.connections:
            press(server, ask, Pressure(connections, max(1.0, plan.seconds / 3)))
            found = press(server, ask, Pressure(connections, plan.seconds))
            record = about | {"load": load.name, "connections": connections, "rate": found.rate}
            results.records.append(record | asdict(found))
            say(f"  {load.name}, {connections}: {found.rate:,.1f}/s, p99 {found.p99:.2f} ms")
    except AnswerWrong as problem:
        results.miss(server.name, load.name, f"its answers are wrong: {problem}")
    except (AnswerRefused, NoResult, OSError) as problem:
        results.miss(server.name, load.name, str(problem))


def measure(plan: Plan, chosen: Sequence[Peer]) -> Results:
    """Measure Sallyport and peers; return what came of it."""
    results = Results()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        run(plan, list(contenders(plan, chosen, Path(name), results)), results)
    return results


def say(line: str) -> None:
    """Show progress."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)
