"""The number that guards every cache."""

from __future__ import annotations

import multiprocessing
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, update

from config.database import Base, Database
from config.epoch import EVERYONE, Epoch, EpochCache, EpochRow
from tests.auth.clock import Clock

NOW = 1_800_000_000.0
SMALL = 64 * 1024


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'sallyport.db'}"
    if request.param == "postgresql":
        url = str(request.getfixturevalue("postgresql_url"))
    database = Database(url)
    Base.metadata.drop_all(database.engine, [Base.metadata.tables["epoch"]])
    Base.metadata.create_all(database.engine, [Base.metadata.tables["epoch"]])
    yield database
    database.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "epoch.lmdb"


@pytest.fixture
def epoch(database: Database, path: Path) -> Iterator[Epoch]:
    epoch = Epoch(database, path, clock=lambda: NOW)
    yield epoch
    epoch.close()


def change(epoch: Epoch, database: Database) -> None:
    with database.write() as session:
        epoch.raise_in(session)


def test_a_change_is_seen_once_it_is_published(epoch: Epoch, database: Database) -> None:
    before = epoch.current()
    change(epoch, database)
    assert epoch.current() == before

    epoch.publish()

    assert epoch.current() > before


def test_a_change_that_rolls_back_is_never_published(epoch: Epoch, database: Database) -> None:
    before = epoch.current()
    with suppress(InterruptedError), database.write() as session:
        epoch.raise_in(session)
        raise InterruptedError

    assert epoch.publish() == before


def test_a_crash_before_publishing_is_made_up_by_refreshing(
    epoch: Epoch, database: Database, path: Path
) -> None:
    before = epoch.current()
    change(epoch, database)
    epoch.close()

    after = Epoch(database, path)

    assert after.current() == before
    assert after.refresh() > before
    assert after.current() > before
    after.close()


def test_another_machine_follows_by_refreshing(
    epoch: Epoch, database: Database, tmp_path: Path
) -> None:
    other = Epoch(database, tmp_path / "other" / "epoch.lmdb")
    assert other.current() == epoch.current()
    change(epoch, database)
    epoch.publish()

    other.refresh()

    assert other.current() == epoch.current()
    other.close()


def test_a_restored_database_still_counts_above_what_was_seen(
    database: Database, path: Path
) -> None:
    clock = Clock(NOW)
    epoch = Epoch(database, path, clock=clock)
    for _ in range(5):
        change(epoch, database)
    seen = epoch.publish()
    with database.write() as session:
        session.execute(update(EpochRow).values(value=3))
    assert epoch.refresh() == epoch.current() == seen

    clock.advance(1)
    change(epoch, database)

    assert epoch.publish() == epoch.current() > seen
    epoch.close()


def test_without_its_copy_the_number_comes_from_the_database(
    database: Database, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    epoch = Epoch(database, tmp_path / "file" / "epoch.lmdb", clock=lambda: NOW)
    before = epoch.current()
    change(epoch, database)

    assert epoch.current() > before
    epoch.close()


def fill(database: Database, epoch: Epoch) -> None:
    """Make more changes than a small copy holds, the last of them one of Acme's."""
    with database.write() as session:
        epoch.raise_in(session, "acme")
        last = session.get_one(EpochRow, "acme").value
        changes = [{"concerns": f"tenant-{n}", "value": last} for n in range(5_000)]
        session.execute(insert(EpochRow), changes)


def fill_elsewhere(url: str, path: Path) -> None:
    pytest.MonkeyPatch().setattr("config.epoch.MAP_BYTES", SMALL)  # of a process of its own
    database = Database(url)
    epoch = Epoch(database, path)
    fill(database, epoch)
    epoch.publish()
    epoch.close()
    database.close()


@pytest.fixture
def small_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("config.epoch.MAP_BYTES", SMALL)


@pytest.mark.usefixtures("small_copy")
def test_a_copy_that_cannot_be_written_hides_no_change(database: Database, path: Path) -> None:
    epoch = Epoch(database, path, clock=lambda: NOW)
    change(epoch, database)
    before = epoch.publish()
    cache: EpochCache[str, str] = EpochCache(epoch, 9, concerns=lambda tenant: tenant)
    cache.fetch("acme", lambda: "acme")
    fill(database, epoch)

    assert epoch.publish() > before

    assert cache.get("acme") is None
    assert epoch.newest("acme") == epoch.current() > before
    change(epoch, database)
    epoch.publish()
    assert epoch.newest("acme") == epoch.current()
    epoch.close()


@pytest.mark.usefixtures("small_copy")
def test_a_copy_that_another_process_could_not_write_is_believed_no_more(
    tmp_path: Path, path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'sallyport.db'}"
    database = Database(url)
    Base.metadata.create_all(database.engine, [Base.metadata.tables["epoch"]])
    epoch = Epoch(database, path, clock=lambda: NOW)
    change(epoch, database)
    before = epoch.publish()
    process = multiprocessing.get_context("forkserver").Process(
        target=fill_elsewhere, args=(url, path)
    )
    process.start()
    process.join(30)
    assert process.exitcode == 0

    deadline = time.monotonic() + 10
    while epoch.newest("acme") == before and time.monotonic() < deadline:
        time.sleep(0.02)

    assert epoch.newest("acme") > before
    epoch.close()
    database.close()


def test_a_copy_emptied_under_a_refresh_is_not_filled_by_halves(
    epoch: Epoch, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.write() as session:
        epoch.raise_in(session, "acme")
    epoch.publish()
    change(epoch, database)
    read = epoch._committed_since

    def read_while_it_is_thrown_away(number: int) -> list[tuple[str, int]]:
        epoch._store.discard()
        return read(number)

    monkeypatch.setattr(epoch, "_committed_since", read_while_it_is_thrown_away)
    epoch.refresh()
    monkeypatch.undo()
    with database.read() as session:
        acme = session.get_one(EpochRow, "acme").value

    epoch.refresh()

    assert epoch._known("acme") == acme


def test_a_lost_copy_is_made_anew(epoch: Epoch, database: Database, path: Path) -> None:
    change(epoch, database)
    before = epoch.publish()
    shutil.rmtree(path)
    epoch.close()

    assert epoch.current() == before


def test_changes_at_once_all_count(epoch: Epoch, database: Database) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: change(epoch, database), range(12)))

    assert epoch.publish() == int(NOW * 1e6) + 11


def test_an_entry_stands_until_the_epoch_moves(epoch: Epoch, database: Database) -> None:
    cache: EpochCache[str, int] = EpochCache(epoch, capacity=2)
    assert cache.fetch("limit", lambda: 1) == 1
    assert cache.fetch("limit", lambda: 2) == 1
    assert cache.get("limit") == 1
    change(epoch, database)
    epoch.publish()

    assert cache.get("limit") is None
    assert cache.fetch("limit", lambda: 2) == 2


def test_what_was_loaded_while_a_change_committed_is_not_kept(
    epoch: Epoch, database: Database
) -> None:
    cache: EpochCache[str, str] = EpochCache(epoch, capacity=2)

    def load() -> str:
        change(epoch, database)
        epoch.publish()
        cache.fetch("plan", lambda: "read after it")  # another thread sees the new epoch first
        return "read before the change"

    assert cache.fetch("limit", load) == "read before the change"
    assert cache.get("limit") is None
    assert cache.get("plan") == "read after it"


def test_a_tenants_change_leaves_the_entries_of_others(epoch: Epoch, database: Database) -> None:
    cache: EpochCache[str, str] = EpochCache(epoch, 9, concerns=lambda tenant: tenant)
    for tenant in ("acme", "globex"):
        cache.fetch(tenant, lambda tenant=tenant: tenant)  # type: ignore[misc]
    with database.write() as session:
        epoch.raise_in(session, "acme")
    epoch.publish()

    assert (cache.get("acme"), cache.get("globex")) == (None, "globex")

    change(epoch, database)
    epoch.publish()

    assert cache.get("globex") is None


@pytest.mark.parametrize("concerns", ["acme", EVERYONE])
def test_a_change_while_its_value_is_loaded_is_not_missed(
    epoch: Epoch, database: Database, concerns: str
) -> None:
    cache: EpochCache[str, str] = EpochCache(epoch, 9, concerns=lambda _value: "acme")

    def load() -> str:
        with database.write() as session:
            epoch.raise_in(session, concerns)
        epoch.publish()
        return "read before the change"

    cache.fetch("acme", load)

    assert cache.get("acme") is None


def test_another_machine_follows_a_tenants_changes(
    epoch: Epoch, database: Database, tmp_path: Path
) -> None:
    other = Epoch(database, tmp_path / "other" / "epoch.lmdb")
    before = other.newest("acme")
    for concerns in ("globex", "acme", "initech"):
        with database.write() as session:
            epoch.raise_in(session, concerns)
    other.refresh()

    assert before < other.newest("acme") < other.current()
    assert other.newest(EVERYONE) == before
    other.close()


def test_the_least_recently_used_entry_makes_room(epoch: Epoch) -> None:
    cache: EpochCache[str, int] = EpochCache(epoch, capacity=2)
    for key in ("a", "b", "a", "c"):
        cache.fetch(key, lambda: 1)

    assert [cache.get(key) for key in "abc"] == [1, None, 1]


def test_an_entry_can_expire_by_itself(epoch: Epoch) -> None:
    clock = Clock(NOW)
    cache: EpochCache[str, float] = EpochCache(epoch, capacity=2, clock=clock)
    cache.fetch("token", lambda: NOW + 10, expires=lambda until: until)
    clock.advance(9.9)
    assert cache.get("token") is not None
    clock.advance(0.1)

    assert cache.get("token") is None


def test_an_error_of_loading_is_not_kept(epoch: Epoch) -> None:
    cache: EpochCache[str, int] = EpochCache(epoch, capacity=2)
    with pytest.raises(ZeroDivisionError):
        cache.fetch("limit", lambda: 1 // 0)

    assert cache.fetch("limit", lambda: 2) == 2


@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(readers=st.integers(1, 3), changes=st.integers(1, 15))
def test_nothing_stale_is_served_after_a_publication(
    epoch: Epoch, database: Database, readers: int, changes: int
) -> None:
    cache: EpochCache[str, int] = EpochCache(epoch, capacity=4)
    truth = published = 0
    over = threading.Event()

    def read() -> list[tuple[int, int]]:
        seen = []
        while not over.is_set():
            least = published
            seen.append((cache.fetch("limit", lambda: truth), least))
        return seen

    with ThreadPoolExecutor(readers) as pool:
        running = [pool.submit(read) for _ in range(readers)]
        for _ in range(changes):
            with database.write() as session:
                epoch.raise_in(session)
                truth += 1  # stands for the commit
            epoch.publish()
            published = truth
        over.set()

    assert all(value >= least for future in running for value, least in future.result())
    assert cache.fetch("limit", lambda: truth) == truth
