"""Who takes part: Sallyport, the same server without gates, and each peer that can be installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.comparison import bare, environments, mixed, peers, platform
from benchmarks.comparison.environments import NotInstalled
from benchmarks.comparison.loads import BARE, SALLYPORT, TWICE, Load, models_of
from benchmarks.comparison.mixed import Neighbour
from benchmarks.comparison.peers import Peer
from benchmarks.comparison.results import Results, say
from benchmarks.comparison.servers import Server

# Starts a server that is first asked a load.
Start = Callable[[Load], AbstractContextManager[Server]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured, how often, and for how long."""

    loads: Sequence[Load]
    rounds: int
    seconds: float
    workers: int


@dataclass(frozen=True, slots=True)
class Contender:
    """A server that takes part, and in which loads; a `single` one is started for each model."""

    name: str
    start: Start
    loads: Sequence[Load]
    single: bool = False
    neighbour: Neighbour | None = None


def contenders(
    plan: Plan, chosen: Sequence[Peer], folder: Path, results: Results
) -> Iterator[Contender]:
    """Whoever takes part in any of the loads."""
    open_to_all = [load for load in plan.loads if not load.among]
    yield from _own(plan, folder, results)
    for peer in chosen if open_to_all else ():
        try:
            yield _peer(peer, plan.workers, open_to_all, folder / peer.name)
        except NotInstalled as problem:
            results.miss(peer.name, "*", f"cannot be installed: {problem}")


def _own(plan: Plan, folder: Path, results: Results) -> Iterator[Contender]:
    """Sallyport, with one and with twice as many workers, and without its gates."""
    say("Sallyport: makes an installation and imports the models")
    installation = platform.install(folder / "instance", models_of(plan.loads))
    results.engines.update(installation.engines)
    log = environments.HOME / SALLYPORT / "server.log"
    own = [load for load in plan.loads if not load.among or SALLYPORT in load.among]
    mixing = any(load.kind == "mixed" for load in own)
    neighbour = mixed.move_in(installation) if mixing else None

    def start(first: Load, *, workers: int = plan.workers) -> AbstractContextManager[Server]:
        return platform.serving(installation, workers=workers, log=log)

    yield Contender(SALLYPORT, start, own, neighbour=neighbour)
    twice, without = ([load for load in plan.loads if n in load.among] for n in (TWICE, BARE))
    if twice:
        yield Contender(TWICE, partial(start, workers=2 * plan.workers), twice)
    if without:
        serve = partial(bare.serving, folder=folder, workers=plan.workers)
        yield Contender(BARE, serve, without)


def _peer(peer: Peer, workers: int, loads: Sequence[Load], folder: Path) -> Contender:
    """A peer, installed and with models of its own; raises NotInstalled."""
    say(f"{peer.title}: installs it, unless it is, and fits the models")
    programs = environments.programs(peer)
    return ready(peer, programs, workers, loads, folder)


def ready(
    peer: Peer, programs: Path, workers: int, loads: Sequence[Load], folder: Path
) -> Contender:
    """A peer whose programs are there; raises NotInstalled."""
    models = environments.saved(peer, programs, folder / "models", models_of(loads))
    log = environments.HOME / peer.name / "server.log"

    def start(first: Load) -> AbstractContextManager[Server]:
        return peers.serving(peer, programs, models, first, workers=workers, log=log)

    return Contender(peer.name, start, loads, peer.single)
