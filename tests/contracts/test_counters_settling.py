"""What every store does of a call that is answered before it is charged: all of it, or nothing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.counters import ROWS, Answered, Charge, Counters, Key, Usage, Verdict
from config.counters.bills import Bill
from config.counters.embedded import EmbeddedCounters
from config.counters.guarded import GuardedCounters
from config.counters.windows import width
from config.errors import CounterStoreDown
from tests.auth.clock import Clock
from tests.contracts import counter_processes as processes
from tests.contracts.counter_stores import NOW, Make
from tests.contracts.test_counters import run_together
from tests.contracts.test_counters_statistics import NOW_MS, Stopping

DAY = 86_400
PLACES = ("concurrent", "acme")
ONE = Answered(9_000, 1_000, 2_000, 3_500, 500, rows=1)
SMALL = 256 * 1024
fresh = itertools.count()


def bill(
    *users: str, most: int = 2, requests: int = 100, rows: int = 100, quota: int = 10**6
) -> Bill:
    """What calls are charged of a tenant, or of users in it, and of its day."""
    keys: list[Key] = [("ten_acme", user) for user in users] or [("ten_acme",)]
    return Bill(
        [charge for key in keys for charge in both(key, requests, rows)]
        + [Charge(("day", *keys[0]), 1, quota, DAY, "day", calendar=True, unit=ROWS)],
        places=PLACES,
        most=most,
        usage=("ten_acme", keys[0][-1], "linear"),
        version=("ten_acme", keys[0][-1], 1),
    )


def both(key: Key, requests: int, rows: int) -> tuple[Charge, Charge]:
    return (
        Charge(key, 1, requests, 60.0, "requests"),
        Charge(key, 1, rows, 60.0, "rows", unit=ROWS),
    )


def one_by_one(counters: Counters, bill: Bill, call: Answered, now: float) -> Verdict:
    """The same in three steps."""
    assert counters.enter(bill.places, bill.most, "worker", now=now)
    usage = bill.usage_of(call)
    verdict = counters.charge(bill.charges(usage.rows), usage=usage, now=now)
    done = bill.statistics_of(call)._replace(last_ms=int(now * 1000))
    counters.leave(bill.places, "worker", statistics=done if verdict.allowed else None)
    return verdict


CALLS = st.lists(
    st.tuples(
        st.floats(-2, 40, allow_nan=False),  # seconds since the last, by clocks read apart
        st.integers(1, 4),
        st.integers(1, 2),
        st.sampled_from([("a",), ("b",), ("a", "b")]),
    ),
    min_size=1,
    max_size=25,
)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(calls=CALLS)
def test_settling_is_entering_charging_and_leaving_in_one_step(
    counters: Counters, calls: list[tuple[float, int, int, tuple[str, ...]]]
) -> None:
    example, now = next(fresh), NOW
    for wait, rows, executions, users in calls:
        now += wait
        call = ONE._replace(rows=rows, executions=executions)
        limits = {"requests": 5, "rows": 14, "quota": 40}
        one = bill(*(f"{user}-{example}" for user in users), **limits)
        other = bill(*(f"{user}={example}" for user in users), **limits)

        receipt = counters.settle(one, call, now=now)
        verdict = one_by_one(counters, other, call, now)

        assert (receipt is not None) == verdict.allowed
        if receipt is not None:
            assert tuple(receipt.remaining) == verdict.remaining
            resets = [(free - receipt.at) / 1e6 for free in receipt.frees]
            assert resets == pytest.approx(verdict.reset, abs=1e-5)
        left = [counters.peek(each.charges(0), now=now) for each in (one, other)]
        assert left[0].remaining == left[1].remaining
        assert left[0].reset == left[1].reset
    for user in "ab":
        assert recorded(counters, f"{user}-{example}") == recorded(counters, f"{user}={example}")


def recorded(counters: Counters, user: str) -> tuple[Sequence[object], Sequence[object]]:
    """What is kept of a user's calls, but for the name."""
    usage = [
        (kept.requests, kept.rows, kept.compute_us, kept.day)
        for kept in counters.usage_totals().totals
        if kept.subject_id == user
    ]
    return usage, [version[2:] for version in counters.statistics("ten_acme", user)]


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(calls=CALLS)
def test_a_receipt_says_when_the_oldest_part_of_each_window_frees(
    counters: Counters, calls: list[tuple[float, int, int, tuple[str, ...]]]
) -> None:
    now, one = NOW, bill(f"user-{next(fresh)}", requests=5, rows=14)
    for wait, rows, _, _ in calls:
        now += max(0.0, wait)
        receipt = counters.settle(one, ONE._replace(rows=rows), now=now)
        if receipt is None:
            continue
        for unit in (0, 1):
            freed = now + (receipt.frees[unit] - receipt.at) / 1e6
            windows = one.charges(0)[unit : unit + 1]
            before, after = (counters.peek(windows, now=freed + by) for by in (-1e-4, 1e-4))
            assert before.remaining == (receipt.remaining[unit],)
            assert after.remaining > before.remaining


def test_a_call_counts_for_a_whole_window_though_one_just_before_has_left(
    counters: Counters,
) -> None:
    one, bucket = bill(requests=2), width(60.0) / 1e6
    start = math.ceil(NOW / bucket) * bucket
    assert counters.settle(one, ONE, now=start + 0.1 * bucket)
    assert counters.settle(one, ONE, now=start + 1.9 * bucket)

    left = counters.peek(one.charges(0), now=start + 128.1 * bucket)

    assert left.remaining[0] == 1


@pytest.mark.parametrize("limit", ["requests", "rows", "quota"])
def test_what_a_limit_does_not_admit_leaves_nothing(counters: Counters, limit: str) -> None:
    narrow = bill(**{limit: 1})
    assert counters.settle(narrow, ONE, now=NOW)
    before = everything(counters, narrow)

    assert counters.settle(narrow, ONE, now=NOW) is None
    assert everything(counters, narrow) == before


def everything(counters: Counters, bill: Bill) -> tuple[object, ...]:
    return (
        counters.peek(bill.charges(0), now=NOW).remaining,
        counters.usage_totals().totals,
        counters.statistics(),
    )


def test_a_call_is_settled_only_where_a_place_is_free(counters: Counters) -> None:
    tenant = bill(most=2)
    assert counters.enter(PLACES, 2, "worker")
    assert counters.settle(tenant, ONE)
    assert counters.enter(PLACES, 2, "other"), "settling holds no place"

    assert counters.settle(tenant, ONE) is None
    counters.leave(PLACES, "worker")

    receipt = counters.settle(tenant, ONE)
    assert receipt is not None
    assert list(receipt.remaining[:2]) == [98, 98]


def test_a_call_of_no_rows_is_not_settled(counters: Counters) -> None:
    assert counters.settle(bill(), ONE._replace(rows=0)) is None
    assert counters.usage_totals().totals == ()


def test_a_settled_quota_begins_at_what_was_used_before_the_store(make: Make) -> None:
    asked: list[tuple[Key, str]] = []

    def seed(key: Key, day: str) -> int:
        asked.append((key, day))
        return 60

    counters = make(seed=seed)
    receipts = [counters.settle(bill(quota=62), ONE, now=NOW) for _ in range(3)]

    assert [receipt and receipt.remaining[-1] for receipt in receipts] == [1, 0, None]
    assert asked == [(("day", "ten_acme"), "2027-01-15")]


def test_a_settled_quota_ends_at_midnight_utc(counters: Counters) -> None:
    one = bill(quota=1)
    receipts = [counters.settle(one, ONE, now=NOW + day * DAY) for day in (0, 0, 1)]

    assert [receipt is not None for receipt in receipts] == [True, False, True]
    assert {usage.day for usage in counters.usage_totals().totals} == {"2027-01-15", "2027-01-16"}


def test_processes_together_settle_exactly_the_limit(where: str) -> None:
    released = run_together(processes.settle_often, [(where, 300, 450)] * 2)

    counters = processes.opened(where)
    assert sum(released) == 450
    assert counters.usage_totals().totals[0].requests == 450
    assert counters.statistics()[0].success_count == 450
    counters.close()


def test_what_was_settled_can_be_refunded_like_any_charge(counters: Counters) -> None:
    tenant = bill()
    verdict = counters.charge(tenant.charges(3), now=NOW)
    counters.settle(tenant, ONE, now=NOW)

    counters.refund(verdict)

    assert counters.peek(tenant.charges(0), now=NOW).remaining == (99, 99, 10**6 - 1)


def test_without_the_store_a_call_is_settled_on_a_share_and_handed_in_later() -> None:
    store = Stopping(clock=lambda: NOW, wall=lambda: NOW)
    clock = Clock(NOW)
    counters = GuardedCounters(store, workers=2, clock=clock, wall=lambda: NOW)
    tenant = bill(most=2, requests=4)
    store.down = True

    assert [bool(counters.settle(tenant, ONE)) for _ in range(3)] == [True, True, False]
    assert counters.enter(PLACES, 2, "worker")
    assert not counters.settle(bill("ada"), ONE), "this share's only place is taken"
    assert not counters.settle(bill(most=10), ONE._replace(rows=0))

    store.down = False
    clock.advance(2)
    assert counters.probe()
    assert counters.usage_totals().totals == (
        Usage("ten_acme", "ten_acme", "linear", 2, 2, 8, "2027-01-15"),
    )
    assert counters.peek(tenant.charges(0)[-1:]).remaining == (10**6 - 2,)
    (version,) = counters.statistics()
    assert (version.success_count, version.compute_ns, version.last_ms) == (2, 7_000, NOW_MS)


def test_windows_that_are_over_make_room_for_those_of_settled_calls(tmp_path: Path) -> None:
    clock = Clock(1_000.0)
    counters = EmbeddedCounters(tmp_path / "counters.lmdb", clock=clock, size=SMALL)
    for number in range(3_000):  # several times what the store can hold
        clock.advance(1.0)
        assert counters.settle(named(number), ONE)
    counters.close()


def test_a_full_store_settles_nothing(tmp_path: Path) -> None:
    counters = EmbeddedCounters(tmp_path / "counters.lmdb", clock=lambda: 1_000.0, size=SMALL)

    with pytest.raises(CounterStoreDown, match=r"counters\.lmdb"):
        list(map(counters.settle, map(named, range(3_000)), itertools.repeat(ONE)))
    counters.close()


def named(number: int) -> Bill:
    """The bill of one of many, who are recorded as one."""
    charges = both((f"address-{number}",), 10, 10)
    recorded_as = ("ten_acme", "usr_ada", "linear")
    return Bill(
        charges, places=PLACES, most=1, usage=recorded_as, version=("ten_acme", "linear", 1)
    )


@pytest.mark.parametrize(
    "turned", [reversed, lambda pair: (pair[0], pair[0]), lambda pair: pair[:1]]
)
def test_a_bill_counts_requests_and_rows_under_each_key(
    turned: Callable[[tuple[Charge, Charge]], tuple[Charge, ...]],
) -> None:
    charges = tuple(turned(both(("ten_acme",), 1, 1)))

    with pytest.raises(ValueError, match=r"requests|argument"):
        Bill(charges, places=PLACES, most=1, usage=("a", "b", "c"), version=("a", "c", 1))
