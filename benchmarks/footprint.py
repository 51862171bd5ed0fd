"""What the processes take: after the start, after predictions, and for each further small version.

    python -m benchmarks.footprint [--folder FOLDER] [--versions 1000] [--json] [--save]

Makes (and keeps, under --folder) an installation of so many tenants with a small compiled version
each: linear models, small trees and pipelines in turns. Pss counts what processes share in parts,
Private is what ending one alone would give back. --save keeps what is found in footprint.json,
beside RESULTS.md, whose table of bars shows it when it is written next.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.measured import Measured, circumstances
from benchmarks.populated import Size, make, tokens
from benchmarks.served import DEMO, Caller, Server, memory, report, say, serving
from config.settings import load_settings
from service.bootstrap import assemble

PREDICTIONS: Final = 20_000
SETTLING_SECONDS: Final = 2.0
ENVIRONMENT: Final = {"SALLYPORT_ADDRESS_REQUESTS_PER_MINUTE": "10000000"}
KINDS: Final = ("Rss", "Pss", "Private")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("instance/benchmarks"))
    parser.add_argument("--versions", type=int, default=1_000)
    parser.add_argument("--predictions", type=int, default=PREDICTIONS)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--save", action="store_true", help="keep it beside RESULTS.md")
    given = parser.parse_args()
    about = circumstances("benchmarks.footprint")
    instance = (given.folder / f"versions-{given.versions}").absolute()
    instance.mkdir(parents=True, exist_ok=True)
    make(instance, Size(given.versions, given.versions, given.versions))
    found = measure(instance, given.versions, given.predictions)
    if given.save:
        Measured(about, found).keep("footprint")
    report(found, as_json=given.json, lines=list(told(found)))


def measure(instance: Path, versions: int, predictions: int) -> dict[str, Any]:
    """Watch one worker, and the rest beside it, through a life."""
    platform = assemble(load_settings(instance))
    with serving(instance, environment=ENVIRONMENT) as server:
        server.first_answer("/health/ready")
        time.sleep(SETTLING_SECONDS)
        found: dict[str, Any] = {"started": _all(server)}
        callers = list(tokens(platform, versions, tenants=versions))
        platform.close()
        caller = server.caller()
        for number in range(predictions):
            if number % 2_000 == 0:
                say(f"predictions: {number} of {predictions}")
            _predict(caller, callers[0])
        found["predicted"] = _all(server)
        found["opening"] = _open(server, caller, callers)
        found["opened"] = _all(server)
    return found


def _open(server: Server, caller: Caller, callers: list[str]) -> dict[str, float]:
    """What each further version adds to the worker, with its tenant's first call."""
    tenth = max(1, len(callers) // 10)
    worker = _worker(server)
    for token in callers[:tenth]:
        _predict(caller, token)
    before, processes = memory(worker), len(server.processes())
    for number, token in enumerate(callers[tenth:]):
        if number % 100 == 0:
            say(f"versions: {number + tenth} of {len(callers)}")
        _predict(caller, token)
    after = memory(worker)
    opened = len(callers) - tenth
    return {
        "versions": opened,
        "kb_each": round((after["Private"] - before["Private"]) * 1024 / opened, 1),
        "processes": len(server.processes()) - processes,
    }


def _predict(caller: Caller, token: str) -> None:
    status, body = caller.ask("/predict", DEMO, token)
    if status != 200:
        raise SystemExit(f"a prediction was answered with {status}: {body[:300]!r}")


def _worker(server: Server) -> int:
    return next(pid for pid, role in server.processes().items() if role == "worker")


def _all(server: Server) -> dict[str, dict[str, float]]:
    """The memory of every process, in MB."""
    found: dict[str, dict[str, float]] = {}
    for pid, role in server.processes().items():
        found[role] = {kind: round(memory(pid)[kind], 1) for kind in KINDS}
    return found


def told(found: dict[str, Any]) -> Iterator[str]:
    """The same as text."""
    for moment in ("started", "predicted", "opened"):
        yield f"{moment:<32}" + "".join(f"{kind:>10}" for kind in KINDS) + "   (MB)"
        for role, kinds in found[moment].items():
            yield f"    {role:<28}" + "".join(f"{kinds[kind]:>10.1f}" for kind in KINDS)
    opening = found["opening"]
    yield (
        f"each of {opening['versions']} further versions, its tenant's first call included: "
        f"{opening['kb_each']:.0f} kB"
    )
    yield f"processes that came with them: {opening['processes']}"


if __name__ == "__main__":
    main()
