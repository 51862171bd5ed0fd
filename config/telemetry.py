"""Every metric of the platform, by name. Label sets are bounded: no tenant, user, path or model."""

from __future__ import annotations

import platform
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Final, Literal, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from config import metric_files
from config.metric_files import MULTIPROCESS_VARIABLE, prepare_folder
from config.release import VERSION
from config.tallies import (
    SECONDS,
    STAGE_SECONDS,
    STAGES,
    Kind,
    LoneTally,
    Predictions,
    SharedTallies,
    Tally,
)

__all__ = [
    "MULTIPROCESS_VARIABLE",
    "NO_DIALECT",
    "STAGES",
    "Tally",
    "Telemetry",
    "Total",
    "prepare_folder",
]

PREFIX: Final = "sallyport"
NO_DIALECT: Final = "none"  # of calls that ask for no prediction
WAIT_SECONDS: Final = (0.001, 0.01, 0.1, 1, 10)
LAG_SECONDS: Final = (0.1, 0.5, 1, 2, 5, 30)
CALLS: Final = (1, 2, 4, 8, 16, 32, 64, 128)

# How a gauge of several processes is read: of those that live, or as one of them saw it last.
Reading = Literal["livemin", "livemax", "livesum", "livemostrecent"]
Metric = TypeVar("Metric", Counter, Gauge, Histogram)


@dataclass(frozen=True, slots=True)
class Described:
    """A metric as its reader finds it: the documentation is compared with these."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


class Total:
    """A counter of what something else has counted since this process began."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._shown = 0.0

    def show(self, total: float) -> None:
        """Add what came since the last time."""
        if total > self._shown:
            self._counter.inc(total - self._shown)
            self._shown = total


class Telemetry:
    """The process's metrics; `exposition()` sums over all processes that share a folder.

    Most are counted where they happen. What is not an event is looked at: whoever has something
    to show hands `watch` a function that shows it.
    """

    def __init__(self) -> None:
        self.described: list[Described] = []
        self.registry = CollectorRegistry()
        self._looks: list[Callable[[], None]] = []
        self._looking = threading.Lock()
        self._folder = metric_files.shared_folder()
        if self._folder is not None:
            metric_files.join(self._folder)
        self._count_requests()
        self._count_predictions()
        self._watch_queues()
        self._watch_stores()
        self._watch_hosts()
        self._watch_background()
        self._watch_processes()
        self._tally = self._tallies()

    def watch(self, look: Callable[[], None]) -> None:
        """Have `look` called about once a second, and before each exposition in this process."""
        self._looks.append(look)

    def look(self) -> None:
        """Show what is to be seen in this process now."""
        with self._looking:
            for look in self._looks:
                look()

    def exposition(self) -> bytes:
        """The metrics in Prometheus' text format."""
        self.look()
        if self._folder is None:
            return generate_latest(self.registry)
        return metric_files.summed(self._folder)

    def tidy(self) -> None:
        """Add up the files of processes that are gone."""
        if self._folder is not None:
            metric_files.tidy(self._folder)

    def predictions(
        self, *, endpoint: str, method: str, status: str, dialect: str, engine: str
    ) -> Tally:
        """What counts predictions with these labels: in requests, rows, and both durations."""
        return self._tally(Kind(endpoint, method, status, dialect, engine))

    def total(self, counter: Counter, *labels: str) -> Total:
        """A counter, or its child, that is shown totals."""
        return Total(counter.labels(*labels) if labels else counter)

    def _tallies(self) -> Callable[[Kind], Tally]:
        metrics = Predictions(
            requests=self.requests,
            rows=self.rows,
            seconds=self.request_seconds,
            stage_seconds=self.stage_seconds,
        )
        if self._folder is None:
            return cache(partial(LoneTally, metrics))
        return SharedTallies(self._folder, metrics).of

    def _count_requests(self) -> None:
        self.requests = self._counter(
            "requests", "Requests answered.", "endpoint", "method", "status"
        )
        self.request_seconds = self._histogram(
            "request_seconds",
            "Time from the first byte read by the application to the answer.",
            "endpoint",
            "dialect",
            buckets=SECONDS,
        )
        self.refusals = self._counter("refusals", "Requests refused.", "problem", "dialect")
        self.logins = self._counter("logins", "Logins.", "outcome")

    def _count_predictions(self) -> None:
        self.stage_seconds = self._histogram(
            "stage_seconds",
            "Time of predictions by what it was spent on.",
            "dialect",
            "stage",
            buckets=STAGE_SECONDS,
        )
        self.rows = self._counter("predicted_rows", "Rows predicted.", "engine", "dialect")
        self.engines_open = self._gauge("engines_open", "Compiled versions open in workers.")
        self.engines_bytes = self._gauge("engines_open_bytes", "Memory that they take.")
        self.engines_opened = self._counter("engines_opened", "Compiled versions opened.")
        self.engines_evicted = self._counter(
            "engines_evicted", "Compiled versions closed to make room for others."
        )

    def _watch_queues(self) -> None:
        own = ("program", "lane")
        self.waiting = self._gauge("queue_waiting", "Calls that wait for a thread.", *own)
        self.busy = self._gauge("queue_busy_threads", "Threads at work.", *own)
        self.threads = self._gauge("queue_threads", "Threads there are.", *own)
        self.wait_seconds = self._histogram(
            "queue_wait_seconds",
            "How long those calls waited that found no thread free.",
            *own,
            buckets=WAIT_SECONDS,
        )
        self.bodies = self._gauge("bodies_bytes", "Bodies held in memory.", "program")
        self.spools = self._gauge(
            "spools", "Files on their way: on the disk, or small ones in memory.", "program"
        )

    def _watch_stores(self) -> None:
        self.cache_entries = self._gauge("cache_entries", "Entries of workers' caches.", "cache")
        self.cache_lookups = self._counter(
            "cache_lookups", "Lookups by whether they found what still holds.", "cache", "outcome"
        )
        self.epoch = self._gauge(
            "epoch", "The epoch as the slowest worker sees it.", mode="livemin"
        )
        self.epoch_read = self._gauge(
            "epoch_read_timestamp_seconds",
            "When the worker that did so longest ago compared its epoch with the database's.",
            mode="livemin",
        )
        self.epoch_lag = self._histogram(
            "epoch_lag_seconds",
            "Age of changes that nobody told this machine of when it found them.",
            buckets=LAG_SECONDS,
        )
        self.counters_shared = self._gauge(
            "counters_shared",
            "1 while limits are counted over all workers, 0 on the local share.",
            mode="livemin",
        )
        self.connections = self._gauge(
            "database_connections", "Connections to the database.", "state"
        )

    def _watch_hosts(self) -> None:
        self.host_batch = self._histogram(
            "host_batch_calls", "Calls that a host answered together.", buckets=CALLS
        )
        self.host_seconds = self._histogram(
            "host_seconds", "Time that a model's own library took for a batch.", buckets=SECONDS
        )
        self.hosts = self._gauge(
            "hosts", "Processes of models that run now.", "flavour", mode="livemostrecent"
        )
        self.host_bytes = self._gauge(
            "hosts_bytes", "Memory that they do not share.", "flavour", mode="livemostrecent"
        )
        self.host_events = self._gauge(
            "hosts_events",
            "What became of them since their parent began: started, crashed, evicted, others.",
            "flavour",
            "event",
            mode="livemostrecent",
        )

    def _watch_background(self) -> None:
        self.intakes = self._counter("intakes", "Intake jobs that ended.", "state")
        self.jobs = self._gauge(
            "jobs", "Intake jobs that have not ended.", "state", mode="livemostrecent"
        )
        self.trainings = self._counter("trainings", "Trainings that ended.", "state")
        self.training_jobs = self._gauge(
            "training_jobs", "Trainings that have not ended.", "state", mode="livemostrecent"
        )
        self.streams = self._gauge("event_streams", "Open streams of events of trainings.")
        self.shadows_waiting = self._gauge("shadows_waiting", "Calls that wait for a shadow.")
        self.shadows_dropped = self._counter(
            "shadows_dropped", "Calls that a shadow was not asked about for want of room."
        )
        self.log_waiting = self._gauge(
            "prediction_log_waiting_bytes", "What waits to be written to the prediction log."
        )
        self.log_rows = self._counter(
            "prediction_log_rows",
            "Rows for the prediction log: offered, and what became of them.",
            "outcome",
        )
        self.spans = self._counter(
            "spans", "Spans of traces: exported, dropped, or failed to export.", "outcome"
        )

    def _watch_processes(self) -> None:
        one = "program"
        self.processes = self._gauge("processes", "Processes that answer calls.", one)
        self.resident = self._gauge("process_resident_bytes", "Memory resident in them.", one)
        self.cpu = self._counter("process_cpu_seconds", "Processor time that they took.", one)
        self.descriptors = self._gauge(
            "process_open_descriptors", "Most descriptors open in one.", one, mode="livemax"
        )
        self.expiry = self._gauge(
            "certificate_expiry_timestamp_seconds",
            "When the certificate that is served expires.",
            "source",
            mode="livemostrecent",
        )
        build = self._gauge("build_info", "1, for its labels.", "version", "python", mode="livemax")
        build.labels(VERSION, platform.python_version()).set(1)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        counter = Counter(f"{PREFIX}_{name}", meaning, labels, registry=self.registry)
        return self._kept(counter, f"{name}_total", labels, meaning)

    def _histogram(
        self, name: str, meaning: str, *labels: str, buckets: tuple[float, ...]
    ) -> Histogram:
        full = f"{PREFIX}_{name}"
        histogram = Histogram(full, meaning, labels, buckets=buckets, registry=self.registry)
        return self._kept(histogram, name, labels, meaning)

    def _gauge(self, name: str, meaning: str, *labels: str, mode: Reading = "livesum") -> Gauge:
        gauge = Gauge(
            f"{PREFIX}_{name}", meaning, labels, multiprocess_mode=mode, registry=self.registry
        )
        return self._kept(gauge, name, labels, meaning)

    def _kept(self, metric: Metric, name: str, labels: tuple[str, ...], meaning: str) -> Metric:
        kind = type(metric).__name__.lower()
        self.described.append(Described(f"{PREFIX}_{name}", kind, labels, meaning))
        # Finding a child anew each time takes as long as counting.
        metric.labels = cache(metric.labels)  # type: ignore[method-assign]
        return metric
