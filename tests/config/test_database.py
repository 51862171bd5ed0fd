"""What was deleted leaves SQLite's log, and whoever reads for long keeps nobody from writing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import delete, select, text
from sqlalchemy.exc import DBAPIError

import config.database
from config.database import Base, Database
from config.epoch import EpochRow
from tests import servers

SECRET = b"what nobody may find again"
DEADLINE = 10


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A database whose log holds a secret that was deleted from it."""
    monkeypatch.setattr(config.database, "BUSY_SECONDS", 2 * DEADLINE)
    monkeypatch.setattr(config.database, "FORGETTING_SECONDS", 0.05)
    with closing(Database(f"sqlite:///{tmp_path / 'some.db'}")) as database:
        with database.write() as session:
            session.execute(text("CREATE TABLE kept (value)"))
            session.execute(text("INSERT INTO kept VALUES (:value)"), {"value": SECRET})
        with database.write() as session:
            session.execute(text("DELETE FROM kept"))
        assert SECRET in log_of(database).read_bytes()
        yield database


def log_of(database: Database) -> Path:
    return Path(f"{database.url.database}-wal")


def test_what_was_deleted_leaves_the_log(database: Database) -> None:
    database.forget_deleted()

    assert SECRET not in log_of(database).read_bytes()
    assert SECRET not in Path(str(database.url.database)).read_bytes()


def test_whoever_reads_meanwhile_is_not_waited_for_and_the_next_call_makes_up_for_it(
    database: Database,
) -> None:
    with database.read() as reader:
        assert reader.scalar(text("SELECT count(*) FROM kept")) == 0
        forgetting = threading.Thread(target=database.forget_deleted)
        forgetting.start()
        forgetting.join(DEADLINE)
        assert not forgetting.is_alive()
        with database.write() as session:
            session.execute(text("INSERT INTO kept VALUES ('other')"))
        assert SECRET in log_of(database).read_bytes()

    database.forget_deleted()

    assert SECRET not in log_of(database).read_bytes()


def test_whoever_forgot_waits_for_other_writers_as_before(database: Database) -> None:
    database.forget_deleted()

    with database.read() as session:
        assert session.scalar(text("PRAGMA busy_timeout")) == 2 * DEADLINE * 1000


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'other.db'}"
        return
    with servers.own_database(request.getfixturevalue("postgresql_url")) as url:
        yield url


def test_a_glance_finds_the_first_value_and_what_changed_since(empty: str) -> None:
    question = select(EpochRow.value).where(EpochRow.concerns == "50% of *").limit(1)
    with closing(Database(empty)) as database:
        Base.metadata.create_all(database.engine)
        assert database.glance(question) is None
        for value in (3, 4):
            with database.write() as session:
                session.merge(EpochRow(concerns="50% of *", value=value))
            assert database.glance(question) == value
        with database.write() as session:  # nothing that it holds open keeps a writer waiting
            session.execute(delete(EpochRow))
        assert database.glance(question) is None


def test_a_glance_at_what_is_not_there_fails_as_any_statement(empty: str) -> None:
    with (
        closing(Database(empty)) as database,
        pytest.raises(DBAPIError, match=r"no such table|does not exist"),
    ):
        database.glance(select(EpochRow.value))
