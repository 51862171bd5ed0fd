"""What growth costs: the same calls of a small and of a large installation, in turns.

    python -m benchmarks.growth [--folder FOLDER] [--rounds 7] [--json] [--save]

Makes (and keeps, under --folder) an installation of 10 tenants, 100 users and 10 versions and one
of 10,000 tenants, 100,000 users and 1,000 versions; see benchmarks/populated.py for what in them is
synthetic. Both are served with one worker on loopback. Rounds of calls alternate between the two;
a call's cost is the processor time of all the server's processes, and its time is the caller's.
"A known caller of every model" are 10 callers of the small and 1,000 of the large one: what it
shows is mostly what many callers cost beside few, wherever they are. --save keeps what is found in
growth.json, beside RESULTS.md, whose table of bars shows it when it is written next.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from typing import Any, Final

from benchmarks.measured import Measured, circumstances
from benchmarks.populated import Size, account, make, tokens
from benchmarks.served import DEMO, Caller, Server, report, say, serving
from config.settings import load_settings
from service.bootstrap import assemble

SIZES: Final = {"small": Size(10, 100, 10), "large": Size(10_000, 100_000, 1_000)}
PREDICTIONS: Final = 8_000  # long enough for what is done every five seconds to be in it
SAME: Final = 10  # callers that both have
FIRST: Final = 200
LOGINS: Final = 12
IDLE_SECONDS: Final = 11.0  # two flushes of usage
# Calls of strangers come from one address here, which may try so often only for a benchmark.
ENVIRONMENT: Final = {
    "SALLYPORT_ACCESS_SECONDS": "3600",
    "SALLYPORT_LOGIN_ATTEMPTS_PER_MINUTE": "1000",
    "SALLYPORT_LOGIN_ADDRESS_ATTEMPTS_PER_MINUTE": "1000000",
    "SALLYPORT_ADDRESS_REQUESTS_PER_MINUTE": "10000000",
}
Asked = Iterator[tuple[str, bytes, str]]  # path, body, token


class Subject:
    """One of the two installations while it is served."""

    def __init__(self, server: Server, size: Size, rounds: int) -> None:
        self.server = server
        self.caller = server.caller()
        self.costs: dict[str, list[tuple[float, float]]] = {}
        known = size.versions
        first = FIRST * rounds
        platform = assemble(load_settings(server.instance))
        made = list(tokens(platform, 1 + known + first, tenants=size.versions))
        platform.close()
        spread = made[1 : 1 + known]
        random.Random(0).shuffle(spread)
        self.loads: dict[str, tuple[int, Asked]] = {
            "one known caller": (PREDICTIONS, cycle([_prediction(made[0])])),
            "ten known callers": (PREDICTIONS, cycle(map(_prediction, spread[:SAME]))),
            "a known caller of every model": (PREDICTIONS, cycle(map(_prediction, spread))),
            "first calls": (FIRST, map(_prediction, made[1 + known :])),
            "logins": (LOGINS, (_login(n, size) for n in cycle(range(size.users)))),
        }
        for token in [made[0], *spread]:
            _ask(self.caller, _prediction(token))

    def round(self, load: str) -> None:
        """Make one round of calls, and keep what a call cost and took."""
        count, asked = self.loads[load]
        spans = []
        before = self.server.cpu_seconds()
        for _ in range(count):
            call = next(asked)
            began = time.perf_counter()
            _ask(self.caller, call)
            spans.append(time.perf_counter() - began)
        cost = (self.server.cpu_seconds() - before) / count
        self.costs.setdefault(load, []).append((cost * 1e6, statistics.median(spans) * 1e6))

    def idle(self) -> None:
        """Keep what a second costs in which nobody calls."""
        before = self.server.cpu_seconds()
        time.sleep(IDLE_SECONDS)
        cost = (self.server.cpu_seconds() - before) / IDLE_SECONDS
        self.costs.setdefault("an idle second", []).append((cost * 1e6, 0.0))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("instance/benchmarks"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--save", action="store_true", help="keep it beside RESULTS.md")
    given = parser.parse_args()
    about = circumstances("benchmarks.growth")
    instances = {name: (given.folder / name).absolute() for name in SIZES}
    for name, instance in instances.items():
        instance.mkdir(parents=True, exist_ok=True)
        make(instance, SIZES[name])
    starts = measure_starts(instances, given.rounds)
    found = {"start": starts} | measure_calls(instances, given.rounds)
    if given.save:
        Measured(about, found).keep("growth")
    report(found, as_json=given.json, lines=list(told(found)))


def measure_starts(instances: dict[str, Path], rounds: int) -> dict[str, Any]:
    """Seconds from the start to the first answer, and of the processor."""
    spans: dict[str, list[tuple[float, float]]] = {name: [] for name in instances}
    for number in range(rounds):
        for name, instance in instances.items():
            say(f"start {number + 1} of {rounds}: {name}")
            with serving(instance) as server:
                answered = server.first_answer("/health/ready")
                spans[name].append((server.cpu_seconds(), answered))
    return _compared(spans)


def measure_calls(instances: dict[str, Path], rounds: int) -> dict[str, Any]:
    """Calls of both, in turns."""
    with ExitStack() as stack:
        subjects = {}
        for name, instance in instances.items():
            say(f"serving: {name}")
            server = stack.enter_context(serving(instance, environment=ENVIRONMENT))
            server.first_answer("/health/ready")
            subjects[name] = Subject(server, SIZES[name], rounds)
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            for load in subjects["small"].loads:
                for subject in subjects.values():
                    subject.round(load)
            for subject in subjects.values():
                subject.idle()
    loads = subjects["small"].costs
    return {
        load: _compared({name: subject.costs[load] for name, subject in subjects.items()})
        for load in loads
    }


def told(found: dict[str, Any]) -> Iterator[str]:
    """The same as text."""
    yield f"{'':<32}{'small':>22}{'large':>22}{'ratio':>16}"
    yield f"{'':<32}" + f"{'processor':>12}{'time':>10}" * 2 + f"{'processor':>11}{'time':>8}"
    for load, one in found.items():
        unit = "s" if load == "start" else "µs"
        sides = "".join(
            _number(one[f"{side}_{what}"], width, unit)
            for side in SIZES
            for what, width in (("cpu", 12), ("time", 10))
        )
        ratios = f"{one['ratio_cpu']:>11.3f}" + (
            f"{one['ratio_time']:>8.3f}" if one["ratio_time"] else f"{'':>8}"
        )
        yield f"{load:<32}{sides}{ratios}"


def _number(value: float, width: int, unit: str) -> str:
    text = f"{value:.2f} {unit}" if unit == "s" else f"{value:.0f} {unit}"
    return f"{text if value else '':>{width}}"


def _compared(spans: dict[str, list[tuple[float, float]]]) -> dict[str, float]:
    """Medians of both, and the median of the rounds' ratios."""
    found: dict[str, float] = {}
    for at, what in enumerate(("cpu", "time")):
        sides = {name: [each[at] for each in values] for name, values in spans.items()}
        for name, values in sides.items():
            found[f"{name}_{what}"] = round(statistics.median(values), 4)
        pairs = zip(sides["large"], sides["small"], strict=True)
        ratios = [large / small for large, small in pairs if small]
        found[f"ratio_{what}"] = round(statistics.median(ratios), 4) if ratios else 0.0
    return found


def _prediction(token: str) -> tuple[str, bytes, str]:
    return "/predict", DEMO, token


def _login(number: int, size: Size) -> tuple[str, bytes, str]:
    return "/auth/login", account(number, size.tenants), ""


def _ask(caller: Caller, call: tuple[str, bytes, str]) -> None:
    status, body = caller.ask(*call)
    if status != 200:
        raise SystemExit(f"{call[0]} was answered with {status}: {body[:300]!r}")


if __name__ == "__main__":
    main()
