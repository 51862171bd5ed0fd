"""`make bench-smoke`: a minute of the comparison, with what the development environment has.

Sallyport against plain Flask and the textbook, ratios only. It fails where the harness breaks, an
answer is wrong, or Sallyport is not above the textbook: nothing that a busy machine can turn round.
"""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.comparison.contenders import Contender, Plan, contenders, ready
from benchmarks.comparison.loads import LOADS, SALLYPORT, Load
from benchmarks.comparison.peers import PEERS
from benchmarks.comparison.results import Results, ratio
from benchmarks.comparison.rounds import run

LOADED: Final = (
    Load("linear", "linear"),
    *(load for load in LOADS if load.name in ("forest", "bulk-binary", "bulk-arrow", "half")),
)
PRESENT: Final = ("flask", "textbook")
BEATEN: Final = "textbook"
ROUNDS: Final = 1
SECONDS: Final = 1.0


def main() -> None:
    """Measure, print ratios, and exit with 1 if something is wrong."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers are ended
    results, plan = Results(), Plan(LOADED, ROUNDS, SECONDS, 1)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        run(plan, [*contenders(plan, [], Path(name), results), *_present(Path(name))], results)
    for load in LOADED:
        print(f"{load.name:12}", *(_said(results, load, peer) for peer in PRESENT))
    found = _ratio(results, LOADED[0], BEATEN)
    unforeseen = _unforeseen(results)
    if unforeseen or found is None or found < 1:
        sys.exit("; ".join(unforeseen) or f"{found} times the {BEATEN}")


def _present(folder: Path) -> list[Contender]:
    """The peers whose libraries are here, with models that were fitted here."""
    programs = Path(sys.executable).parent
    peers = [peer for peer in PEERS if peer.name in PRESENT]
    return [ready(peer, programs, 1, LOADED, folder / peer.name) for peer in peers]


def _ratio(results: Results, load: Load, peer: str) -> float | None:
    return ratio(*(results.median(one, load.name, "rate") for one in (SALLYPORT, peer)))


def _said(results: Results, load: Load, peer: str) -> str:
    found = _ratio(results, load, peer)
    return f"{'-':>6}   {peer}" if found is None else f"{found:6.2f} x {peer}"


def _unforeseen(results: Results) -> list[str]:
    """What was not measured, but for the forms that the textbook does not take."""
    return [
        f"{server}, {load}: {reason}"
        for server, reasons in results.reasons.items()
        for load, reason in reasons.items()
        if not (server == BEATEN and load.startswith("bulk-"))
    ]


if __name__ == "__main__":
    main()
