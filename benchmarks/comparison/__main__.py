"""`make bench`: python -m benchmarks.comparison [--only LOAD,...] [--peers NAME,...] [--quick]."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence

from benchmarks.comparison.loads import LOADS
from benchmarks.comparison.peers import PEERS
from benchmarks.comparison.rounds import Plan, measure


def main() -> None:
    """Measure, and print."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers are ended
    options = parsed()
    loads = [load for load in LOADS if load.name in options.only]
    chosen = [peer for peer in PEERS if peer.name in options.peers]
    plan = Plan(loads, options.rounds, options.seconds, options.workers)
    results = measure(plan, chosen)
    for record in results.records:
        print(record)


def parsed() -> argparse.Namespace:
    """The options, whose names are known ones."""
    loads, peers = [load.name for load in LOADS], [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", type=names_of(loads), default=loads)
    parser.add_argument("--peers", type=names_of(peers), default=peers)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--workers", type=int, default=1)
    return parser.parse_args()


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
