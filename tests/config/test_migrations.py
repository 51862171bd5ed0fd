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
from sqlalchemy import select, text

import auth.records
import config.epoch
import models.records
from config import migrations
from config.database import Base, Database
from config.errors import DatabaseOutOfDate
from models.records import AliasRow, ModelRow, VersionRow
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


FIRST_RELEASE = """
INSERT INTO models VALUES ('mdl_1', 'ten_1', 'linear', :true, 1.5);
INSERT INTO model_versions VALUES
    ('ver_1', 'mdl_1', 'ten_1', 1, 'd1', 'old', 's1', 'operator:x@platform', 1.5),
    ('ver_2', 'mdl_1', 'ten_1', 2, 'd2', 'old', 's2', 'operator:x@platform', 2.5);
INSERT INTO model_aliases VALUES ('mdl_1', 'champion', 'ver_2'), ('mdl_1', 'canary', 'ver_1')
"""


def test_a_filled_database_of_the_first_release_loses_nothing(empty: Database) -> None:
    migrations.upgrade(empty, revision="0001")
    with empty.write() as session:
        for statement in FIRST_RELEASE.strip().split(";\n"):
            session.execute(text(statement), {"true": True} if ":true" in statement else {})

    migrations.upgrade(empty)

    migrations.check(empty)
    with empty.read() as session:
        versions = session.scalars(select(VersionRow).order_by(VersionRow.number)).all()
        kept = [(row.id, row.digest, row.manifest, row.created_at) for row in versions]
        assert kept == [
            ("ver_1", "d1", "old", 1.5),
            ("ver_2", "d2", "old", 2.5),
        ]
        assert [(row.state, row.pinned, row.sealed_key) for row in versions] == [
            ("active", False, None),
            ("active", False, None),
        ]
        aliases = session.execute(select(AliasRow.alias, AliasRow.version_id)).all()
        assert sorted(map(tuple, aliases)) == [("canary", "ver_1"), ("champion", "ver_2")]
        assert session.scalar(select(ModelRow.is_default)) is True
