"""What observing a call costs: `python -m benchmarks.telemetry` prints µs per prediction."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

ROUNDS = 20_000
STAGES = ("authenticate", "decode", "admit", "bind", "compute")
SAMPLED = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}


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
    from config.settings import Settings
    from config.telemetry import Telemetry
    from config.tracing import Tracing
    from service import observing
    from service.observing import Outcome

    telemetry = Telemetry()
    settings = Settings(instance=folder, master_keys=(bytes(32),))
    off = Tracing(settings, telemetry, instance="here")
    nowhere = replace(settings, otel_endpoint="http://127.0.0.1:9", otel_sample_ratio=0.0)
    unsampled = Tracing(nowhere, telemetry, instance="here")
    sampled = Tracing(replace(nowhere, otel_sample_ratio=1.0), telemetry, instance="here")
    outcome = Outcome(status=200, endpoint="predict.predict", method="POST", route="/predict")

    class Platform:
        """As much of one as a call is observed with."""

        def __init__(self, tracing: Tracing) -> None:
            self.telemetry, self.tracing = telemetry, tracing

    def observed(tracing: Tracing, headers: dict[str, str]) -> None:
        call = observing.begin(Platform(tracing), headers.get)  # type: ignore[arg-type]
        call.dialect = "native"
        for stage in STAGES:
            call.stages.done(stage)
        telemetry.rows.labels("linear", "native").inc()
        observing.finish(call, outcome)

    count = telemetry.requests.labels("predict.predict", "POST", "200")
    seconds = telemetry.request_seconds.labels("predict.predict", "native")
    show("one count", micros(count.inc))
    show("one observation of a duration", micros(lambda: seconds.observe(0.001)))
    show("a prediction observed", micros(lambda: observed(off, {})))
    show("... whose caller sends a context", micros(lambda: observed(off, SAMPLED)))
    show("... traces on, not sampled", micros(lambda: observed(unsampled, {})))
    show("... traces on, sampled", micros(lambda: observed(sampled, {}), 2_000))
    show("one look at this process", micros(telemetry.look, 1_000))
    show("one exposition", micros(telemetry.exposition, 100))
    sampled.close(0.1)


if __name__ == "__main__":
    main()
