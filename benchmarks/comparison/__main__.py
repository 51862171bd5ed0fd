"""`make bench`: python -m benchmarks.comparison [--only LOAD,...] [--peers NAME,...] [--quick]."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.comparison.contenders import Plan, contenders
from benchmarks.comparison.environments import HOME
from benchmarks.comparison.loads import LOADS
from benchmarks.comparison.machine import about
from benchmarks.comparison.peers import PEERS
from benchmarks.comparison.report import write
from benchmarks.comparison.results import Results, opened, say
from benchmarks.comparison.rounds import run
from benchmarks.measured import HERE

RAW = "results.json"


def main() -> None:
    """Measure and write RESULTS.md, results.json and results.svg, or only the first anew."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers are ended
    options = parsed()
    if options.report:
        write(opened(options.out / RAW), options.out)
        return
    results = Results(about=about(options))
    try:
        measure(options, results)
    finally:
        if results.records or results.starts:
            keep(results, options)


def keep(results: Results, options: argparse.Namespace) -> None:
    """Save the results, or put them in the place of the same loads in those of everything."""
    if options.renew:
        part, results = results, opened(options.out / RAW)
        results.renew(part, options.only)
    results.save(options.out / RAW)
    write(results, options.out)
    say(f"the results are in {options.out}")


def measure(options: argparse.Namespace, results: Results) -> None:
    """Fill the results in."""
    loads = [load for load in LOADS if load.name in options.only]
    chosen = [peer for peer in PEERS if peer.name in options.peers]
    plan = Plan(loads, options.rounds, options.seconds, options.workers)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        run(plan, list(contenders(plan, chosen, Path(name), results)), results)


def parsed() -> argparse.Namespace:
    """The options, whose names are known ones."""
    loads, peers = [load.name for load in LOADS], [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser(prog="benchmarks.comparison", description=__doc__)
    parser.add_argument("--only", type=names_of(loads), default=loads, metavar="LOAD,...")
    parser.add_argument("--peers", type=names_of(peers), default=peers, metavar="NAME,...")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--workers", type=int, default=1, help="of every server")
    parser.add_argument("--quick", action="store_true", help="one round of one second each")
    parser.add_argument(
        "--renew", action="store_true", help="put these loads into the results of everything"
    )
    parser.add_argument("--report", action="store_true", help="write the report anew")
    parser.add_argument("--out", type=Path, help="folder of the results")
    options = parser.parse_args()
    if options.out is None:  # a part of it is not to be taken for the whole
        whole = (options.only, options.peers, options.quick) == (loads, peers, False)
        options.out = HERE if whole or options.report or options.renew else HOME
    if options.quick:
        options.rounds, options.seconds = 1, 1.0
    return options


def names_of(known: Sequence[str]) -> Callable[[str], list[str]]:
    """A reader of lists of known names, with commas between them."""

    def read(text: str) -> list[str]:
        found = [name for name in text.split(",") if name]
        for name in found:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(known)}")
        return found

    return read


if __name__ == "__main__":
    main()
