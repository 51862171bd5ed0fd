"""One suite for every store of counters: in memory, in LMDB and in a real Valkey."""

from __future__ import annotations

import itertools
import math
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.counters import Charge, Counters, Key, Usage
from tests.contracts import counter_processes as processes
from tests.contracts.counter_stores import NOW, Make

DAY = 86_400
WINDOW = 60.0
BUCKET = WINDOW / 127 + 1e-6
fresh = itertools.count()


def requests(amount: int = 1, *, limit: int = 3, key: Key = ("tenant", "acme")) -> Charge:
    """A charge of a window of a minute."""
    return Charge(key, amount, limit, WINDOW, "requests")


def quota(amount: int, *, limit: int = 100) -> Charge:
    """A charge of a daily quota."""
    return Charge(("rows", "acme"), amount, limit, DAY, "rows-per-day", calendar=True)


def test_a_limit_admits_exactly_its_amount(counters: Counters) -> None:
    verdicts = [counters.charge([requests()], now=NOW) for _ in range(5)]

    assert [verdict.allowed for verdict in verdicts] == [True, True, True, False, False]
    assert [verdict.remaining for verdict in verdicts] == [(2,), (1,), (0,), (0,), (0,)]
    assert verdicts[3].violated == requests()
    assert verdicts[3].shared


def test_a_refused_call_burns_nothing(counters: Counters) -> None:
    tenant, user = requests(limit=1), requests(limit=10, key=("user", "acme", "ada"))
    counters.charge([tenant], now=NOW)

    refused = counters.charge([user, tenant], usage=used(), now=NOW)

    assert (refused.violated, refused.remaining) == (tenant, (10, 0))
    assert counters.peek([user], now=NOW).remaining == (10,)
    assert counters.usage_totals().totals == ()


def test_two_charges_of_one_counter_add_up(counters: Counters) -> None:
    assert not counters.charge([requests(2), requests(2)], now=NOW).allowed
    assert counters.charge([requests(2), requests(1)], now=NOW).remaining == (1, 0)


def test_an_amount_over_its_limit_is_never_admitted(counters: Counters) -> None:
    assert counters.charge([requests(4)], now=NOW).retry_after == math.inf


def test_an_amount_of_nothing_is_always_admitted(counters: Counters) -> None:
    counters.charge([requests(3)], now=NOW)

    assert counters.charge([requests(0)], now=NOW).allowed
    assert not counters.peek([requests(1)], now=NOW).allowed


def test_a_lowered_limit_counts_what_was_charged_before(counters: Counters) -> None:
    counters.charge([requests(3)], now=NOW)

    verdict = counters.charge([requests(limit=2)], now=NOW)

    assert (verdict.allowed, verdict.remaining) == (False, (0,))


def test_the_violated_charge_is_the_one_that_frees_last(counters: Counters) -> None:
    early, late = requests(limit=1), requests(limit=1, key=("user", "ada"))
    counters.charge([early], now=NOW)
    counters.charge([late], now=NOW + 30)

    verdict = counters.charge([early, late], now=NOW + 31)

    assert verdict.violated == late
    assert WINDOW - 1 <= verdict.retry_after <= WINDOW - 1 + BUCKET


def test_a_late_reading_of_the_clock_frees_nothing_early(counters: Counters) -> None:
    counters.charge([requests(2)], now=NOW)
    counters.charge([requests(1)], now=NOW - 2)

    assert not counters.charge([requests()], now=NOW + WINDOW - 1).allowed


def test_a_server_clock_set_back_locks_nobody_out(valkey_url: str) -> None:
    counters = processes.opened(valkey_url)
    charge = requests(key=(f"set-back-{next(fresh)}",))
    counters.record([charge] * 3, now=NOW)

    assert not counters.charge([charge], now=NOW - 10 * WINDOW).allowed
    assert not counters.charge([charge], now=NOW - 9.1 * WINDOW).allowed
    assert counters.charge([charge], now=NOW - 8.9 * WINDOW).remaining == (2,)
    counters.close()


STEPS = st.lists(
    st.tuples(
        st.floats(0, 40, allow_nan=False),  # seconds since the last arrival
        st.integers(1, 4),
        st.sampled_from(["a", "b", "ab"]),
    ),
    min_size=1,
    max_size=40,
)
SLOW_FIXTURE = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=40, deadline=None, suppress_health_check=SLOW_FIXTURE)
@given(steps=STEPS)
def test_no_interval_of_a_window_admits_more_and_nothing_is_refused_needlessly(
    counters: Counters, steps: list[tuple[float, int, str]]
) -> None:
    example = str(next(fresh))
    now, log = NOW, {"a": [(0.0, 0)], "b": [(0.0, 0)]}
    limits = {"a": 7, "b": 5}
    for wait, amount, names in steps:
        now += wait
        made = [requests(amount, limit=limits[n], key=(example, n)) for n in names]
        verdict = counters.charge(made, now=now)
        for name in names:
            if verdict.allowed:
                log[name].append((now, amount))
        surely = {n: in_window(log[n], now, WINDOW) for n in names}
        perhaps = {n: in_window(log[n], now, WINDOW + BUCKET) for n in names}
        assert all(surely[n] <= limits[n] for n in names)
        for name, left in zip(names, verdict.remaining, strict=True):
            assert limits[name] - perhaps[name] <= left <= limits[name] - surely[name]
        if not verdict.allowed:
            assert any(perhaps[n] + amount > limits[n] for n in names)


@settings(max_examples=30, deadline=None, suppress_health_check=SLOW_FIXTURE)
@given(steps=STEPS)
def test_retry_after_is_never_early_and_at_most_a_second_late(
    counters: Counters, steps: list[tuple[float, int, str]]
) -> None:
    example = str(next(fresh))
    now = NOW
    for wait, amount, names in steps:
        now += wait
        made = [requests(amount, limit=4, key=(example, name)) for name in names]
        verdict = counters.charge(made, now=now)
        if verdict.allowed:
            continue
        told = math.ceil(verdict.retry_after)
        assert counters.peek(made, now=now + told).allowed
        assert told <= 1 or not counters.peek(made, now=now + told - 1).allowed


@settings(max_examples=30, deadline=None, suppress_health_check=SLOW_FIXTURE)
@given(before=STEPS, then=st.floats(0, 200))
def test_a_refund_leaves_what_would_be_without_the_charge(
    counters: Counters, before: list[tuple[float, int, str]], then: float
) -> None:
    with_refund, without = (str(next(fresh)), str(next(fresh)))
    now = NOW
    for wait, amount, _ in before:
        now += wait
        for key in (with_refund, without):
            counters.charge([requests(amount, limit=60, key=(key,))], now=now)
    verdict = counters.charge([requests(2, limit=60, key=(with_refund,))], now=now)
    counters.refund(verdict)

    left = [
        counters.peek([requests(0, limit=60, key=(key,))], now=now + then).remaining
        for key in (with_refund, without)
    ]
    assert left[0] == left[1]


def test_a_refund_takes_nothing_from_what_came_after(counters: Counters) -> None:
    refunded = counters.charge([requests(1)], now=NOW)
    counters.charge([requests(2)], now=NOW + 30)
    counters.refund(refunded)

    assert counters.peek([requests(0)], now=NOW + 59).remaining == (1,)
    assert counters.peek([requests(0)], now=NOW + 62).remaining == (1,)


def test_a_refused_verdict_refunds_nothing(counters: Counters) -> None:
    counters.charge([requests(3)], now=NOW)
    counters.refund(counters.charge([requests()], now=NOW))

    assert counters.peek([requests(0)], now=NOW).remaining == (0,)


def test_what_is_recorded_counts_beyond_the_limit(counters: Counters) -> None:
    counters.record([requests(5), quota(200)], now=NOW)

    assert not counters.charge([requests()], now=NOW).allowed
    assert not counters.charge([quota(1)], now=NOW).allowed


def test_a_daily_quota_ends_at_midnight_utc(counters: Counters) -> None:
    evening = NOW - NOW % DAY + DAY - 10
    counters.charge([quota(100)], now=evening)

    refused = counters.charge([quota(1)], now=evening + 4)

    assert (refused.allowed, refused.retry_after, refused.reset) == (False, 6.0, (6.0,))
    assert counters.charge([quota(1)], now=evening + 10).remaining == (99,)


def test_a_daily_quota_begins_at_what_was_used_before_the_store(make: Make) -> None:
    asked: list[tuple[Key, str]] = []

    def seed(key: Key, day: str) -> int:
        asked.append((key, day))
        return 60

    counters = make(seed=seed)

    assert counters.peek([quota(0)], now=NOW).remaining == (40,)
    assert counters.charge([requests(), quota(30)], now=NOW).remaining == (2, 10)
    assert not counters.charge([requests(), quota(11)], now=NOW).allowed
    assert counters.peek([requests(0)], now=NOW).remaining == (2,)
    assert set(asked) == {(("rows", "acme"), "2027-01-15")}
    assert len(asked) == 2  # the peek wrote nothing


def test_a_refunded_quota_can_be_used_again(counters: Counters) -> None:
    counters.refund(counters.charge([quota(60)], now=NOW))

    assert counters.peek([quota(0)], now=NOW).remaining == (100,)


def test_places_are_as_many_as_the_limit(counters: Counters) -> None:
    key = ("concurrent", "acme")

    assert [counters.enter(key, 2, "worker") for _ in range(3)] == [True, True, False]
    counters.leave(key, "worker")
    assert [counters.enter(key, 2, "other") for _ in range(2)] == [True, False]
    counters.leave(key, "nobody")
    assert not counters.enter(key, 2, "worker")


def test_usage_adds_up_by_day_tenant_subject_and_model(counters: Counters) -> None:
    counters.add_usage(used(rows=2))
    counters.charge([requests()], usage=used(rows=3), now=NOW)
    counters.enter(("concurrent", "acme"), 1, "worker")
    counters.leave(("concurrent", "acme"), "worker", usage=used(rows=5, subject="usr_ben"))

    totals = counters.usage_totals()

    assert totals.source == counters.source
    assert set(totals.totals) == {
        Usage("ten_acme", "usr_ada", "linear", 2, 5, 14, "2027-01-15"),
        Usage("ten_acme", "usr_ben", "linear", 1, 5, 7, "2027-01-15"),
    }


def test_those_totals_alone_are_read_that_are_named(counters: Counters) -> None:
    for subject in ("usr_ada", "usr_ben", "usr_rob"):
        counters.add_usage(used(rows=2, subject=subject))
    known = [("2027-01-15", "ten_acme", f"usr_{name}", "linear") for name in ("ada", "rob", "eve")]

    totals = counters.usage_totals(only=known)

    assert totals.source == counters.source
    assert {usage.subject_id for usage in totals.totals} == {"usr_ada", "usr_rob"}
    assert set(totals.totals) <= set(counters.usage_totals().totals)
    assert counters.usage_totals(only=[]).totals == ()


def test_usage_of_earlier_days_can_be_dropped(counters: Counters) -> None:
    for day in ("2027-01-13", "2027-01-14", "2027-01-15"):
        counters.add_usage(used(day=day))

    counters.drop_usage_before("2027-01-15")

    assert [usage.day for usage in counters.usage_totals().totals] == ["2027-01-15"]


@pytest.mark.parametrize("wrong", [{"amount": -1}, {"limit": -1}, {"window": 0.0}])
def test_a_charge_that_makes_no_sense_cannot_be_made(wrong: dict[str, int]) -> None:
    made = {"amount": 1, "limit": 1, "window": 60.0} | wrong

    with pytest.raises(ValueError, match="requests: "):
        Charge(key=("tenant",), policy="requests", **made)  # type: ignore[arg-type]


def test_processes_together_admit_exactly_the_limit(where: str) -> None:
    admitted = run_together(processes.charge_often, [(where, 600, 900)] * 2)

    assert sum(admitted) == 900


@pytest.mark.drill
def test_a_million_arrivals_on_two_processes(tmp_path: Path) -> None:
    where, limit, each = str(tmp_path / "counters.lmdb"), 20_000, 500
    times = [NOW + step * 0.3 for step in range(1000)]
    together = multiprocessing.get_context("spawn").Barrier(2)

    told = run_together(processes.arrive, [(where, times, each, limit, together)] * 2)

    admitted = [sum(pair) for pair in zip(*told, strict=True)]
    assert most_in_a_window(times, admitted) <= limit
    assert sum(admitted) >= 0.99 * best_possible(times, [2 * each] * len(times), limit)


def test_places_of_a_killed_process_come_back(where: str) -> None:
    lease = 0.3
    counters = processes.opened(where, lease)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    holder = context.Process(target=processes.hold, args=(where, 2, lease, theirs))
    holder.start()
    assert ours.recv() == [True, True]

    os.kill(holder.pid or 0, signal.SIGKILL)
    holder.join()

    deadline = time.monotonic() + 10
    while not counters.enter(("tenant", "acme"), 2, "successor"):
        assert time.monotonic() < deadline, "the places of a dead process never came back"
        time.sleep(0.02)
    counters.close()


def used(*, rows: int = 1, subject: str = "usr_ada", day: str = "2027-01-15") -> Usage:
    return Usage("ten_acme", subject, "linear", 1, rows, 7, day)


def in_window(log: list[tuple[float, int]], now: float, length: float) -> int:
    return sum(amount for at, amount in log if now - length < at <= now)


def run_together(work: Callable[..., None], arguments: list[tuple[object, ...]]) -> list[Any]:
    context = multiprocessing.get_context("spawn")
    pipes: list[Connection] = []
    started = []
    for each in arguments:
        ours, theirs = context.Pipe()
        pipes.append(ours)
        started.append(context.Process(target=work, args=(*each, theirs)))
        started[-1].start()
    told = [pipe.recv() for pipe in pipes]
    for process in started:
        process.join()
    return told


def most_in_a_window(times: list[float], admitted: list[int]) -> int:
    first, total, most = 0, 0, 0
    for index, now in enumerate(times):
        total += admitted[index]
        while times[first] <= now - WINDOW:
            total -= admitted[first]
            first += 1
        most = max(most, total)
    return most


def best_possible(times: list[float], arrivals: list[int], limit: int) -> int:
    """What an exact sliding log would admit of the same arrivals."""
    admitted: list[int] = []
    first, total = 0, 0
    for now, many in zip(times, arrivals, strict=True):
        while first < len(admitted) and times[first] <= now - WINDOW:
            total -= admitted[first]
            first += 1
        admitted.append(min(many, limit - total))
        total += admitted[-1]
    return sum(admitted)
