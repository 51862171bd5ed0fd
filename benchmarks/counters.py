"""How long a charge takes: `python -m benchmarks.counters [--valkey URL]` prints µs per call."""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from config.counters import ROWS, Answered, Charge, Counters, Usage, VersionStatistics
from config.counters.bills import Bill
from config.counters.embedded import EmbeddedCounters
from config.counters.guarded import GuardedCounters
from config.counters.local import LocalCounters
from config.counters.shared import SharedCounters
from config.database import Base, Database
from config.epoch import Epoch

LIMIT = 10**9
ROUNDS = 20_000
USAGE = Usage("ten_1", "usr_1", "linear", 1, 1, 20)
ANSWERED = Answered(9, 1, 2, 3, 3, rows=5)
CALL = VersionStatistics("ten_1", "linear", 1, 1, 9, 0, 0, 1, 2, 3, 3, 5, 1)


def charges() -> list[Charge]:
    return [
        Charge(("tenant", "ten_1", "requests"), 1, LIMIT, 60.0, "tenant"),
        Charge(("user", "ten_1", "usr_1", "requests"), 1, LIMIT, 60.0, "user"),
        Charge(("model", "ten_1", "linear", "rows"), 5, LIMIT, 60.0, "rows"),
    ]


def bill() -> Bill:
    """What a prediction is charged: seven limits."""
    keys = [("ten_1",), ("ten_1", "user", "usr_1"), ("ten_1", "model", "linear")]
    both = [
        (Charge(key, 1, LIMIT, 60.0, "requests"), Charge(key, 1, LIMIT, 60.0, "rows", unit=ROWS))
        for key in keys
    ]
    day = Charge(("day", "ten_1"), 1, LIMIT, 86_400.0, "day", calendar=True, unit=ROWS)
    return Bill(
        [*(charge for pair in both for charge in pair), day],
        places=("tenant", "ten_1"),
        most=64,
        usage=("ten_1", "usr_1", "linear"),
        version=("ten_1", "linear", 1),
    )


def micros(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    work()
    start = time.perf_counter()
    for _ in range(rounds):
        work()
    return (time.perf_counter() - start) / rounds * 1e6


def measure(name: str, counters: Counters, rounds: int = ROUNDS) -> None:
    made = charges()
    show(f"{name}: 3 charges", micros(lambda: counters.charge(made), rounds))
    show(f"{name}: 3 charges, usage", micros(lambda: counters.charge(made, usage=USAGE), rounds))
    show(f"{name}: 3 charges built anew", micros(lambda: counters.charge(charges()), rounds))
    refused = [*made[:2], Charge(("full",), 2, 1, 60.0, "full")]
    show(f"{name}: refused", micros(lambda: counters.charge(refused), rounds))

    def hold() -> None:
        counters.enter(("tenant", "ten_1"), 64, "holder")
        counters.leave(("tenant", "ten_1"), "holder", usage=USAGE)

    show(f"{name}: enter, leave with usage", micros(hold, rounds))

    def hold_and_tell() -> None:
        counters.enter(("tenant", "ten_1"), 64, "holder")
        counters.leave(("tenant", "ten_1"), "holder", usage=USAGE, statistics=CALL)

    show(f"{name}: ... and statistics", micros(hold_and_tell, rounds))

    seven = bill()
    amounts = seven.charges(5)

    def one_by_one() -> None:
        counters.enter(("tenant", "ten_1"), 64, "holder")
        counters.charge(amounts)
        counters.leave(("tenant", "ten_1"), "holder", usage=USAGE, statistics=CALL)

    show(f"{name}: enter, 7 charges, leave", micros(one_by_one, rounds))
    show(f"{name}: the same, settled", micros(lambda: counters.settle(seven, ANSWERED), rounds))


def show(what: str, took: float) -> None:
    print(f"{what:<48}{took:10.2f} µs")


def contend(path: Path, rounds: int) -> None:
    counters = EmbeddedCounters(path)
    made = charges()
    for _ in range(rounds):
        counters.charge(made)


def together(path: Path, writers: int) -> float:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=contend, args=(path, 5 * ROUNDS)) for _ in range(writers)]
    start = time.perf_counter()
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return (time.perf_counter() - start) / (5 * ROUNDS) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--valkey", help="URL of a running Valkey or Redis")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "counters.lmdb"
        measure("local", LocalCounters())
        embedded = EmbeddedCounters(path)
        measure("embedded", embedded)
        measure("guarded embedded", GuardedCounters(embedded, workers=2))
        embedded.close()
        show("embedded: 3 charges, two processes, each", together(path, 2))
        database = Database(f"sqlite:///{folder}/benchmark.db")
        Base.metadata.create_all(database.engine, [Base.metadata.tables["epoch"]])
        epoch = Epoch(database, Path(folder) / "epoch.lmdb")
        epoch.refresh()
        show("epoch.current", micros(epoch.current))
        if options.valkey:
            measure("shared", SharedCounters(options.valkey), 2_000)


if __name__ == "__main__":
    main()
