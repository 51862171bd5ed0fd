"""Every metric of the platform, by name. Label sets are bounded: no tenant, user or path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

MULTIPROCESS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
PREFIX: Final = "sallyport"
SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class Telemetry:
    """The process's metrics; `exposition()` sums over all workers when they share a folder."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._count_requests()
        self._watch_hosts()
        self.intakes = self._counter("intakes", "Intake jobs that ended.", "state")
        self.logins = self._counter("logins", "Logins.", "outcome")
        self.epoch = self._gauge("epoch", "The epoch as the slowest worker sees it.")
        self.counters_shared = self._gauge(
            "counters_shared", "1 while limits are counted over all workers, 0 on the local share."
        )

    def exposition(self) -> bytes:
        """The metrics in Prometheus' text format."""
        folder = os.environ.get(MULTIPROCESS_VARIABLE)
        if folder is None:
            return generate_latest(self.registry)
        _forget_dead(Path(folder))
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def _count_requests(self) -> None:
        self.requests = self._counter(
            "requests", "Requests answered.", "endpoint", "method", "status"
        )
        self.request_seconds = Histogram(
            f"{PREFIX}_request_seconds",
            "Time from the first byte read by the application to the answer.",
            ("endpoint",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.rows = self._counter("predicted_rows", "Rows predicted.", "engine")
        self.refusals = self._counter("refusals", "Requests refused.", "problem")

    def _watch_hosts(self) -> None:
        self.host_batch = Histogram(
            f"{PREFIX}_host_batch_calls",
            "Calls that a host answered together.",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128),
            registry=self.registry,
        )
        self.host_seconds = Histogram(
            f"{PREFIX}_host_seconds",
            "Time that a model's own library took for a batch.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self.hosts = self._seen_last("hosts", "Processes of models that run now.", "flavour")
        self.host_bytes = self._seen_last(
            "hosts_bytes", "Memory that they do not share.", "flavour"
        )
        self.host_events = self._seen_last(
            "hosts_events",
            "What became of them since their parent began: started, crashed, evicted, others.",
            "flavour",
            "event",
        )

    def _counter(self, name: str, description: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", description, labels, registry=self.registry)

    def _gauge(self, name: str, description: str) -> Gauge:
        """A gauge that shows the least value of the workers that live."""
        return Gauge(
            f"{PREFIX}_{name}", description, multiprocess_mode="livemin", registry=self.registry
        )

    def _seen_last(self, name: str, description: str, *labels: str) -> Gauge:
        """A gauge of something outside the workers, as one of them saw it last."""
        return Gauge(
            f"{PREFIX}_{name}",
            description,
            labels,
            multiprocess_mode="mostrecent",
            registry=self.registry,
        )


def prepare_folder(folder: Path) -> None:
    """Make the folder that workers share their metrics in, without those of an earlier run."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in folder.glob("*.db"):
        file.unlink(missing_ok=True)


def _forget_dead(folder: Path) -> None:
    """A worker that was killed leaves its gauges; its counters still count."""
    for file in folder.glob("gauge_live*_*.db"):
        process = file.stem.rpartition("_")[2]
        if not Path("/proc", process).exists():
            file.unlink(missing_ok=True)
