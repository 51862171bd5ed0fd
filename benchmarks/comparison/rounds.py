"""Rounds: in each, every server is started alone, checked, warmed, loaded and ended, in turns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

from benchmarks.comparison import mixed
from benchmarks.comparison.contenders import Contender, Plan
from benchmarks.comparison.dialects import Ask
from benchmarks.comparison.generators import NoResult, Pressure, Result, press
from benchmarks.comparison.loads import Load, models_of
from benchmarks.comparison.results import Record, Results, say
from benchmarks.comparison.servers import AnswerRefused, AnswerWrong, Server, ServerEnded

# Long against an answer's time, so that the arrivals do not follow the answers.
THOUGHT_SECONDS = 0.01
FEWEST, MOST = 16, 512
HALF_SECONDS = 10.0  # at least: else p99 is what the first call of each connection takes


def run(plan: Plan, chosen: Sequence[Contender], results: Results) -> None:
    """Let every server have its turn in every round; each round begins with another one."""
    for number in range(plan.rounds):
        first = number % len(chosen)
        for contender in [*chosen[first:], *chosen[:first]]:
            say(f"round {number + 1} of {plan.rounds}: {contender.name}")
            for loads in _at_once(contender, results):
                _turn(contender, loads, plan.seconds, number, results)


def _at_once(contender: Contender, results: Results) -> list[list[Load]]:
    """The loads that one start serves, those left out that failed before."""
    left = [load for load in contender.loads if not results.reason(contender.name, load.name)]
    if not contender.single:
        return [left] if left else []
    return [[load for load in left if load.model == model] for model in models_of(left)]


def _turn(
    contender: Contender, loads: Sequence[Load], seconds: float, number: int, results: Results
) -> None:
    """One server from its start to its end."""
    about: Record = {"round": number, "server": contender.name}
    try:
        with contender.start(loads[0]) as server:
            cold = {"cold_seconds": server.cold_seconds, "idle_pss": server.memory()["pss"]}
            server.settle()
            for load in loads:
                _load(contender, server, load, seconds, about, results)
            results.starts.append(about | cold | server.memory())
    except (ServerEnded, AnswerWrong, OSError) as problem:
        for load in loads:
            results.miss(contender.name, load.name, str(problem))


def _load(
    contender: Contender,
    server: Server,
    load: Load,
    seconds: float,
    about: Record,
    results: Results,
) -> None:
    """Check a server's answers to a load, then measure."""
    try:
        server.check(load)
        found = _measured(contender, server, load, seconds)
    except AnswerWrong as problem:
        results.miss(contender.name, load.name, f"its answers are wrong: {problem}")
    except (AnswerRefused, NoResult, OSError) as problem:
        results.miss(contender.name, load.name, str(problem))
    else:
        results.records += [about | {"load": load.name} | record for record in found]


def _measured(contender: Contender, server: Server, load: Load, seconds: float) -> Sequence[Record]:
    """What a load comes to."""
    ask = server.dialect(load)
    if ask is None or load.kind == "cold":
        return []
    if load.kind == "half":
        return [_half(server, ask, load, seconds)]
    if contender.neighbour is not None and load.kind == "mixed":
        found = mixed.measure(server, contender.neighbour, load, seconds)
        told = partial(_told, load, load.connections[0])
        return [told(one) | {"beside": name, "company": more} for name, one, more in found]
    return [
        _told(load, connections, _steady(server, ask, connections, seconds))
        for connections in load.connections
    ]


def _steady(server: Server, ask: Ask, connections: int, seconds: float) -> Result:
    """As fast as it answers, after a warm-up."""
    press(server, ask, Pressure(connections, max(1.0, seconds / 3)))
    return press(server, ask, Pressure(connections, seconds))


def _half(server: Server, ask: Ask, load: Load, seconds: float) -> Record:
    """Half as often as it can answer, by callers who do not wait for each other."""
    most = _steady(server, ask, load.connections[0], seconds)
    if not most.requests:
        raise NoResult("it answers nothing")
    connections = min(MOST, max(FEWEST, math.ceil(most.rate / 2 * THOUGHT_SECONDS)))
    pause = max(0.0, connections / (most.rate / 2) * 1e3 - most.p50 / load.connections[0])
    found = press(server, ask, Pressure(connections, max(seconds, HALF_SECONDS), pause))
    return _told(load, connections, found) | {"most": most.rate}


def _told(load: Load, connections: int, found: Result) -> Record:
    """One result as a record, told as it comes."""
    odd = f", {found.refused} refused, {found.broken} broken" * bool(found.refused or found.broken)
    say(f"  {load.name}, {connections}: {found.rate:,.1f}/s, p99 {found.p99:.2f} ms{odd}")
    return {"connections": connections, "rate": found.rate} | asdict(found)
