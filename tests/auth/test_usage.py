"""Usage is kept durably: nothing is lost or doubled between the counters and the database."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

import auth.usage
from auth.permissions import Role, grants_of_role
from auth.scope import Principal, Scope, own_scope
from auth.usage import UsageLedger, UsageSum
from config.counters import Total, Usage, UsageTotals
from config.counters.embedded import EmbeddedCounters
from config.database import Database
from tests.auth.clock import Clock

TODAY = "2027-01-15"


@pytest.fixture
def ledger(clock: Clock) -> UsageLedger:
    return UsageLedger(clock)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "counters.lmdb"


@pytest.fixture
def counters(path: Path, clock: Clock) -> Iterator[EmbeddedCounters]:
    counters = EmbeddedCounters(path, clock=clock, wall=clock)
    yield counters
    counters.close()


def scope(tenant: str) -> Scope:
    grants = grants_of_role(Role.ADMIN)
    return own_scope(Principal("user", "usr_ada", "ada", f"ten_{tenant}", tenant, grants))


def used(
    rows: int, *, tenant: str = "acme", user: str = "ada", model: str = "linear", day: str = TODAY
) -> Usage:
    return Usage(f"ten_{tenant}", f"usr_{user}", model, 1, rows, 10 * rows, day)


def flush(ledger: UsageLedger, database: Database, counters: EmbeddedCounters) -> int:
    with database.write() as session:
        return ledger.flush(session, counters)


def rows(ledger: UsageLedger, database: Database, tenant: str = "acme") -> int:
    with database.read() as session:
        return ledger.rows_on(session, f"ten_{tenant}", TODAY)


def test_flushing_twice_counts_once(
    ledger: UsageLedger, database: Database, counters: EmbeddedCounters
) -> None:
    counters.add_usage(used(5))
    assert [flush(ledger, database, counters) for _ in range(2)] == [1, 0]
    assert flush(UsageLedger(), database, counters) == 1, "another process knows of no flush"
    counters.add_usage(used(2))
    flush(ledger, database, counters)

    assert rows(ledger, database) == 7


def test_of_many_totals_those_are_written_again_that_have_grown(
    ledger: UsageLedger, database: Database, counters: EmbeddedCounters
) -> None:
    for user in ("ada", "ben", "rob"):
        counters.add_usage(used(5, user=user))
    assert flush(ledger, database, counters) == 3
    counters.add_usage(used(2, user="ben"))

    assert flush(ledger, database, counters) == 1
    assert rows(ledger, database) == 17


def test_some_are_written_without_a_look_at_the_others(
    ledger: UsageLedger, database: Database, counters: EmbeddedCounters, clock: Clock
) -> None:
    for user in ("ada", "ben"):
        counters.add_usage(used(5, user=user, day=""))
    with database.write() as session:
        assert ledger.flush_some(session, counters, [("ten_acme", "usr_ben", "linear")]) == 1
    assert rows(ledger, database) == 5
    assert flush(ledger, database, counters) == 2, "they do not count as looked at"
    assert rows(ledger, database) == 10


def test_many_are_read_in_parts_of_a_bounded_size(
    ledger: UsageLedger,
    database: Database,
    counters: EmbeddedCounters,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(auth.usage, "TOTALS_AT_ONCE", 4)
    sizes: list[int] = []
    read = counters.usage_totals

    def sized(*, only: Collection[Total]) -> UsageTotals:
        sizes.append(len(only))
        return read(only=only)

    monkeypatch.setattr(counters, "usage_totals", sized)
    users = [f"user-{number}" for number in range(11)]
    for user in users:
        counters.add_usage(used(1, user=user, day=""))
    with database.write() as session:
        named = [("ten_acme", f"usr_{user}", "linear") for user in users]
        assert ledger.flush_some(session, counters, named) == 11
    assert rows(ledger, database) == 11
    assert max(sizes) == 4


def test_what_was_used_just_before_midnight_is_among_them(
    ledger: UsageLedger, database: Database, counters: EmbeddedCounters, clock: Clock
) -> None:
    clock.advance(86_399 - clock() % 86_400)
    counters.add_usage(used(5, day=""))
    clock.advance(2)
    with database.write() as session:
        assert ledger.flush_some(session, counters, [("ten_acme", "usr_ada", "linear")]) == 1
    assert rows(ledger, database) == 5


def test_a_flush_that_rolls_back_is_made_up_by_the_next(
    ledger: UsageLedger, database: Database, counters: EmbeddedCounters
) -> None:
    counters.add_usage(used(5))
    with suppress(InterruptedError), database.write() as session:
        ledger.flush(session, counters)
        raise InterruptedError
    assert rows(ledger, database) == 0

    flush(ledger, database, counters)

    assert rows(ledger, database) == 5


def test_a_store_made_anew_adds_to_what_the_lost_one_counted(
    ledger: UsageLedger, database: Database, counters: EmbeddedCounters, path: Path
) -> None:
    counters.add_usage(used(5))
    flush(ledger, database, counters)
    shutil.rmtree(path)
    counters.close()
    counters.add_usage(used(5))  # what looks the same is another's all the same
    flush(ledger, database, counters)

    assert rows(ledger, database) == 10


def test_flushes_at_once_end_at_the_newest_totals(
    ledger: UsageLedger, database: Database, counters: EmbeddedCounters
) -> None:
    def work(_: int) -> None:
        for number in range(20):
            counters.add_usage(used(1, model=f"model-{number}"))
        flush(ledger, database, counters)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))

    assert rows(ledger, database) == 160


def test_more_totals_than_fit_a_statement_are_flushed(
    ledger: UsageLedger, database: Database, counters: EmbeddedCounters
) -> None:
    for number in range(1201):
        counters.add_usage(used(1, user=f"user-{number}"))

    assert flush(ledger, database, counters) == 1201
    assert rows(ledger, database) == 1201


def test_usage_is_summed_by_what_is_asked_for(
    ledger: UsageLedger, database: Database, counters: EmbeddedCounters
) -> None:
    counters.add_usage(used(1))
    counters.add_usage(used(2, user="ben"))
    counters.add_usage(used(4, model="trees", day="2027-01-14"))
    counters.add_usage(used(8, day="2027-01-01"))
    flush(ledger, database, counters)

    with database.read() as session:
        span = (session, scope("acme"), "2027-01-14", TODAY)
        assert ledger.usage(*span, by="tenant") == [UsageSum("ten_acme", 3, 7, 70)]
        assert ledger.usage(*span, by="user") == [
            UsageSum("usr_ada", 2, 5, 50),
            UsageSum("usr_ben", 1, 2, 20),
        ]
        assert ledger.usage(*span, by="model") == [
            UsageSum("linear", 2, 3, 30),
            UsageSum("trees", 1, 4, 40),
        ]
        assert ledger.usage(*span, by="day") == [
            UsageSum("2027-01-14", 1, 4, 40),
            UsageSum(TODAY, 2, 3, 30),
        ]


def test_a_tenant_sees_only_its_own_usage(
    ledger: UsageLedger, database: Database, counters: EmbeddedCounters
) -> None:
    counters.add_usage(used(1))
    counters.add_usage(used(2, tenant="globex"))
    flush(ledger, database, counters)

    with database.read() as session:
        assert ledger.usage(session, scope("globex"), TODAY, TODAY, by="tenant") == [
            UsageSum("ten_globex", 1, 2, 20)
        ]
        assert ledger.usage(session, scope("initech"), TODAY, TODAY) == []


def test_totals_are_forgotten_a_day_after_they_were_flushed(
    ledger: UsageLedger, database: Database, counters: EmbeddedCounters, clock: Clock
) -> None:
    counters.add_usage(used(5))
    flush(ledger, database, counters)
    clock.advance(86_400)
    ledger.forget_flushed(counters)
    assert len(counters.usage_totals().totals) == 1
    clock.advance(86_400)
    ledger.forget_flushed(counters)

    assert counters.usage_totals().totals == ()
    flush(ledger, database, counters)
    with database.read() as session:
        assert ledger.rows_on(session, "ten_acme", TODAY) == 5
