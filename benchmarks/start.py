"""How long from `manage.py serve` to the first good prediction over TLS, and small commands.

    python -m benchmarks.start [--rounds 7] [--workers N] [--instance FOLDER] [--json]

Without --instance an installation with the demo is made first, which also leaves the modules
compiled. A new connection asks every few milliseconds until a prediction is answered with 200.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.served import (
    DEMO,
    ROOT,
    Server,
    demo_account,
    log_in,
    manage,
    report,
    say,
    serving,
)

COMMANDS = (
    ("--help",),
    ("--version",),
    ("users", "--help"),
    ("models", "--help"),
    ("serve", "--help"),
    ("tenants", "list"),
)
STEP = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \| (\s*)(\S+)")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--instance", type=Path, help="an installation with the demo")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        instance = given.instance or Path(folder) / "instance"
        if not (instance / "demo.json").exists():
            say("making an installation")
            manage("--instance", str(instance), "init", "--demo")
        found = measure(instance.absolute(), given.rounds, given.workers)
    report(found, as_json=given.json, lines=told(found))


def measure(instance: Path, rounds: int, workers: int) -> dict[str, Any]:
    """Start the server and the commands in turns."""
    with serving(instance, workers=workers) as server:
        token = log_in(server, demo_account(instance))
    starts: list[dict[str, float]] = []
    commands: dict[str, list[tuple[float, float]]] = {" ".join(words): [] for words in COMMANDS}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        with serving(instance, workers=workers) as server:
            starts.append(one_start(server, token))
        for words in COMMANDS:
            commands[" ".join(words)].append(one_command(instance, words))
    return {
        "start": {key: _median([one[key] for one in starts]) for key in starts[0]},
        "start_each": [round(one["answer_s"], 3) for one in starts],
        "commands": {
            name: {"wall_s": _median([w for w, _ in each]), "cpu_s": _median([c for _, c in each])}
            for name, each in commands.items()
        },
        "imports_ms": imports(),
    }


def one_start(server: Server, token: str) -> dict[str, float]:
    """Seconds to the first prediction, and the processor time until then by program."""
    answer = server.first_answer("/predict", DEMO, token)
    return {"answer_s": answer, "cpu_s": server.cpu_seconds()}


def one_command(instance: Path, words: tuple[str, ...]) -> tuple[float, float]:
    """The time on the clock and of the processor that one command takes."""
    before = _children_cpu()
    began = time.perf_counter()
    manage("--instance", str(instance), *words)
    return time.perf_counter() - began, _children_cpu() - before


def imports(most: int = 12) -> dict[str, dict[str, float]]:
    """The slowest top packages of what a program imports, in ms each without what it imports."""
    found: dict[str, dict[str, float]] = {}
    for module in ("service.commands.serving", "service.app", "models.hosting.parent"):
        words = [sys.executable, "-X", "importtime", "-c", f"import {module}"]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
        packages: dict[str, float] = {}
        for own, _, _, name in STEP.findall(done.stderr):
            package = name.partition(".")[0]
            packages[package] = packages.get(package, 0.0) + int(own) / 1000
        slowest = sorted(packages.items(), key=lambda pair: -pair[1])[:most]
        found[module] = {"all": round(sum(packages.values()), 1)} | {
            package: round(ms, 1) for package, ms in slowest
        }
    return found


def told(found: dict[str, Any]) -> list[str]:
    """The same as text."""
    start = found["start"]
    each = ", ".join(f"{one:.2f}" for one in found["start_each"])
    lines = [
        f"start to the first good prediction   {start['answer_s']:6.2f} s (median; {each})",
        f"... of the processor, all programs   {start['cpu_s']:6.2f} s",
    ]
    lines += [
        f"manage.py {name:<27}{one['wall_s']:6.2f} s, {one['cpu_s']:.2f} s of the processor"
        for name, one in found["commands"].items()
    ]
    for module, packages in found["imports_ms"].items():
        lines += [f"imports of {module}", "    " + _listed(packages)]
    return lines


def _listed(packages: dict[str, float]) -> str:
    return "  ".join(f"{package} {ms:.0f}" for package, ms in packages.items()) + "  (ms)"


def _median(values: list[float]) -> float:
    return round(statistics.median(values), 4)


def _children_cpu() -> float:
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
