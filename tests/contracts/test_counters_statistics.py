"""What every store of counters keeps of the versions that answered."""

from __future__ import annotations

import pytest

from config.counters import Counters, Usage, VersionStatistics
from config.counters.guarded import GuardedCounters
from config.counters.local import LocalCounters
from config.counters.statistics import Statistics
from config.errors import CounterStoreDown
from tests.contracts import counter_processes as processes
from tests.contracts.counter_stores import NOW, Make
from tests.contracts.test_counters import run_together

NOW_MS = int(NOW * 1000)
LONG = 2**54  # nanoseconds: more than a double counts exactly


def answered(
    tenant: str = "ten_acme", model: str = "linear", number: int = 1, last_ms: int = NOW_MS
) -> VersionStatistics:
    return VersionStatistics(
        tenant, model, number, 1, LONG + 1, 0, 0, 10, 20, 30, 40, 5, 2, last_ms
    )


def failed(at: int = NOW_MS) -> VersionStatistics:
    return VersionStatistics("ten_acme", "linear", 1, fail_count=1, fail_ns=7, last_ms=at)


def test_calls_of_a_version_add_up_to_the_nanosecond(counters: Counters) -> None:
    counters.add_statistics(answered())
    counters.add_statistics(failed(NOW_MS + 5))
    counters.add_statistics(answered(last_ms=NOW_MS - 5))

    assert Statistics(counters).of("ten_acme", "linear") == [
        VersionStatistics(
            "ten_acme", "linear", 1, 2, 2 * LONG + 2, 1, 7, 20, 40, 60, 80, 10, 4, NOW_MS + 5
        )
    ]


def test_a_place_is_given_back_with_usage_and_statistics(counters: Counters) -> None:
    key = ("concurrent", "acme")
    usage = Usage("ten_acme", "usr_ada", "linear", 1, 5, 7, "2027-01-15")
    counters.enter(key, 1, "worker")

    counters.leave(key, "worker", usage=usage, statistics=answered())
    assert counters.enter(key, 1, "worker")
    counters.leave(key, "worker", statistics=failed())

    assert counters.usage_totals().totals == (usage,)
    (version,) = counters.statistics()
    assert (version.success_count, version.fail_count) == (1, 1)


def test_a_call_without_a_time_was_now_by_the_stores_clock(counters: Counters) -> None:
    counters.add_statistics(answered(last_ms=0))

    assert counters.statistics()[0].last_ms > 1_700_000_000_000


def test_each_tenant_model_and_version_is_apart(counters: Counters) -> None:
    names = [("a", "b", 1), ("a", "b", 11), ("a", "bb", 1), ("ab", "b", 1)]
    for name in names:
        counters.add_statistics(answered(*name))
    statistics = Statistics(counters)

    assert [v[:3] for v in statistics.of("a")] == names[:3]
    assert [v[:3] for v in statistics.of("a", "b")] == names[:2]
    statistics.forget("a", "b", 1)
    assert [v[:3] for v in statistics.of("a", "b")] == names[1:2]
    statistics.forget("a", "b")
    assert [v[:3] for v in statistics.of("a")] == names[2:3]
    statistics.forget("a")
    assert sorted(v[:3] for v in counters.statistics()) == names[3:]


def test_versions_are_kept_while_there_is_room_and_those_of_late_stay(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("statistics", "shared"):
        monkeypatch.setattr(f"config.counters.{module}.MOST_VERSIONS", 3)
    counters = make()
    for number in (1, 2, 3, 4):
        counters.add_statistics(answered(number=number, last_ms=NOW_MS + number))
    assert sorted(v.number for v in counters.statistics()) == [1, 2, 3]

    counters.add_statistics(answered("ten_gone"))
    Statistics(counters, most=2).prune(frozenset({"ten_acme"}))
    assert sorted(v.number for v in counters.statistics()) == [2, 3]
    counters.add_statistics(answered(number=5))
    counters.add_statistics(answered(number=6))
    assert sorted(v.number for v in counters.statistics()) == [2, 3, 5]


def test_calls_of_several_processes_are_all_counted(where: str) -> None:
    told = run_together(processes.answer_often, [(where, 300)] * 2)

    counters = processes.opened(where)
    assert (told, counters.statistics()[0].success_count) == ([300, 300], 600)
    counters.close()


def test_statistics_of_an_outage_are_handed_in() -> None:
    store = Stopping(clock=lambda: NOW, wall=lambda: NOW)
    clock = [NOW]
    counters = GuardedCounters(store, workers=1, clock=lambda: clock[0], wall=lambda: NOW)
    key = ("concurrent", "acme")
    counters.enter(key, 1, "worker")
    store.down = True
    counters.leave(key, "worker", statistics=answered(last_ms=0))
    counters.add_statistics(failed(NOW_MS + 9))
    store.down = False
    clock[0] += 2
    assert counters.probe()

    (version,) = counters.statistics()
    assert (version.success_count, version.fail_count, version.last_ms) == (1, 1, NOW_MS + 9)
    assert counters.enter(key, 1, "worker")


class Stopping(LocalCounters):
    """A store that can be down."""

    down = False

    def __getattribute__(self, name: str) -> object:
        if not name.startswith("_") and name != "down" and self.down:
            raise CounterStoreDown("here", "stopped by the test")
        return super().__getattribute__(name)
