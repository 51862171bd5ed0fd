"""Every metric of the platform, by name. Label sets are bounded: no tenant, user or path."""

from __future__ import annotations

import os
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

MULTIPROCESS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class Telemetry:
    """The process's metrics; `exposition()` sums over all workers when they share a folder."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "sallyport_requests",
            "Requests answered, by endpoint, method and status.",
            ("endpoint", "method", "status"),
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "sallyport_request_seconds",
            "Time from the first byte read by the application to the answer.",
            ("endpoint",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.rows = Counter(
            "sallyport_predicted_rows",
            "Rows predicted, by engine.",
            ("engine",),
            registry=self.registry,
        )
        self.refusals = Counter(
            "sallyport_refusals",
            "Requests refused, by the problem's type.",
            ("problem",),
            registry=self.registry,
        )
        self.logins = Counter(
            "sallyport_logins", "Logins, by outcome.", ("outcome",), registry=self.registry
        )
        self.epoch = Gauge(
            "sallyport_epoch",
            "The control plane's epoch as the slowest worker sees it.",
            multiprocess_mode="livemin",
            registry=self.registry,
        )
        self.counters_shared = Gauge(
            "sallyport_counters_shared",
            "1 while limits are counted exactly over all workers, 0 on the local share.",
            multiprocess_mode="livemin",
            registry=self.registry,
        )

    def exposition(self) -> bytes:
        """The metrics in Prometheus' text format."""
        if MULTIPROCESS_VARIABLE not in os.environ:
            return generate_latest(self.registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
