"""What the processes do that the tests of counters start."""

from __future__ import annotations

import time
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

from config.counters import ROWS, Answered, Charge, Counters, VersionStatistics
from config.counters.bills import Bill
from config.counters.embedded import EmbeddedCounters
from config.counters.shared import SharedCounters

PATIENT_SECONDS = 5.0  # of a test on a busy machine, where the product gives up sooner


def opened(where: str, lease: float = 120.0) -> Counters:
    """The store that a URL or a path names, as another process opens it."""
    if where.startswith("redis://"):
        return SharedCounters(where, timeout=PATIENT_SECONDS, lease=lease)
    return EmbeddedCounters(Path(where))


def charge_often(where: str, times: int, limit: int, told: Connection) -> None:
    """Charge one window and tell how often it was admitted."""
    counters = opened(where)
    charge = Charge(("tenant", "acme"), 1, limit, 3600.0, "requests")
    told.send(sum(counters.charge([charge]).allowed for _ in range(times)))
    counters.close()


def answer_often(where: str, times: int, told: Connection) -> None:
    """Count answers of one version while places are left, and tell how many."""
    counters = opened(where)
    answered = VersionStatistics("ten_acme", "linear", 1, 1)
    for _ in range(times):
        counters.enter(("tenant", "acme"), 2, "worker")
        counters.leave(("tenant", "acme"), "worker", statistics=answered)
    told.send(times)
    counters.close()


def settle_often(where: str, times: int, limit: int, told: Connection) -> None:
    """Settle calls of one user and tell how many were released."""
    counters = opened(where)
    key = ("ten_acme", "usr_ada")
    bill = Bill(
        [
            Charge(key, 1, limit, 3600.0, "requests"),
            Charge(key, 1, 10**6, 3600.0, "rows", unit=ROWS),
        ],
        places=("tenant", "acme"),
        most=1,
        usage=(*key, "linear"),
        version=("ten_acme", "linear", 1),
    )
    call = Answered(5, 1, 1, 2, 1, rows=1)
    told.send(sum(counters.settle(bill, call) is not None for _ in range(times)))
    counters.close()


def arrive(
    where: str, times: list[float], each: int, limit: int, together: Barrier, told: Connection
) -> None:
    """Arrive `each` times at every simulated time, and tell how many were admitted when."""
    counters = opened(where)
    charges = [Charge(("tenant", "acme"), 1, limit, 60.0, "requests")]
    admitted = []
    for now in times:
        together.wait()  # the simulated clock is one for all
        admitted.append(sum(counters.charge(charges, now=now).allowed for _ in range(each)))
    told.send(admitted)
    counters.close()


def hold(where: str, places: int, lease: float, told: Connection) -> None:
    """Take places and keep them until killed."""
    counters = opened(where, lease)
    told.send([counters.enter(("tenant", "acme"), 2, "holder") for _ in range(places)])
    while True:
        time.sleep(60)
