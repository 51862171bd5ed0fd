"""What observing a call costs: `python -m benchmarks.telemetry` prints µs per prediction."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROUNDS = 20_000
CONTEXT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def micros(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """The fastest of five runs, in time of the processor alone."""
    best = float("inf")
    for _ in range(5):
        start = time.thread_time()
        for _ in range(rounds // 5):
            work()
        best = min(best, (time.thread_time() - start) / (rounds // 5) * 1e6)
    return best


def show(what: str, took: float) -> None:
    print(f"{what:<52}{took:10.2f} µs")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # before the library is imported
        measure(Path(folder))


def measure(folder: Path) -> None:
    from benchmarks import observed
    from benchmarks.observed import Observed
    from service import observing

    off, unsampled, sampled = (Observed(folder, ratio) for ratio in (None, 0.0, 1.0))
    show("one count", micros(observed.count.inc))
    show("one observation of a duration", micros(lambda: observed.duration.observe(0.001)))
    show("all counts of a prediction", micros(off.added))
    show("an identifier", micros(observing.request_ids.next))
    show("Server-Timing", micros(lambda: observing.server_timing(observed.SPENT, observed.TOTAL)))
    show("a plain prediction told of", micros(off.told))
    show("... traces on, not sampled", micros(unsampled.told))
    show("... traces on, sampled", micros(sampled.told, 2_000))
    show("a prediction observed", micros(off.whole))
    show("... whose caller sends a context", micros(lambda: off.whole(traceparent=CONTEXT)))
    show("... traces on, not sampled", micros(unsampled.whole))
    show("... traces on, sampled", micros(sampled.whole, 2_000))
    show("one look at this process", micros(observed.telemetry.look, 1_000))
    show("one exposition", micros(observed.telemetry.exposition, 100))
    sampled.tracing.close(0.1)


if __name__ == "__main__":
    main()
