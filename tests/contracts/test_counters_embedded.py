"""What the LMDB store does about forks, reboots, deletion and being full."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest

from config.counters import Charge, Usage, VersionStatistics
from config.counters.embedded import FORM, EmbeddedCounters
from config.counters.guarded import GuardedCounters
from config.errors import CounterStoreDown
from tests.auth.clock import Clock

SMALL = 256 * 1024


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "counters.lmdb"


@pytest.fixture
def clock() -> Clock:
    return Clock(1_000.0)


@pytest.fixture
def counters(path: Path, clock: Clock) -> Iterator[EmbeddedCounters]:
    counters = EmbeddedCounters(path, clock=clock, size=SMALL)
    yield counters
    counters.close()


def charge(name: str = "acme", *, limit: int = 3) -> Charge:
    return Charge((name,), 1, limit, 1.0, "requests")


def test_a_forked_child_counts_in_the_same_store(counters: EmbeddedCounters) -> None:
    counters.charge([charge()])
    child = os.fork()
    if child == 0:
        os._exit(0 if counters.charge([charge()]).remaining == (1,) else 1)

    assert os.waitpid(child, 0)[1] == 0
    assert counters.charge([charge()]).remaining == (0,)


def test_counts_outlive_the_processes(path: Path, clock: Clock, counters: EmbeddedCounters) -> None:
    counters.charge([charge()])
    source = counters.source
    counters.close()

    again = EmbeddedCounters(path, clock=clock, size=SMALL)

    assert again.source == source
    assert again.charge([charge()]).remaining == (1,)
    again.close()


def test_a_store_of_another_boot_is_thrown_away(path: Path, counters: EmbeddedCounters) -> None:
    counters.charge([charge()])
    source = counters.source
    counters.close()
    (path / "boot").write_text("an earlier boot")
    (path / "data.mdb").write_bytes(b"torn by the loss of power" * 1000)

    assert counters.source != source
    assert counters.charge([charge()]).remaining == (2,)


def test_a_store_of_another_form_is_thrown_away(path: Path, counters: EmbeddedCounters) -> None:
    counters.charge([charge()])
    source = counters.source
    counters.close()
    mark = path / "boot"
    mark.write_text(mark.read_text().removesuffix(FORM))

    assert counters.source != source


def test_what_is_kept_of_a_tenant_stands_side_by_side(
    path: Path, counters: EmbeddedCounters
) -> None:
    for tenant in ("acme", "globex", "acme"):
        daily = Charge((tenant, "day"), 1, 9, 86_400, "day", calendar=True)
        counters.charge(
            [Charge((tenant,), 1, 9, 60.0, "a"), Charge((tenant, "b"), 1, 9, 60.0, "b")]
        )
        counters.charge([daily], usage=Usage(tenant, "ada", "linear", 1, 1, 5))
        counters.add_statistics(VersionStatistics(tenant, "linear", 1, *[1] * 10))
        assert counters.enter((tenant, "places"), 9, "holder")
    counters.close()

    with lmdb.open(str(path), lock=False, readonly=True) as env, env.begin() as txn:
        names = [name for name, _ in txn.cursor() if not name.startswith(b"m")]

    kept = ["acme" if b"acme" in name else "globex" for name in names]
    assert kept == ["acme"] * 6 + ["globex"] * 6


def test_a_deleted_store_is_made_anew_and_keeps_the_daily_quota(path: Path) -> None:
    now = Clock(1_800_000_000.0)
    flushed = 0

    def seed(_key: tuple[str, ...], _day: str) -> int:
        return flushed

    counters = EmbeddedCounters(path, seed=seed, clock=now, wall=now, size=SMALL)
    quota = Charge(("rows", "acme"), 60, 100, 86_400, "rows-per-day", calendar=True)
    assert counters.charge([quota], usage=Usage("acme", "ada", "linear", 1, 60, 5)).allowed
    flushed = counters.usage_totals().totals[0].rows
    source = counters.source

    shutil.rmtree(path)
    counters.close()

    assert not counters.charge([quota]).allowed
    assert counters.peek([quota]).remaining == (40,)
    assert counters.source != source
    counters.close()


def test_counters_that_are_over_make_room(counters: EmbeddedCounters, clock: Clock) -> None:
    for number in range(20_000):  # many times what the store can hold
        clock.advance(0.01)
        assert counters.charge([charge(f"address-{number}")]).allowed


def test_a_full_store_is_down_not_open(counters: EmbeddedCounters, clock: Clock) -> None:
    guarded = GuardedCounters(counters, workers=1, clock=clock)
    names = (f"address-{number}" for number in range(20_000))
    assert any(not guarded.charge([charge(name)]).shared for name in names)

    verdicts = [guarded.charge([charge("late", limit=1)]) for _ in range(2)]

    assert [verdict.allowed for verdict in verdicts] == [True, False]
    assert not verdicts[0].shared


def test_a_full_store_recovers_when_its_counters_are_over(
    counters: EmbeddedCounters, clock: Clock
) -> None:
    fill(counters)
    clock.advance(2.0)

    assert counters.charge([charge("late")]).allowed


def test_a_store_that_cannot_be_opened_is_down(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(CounterStoreDown, match=r"counters\.lmdb"):
        EmbeddedCounters(tmp_path / "file" / "counters.lmdb").charge([charge()])


def fill(counters: EmbeddedCounters) -> int:
    for number in range(20_000):
        try:
            counters.charge([charge(f"address-{number}")])
        except CounterStoreDown:
            return number
    return 20_000
