"""What a host costs: round trips, starts, memory, and what batching brings.

PYTHONPATH=. python benchmarks/hosts.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsRegressor

from models.execution.hosts import HostExecutor
from models.hosting.client import HostsClient
from models.hosting.starting import Parentage, PrivateParent
from models.versions import Version
from tests.models.hosting.conftest import KeptIncidents
from tests.models.hosting.shelf import Shelf

ROUNDS = 2000
TENANTS = 8
CALLERS = 16
SECONDS = 60.0


def main() -> None:
    """Measure and print."""
    began = time.perf_counter()
    with closing(HostsClient(PrivateParent(Parentage()))) as client:
        pid = client.status(seconds=SECONDS)["nursery"]
        print(f"nursery: importing after {time.perf_counter() - began:.2f} s, {resident(pid)} MB")
        shelf, batches = Shelf(), list[int]()
        executor = HostExecutor(
            {"sklearn": client},
            shelf.fetch,
            KeptIncidents(),
            seconds=SECONDS,
            observe=lambda batch, _seconds: batches.append(batch),
        )
        features = np.random.default_rng(0).normal(size=(400, 30))
        answers = features.sum(axis=1)
        models = {
            "LinearRegression": LinearRegression().fit(features, answers),
            "KNeighborsRegressor": KNeighborsRegressor().fit(features, answers),
            "RandomForest, 100 trees": RandomForestClassifier(100).fit(features, answers > 0),
        }
        measure_starts(executor, shelf, models["LinearRegression"], features)
        for name, model in models.items():
            version = shelf.version(model)
            measure_round_trip(name, executor, version, model, features[:1].copy())
            measure_batches(name, executor, version, features, batches)
        measure_memory(client)


def measure_starts(
    executor: HostExecutor, shelf: Shelf, model: Any, features: np.ndarray[Any, Any]
) -> None:
    """The first answer of a tenant's first version, everything included."""
    spans = []
    for number in range(TENANTS):
        version = shelf.version(model, tenant=f"tnt_{number}")
        spans.append(timed(partial(answer, executor, version, features[:1])))
    print(f"first answer of a tenant: {1e3 * statistics.median(spans):.1f} ms (median)")


def measure_round_trip(
    name: str, executor: HostExecutor, version: Version, model: Any, row: np.ndarray[Any, Any]
) -> None:
    """One row at a time, beside the library alone in this process."""
    rounds = ROUNDS if name.startswith("Linear") else ROUNDS // 5
    for _ in range(50):
        answer(executor, version, row)
    spans = sorted(timed(lambda: answer(executor, version, row)) for _ in range(rounds))
    alone = sorted(timed(lambda: model.predict(row)) for _ in range(rounds))
    middle, last = spans[rounds // 2], spans[int(rounds * 0.99)]
    print(
        f"{name}: {1e6 * middle:.0f} µs, p99 {1e6 * last:.0f} µs; "
        f"the library alone {1e6 * alone[rounds // 2]:.0f} µs"
    )


def measure_batches(
    name: str,
    executor: HostExecutor,
    version: Version,
    features: np.ndarray[Any, Any],
    batches: list[int],
) -> None:
    """One row at a time from many threads at once."""
    rounds = 200
    batches.clear()

    def call(number: int) -> None:
        for turn in range(rounds):
            start = (number * rounds + turn) % len(features)
            answer(executor, version, features[start : start + 1])

    with ThreadPoolExecutor(CALLERS) as threads:
        span = timed(lambda: list(threads.map(call, range(CALLERS))))
    print(
        f"{name}, {CALLERS} callers: {CALLERS * rounds / span:.0f} answers/s, "
        f"{statistics.mean(batches):.1f} calls in the batch of a call (mean)"
    )


def measure_memory(client: HostsClient) -> None:
    """What each host does not share with its parent."""
    private = [private_megabytes(host["pid"]) for host in client.status()["hosts"]]
    print(f"memory that a host does not share: {min(private):.1f} to {max(private):.1f} MB")


def answer(executor: HostExecutor, version: Version, rows: np.ndarray[Any, Any]) -> None:
    executor.answer(version, "predict", rows, seconds=SECONDS)


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def resident(pid: int) -> int:
    fields = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    return int(fields["VmRSS"].split()[0]) // 1024


def private_megabytes(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty")) / 1024


if __name__ == "__main__":
    main()
