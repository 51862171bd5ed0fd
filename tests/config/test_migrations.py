"""The schema: from empty, from each earlier revision, and never by accident."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

import auth.records
import config.epoch
import models.records
from config import migrations
from config.database import Base, Database
from config.errors import DatabaseOutOfDate
from tests import servers

TABLES_OF = (auth.records, config.epoch, models.records)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without a table."""
    with ExitStack() as stack:
        url = f"sqlite:///{tmp_path / 'sallyport.db'}"
        if request.param == "postgresql":
            server = request.getfixturevalue("postgresql_url")
            url = stack.enter_context(servers.own_database(server))
        database = Database(url)
        yield database
        database.close()


def test_an_empty_database_becomes_what_the_code_declares(empty: Database) -> None:
    with pytest.raises(DatabaseOutOfDate):
        migrations.check(empty)

    migrations.upgrade(empty)

    migrations.check(empty)
    with empty.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_upgrading_again_changes_nothing(empty: Database) -> None:
    migrations.upgrade(empty)
    migrations.upgrade(empty)

    migrations.check(empty)


def test_asking_for_the_revision_makes_no_file(tmp_path: Path) -> None:
    absent = Database(f"sqlite:///{tmp_path / 'sallyport.db'}")

    assert migrations.revision_of(absent) is None
    assert list(tmp_path.iterdir()) == []


def test_the_newest_revision_is_the_one_written_down() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations.FOLDER))

    assert ScriptDirectory.from_config(config).get_current_head() == migrations.newest_revision()
