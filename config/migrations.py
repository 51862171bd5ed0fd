"""The database's revision: what it is, what it must be, and the way there (Alembic)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from config.database import Database
from config.errors import DatabaseOutOfDate

FOLDER: Final = Path(__file__).resolve().parent.parent / "migrations"


def upgrade(database: Database, *, revision: str = "head") -> None:
    """Bring the database to the revision, in one transaction; an existing one loses nothing."""
    config = _config()
    with database.engine.connect().execution_options(sallyport_write=True) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()


def revision_of(database: Database) -> str | None:
    """The revision that the database is at, or None for an empty one."""
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def newest_revision() -> str:
    """The revision that this release is written for."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None, "the release carries at least one migration"
    return revision


def check(database: Database) -> None:
    """Raise DatabaseOutOfDate unless the database is at this release's revision."""
    found, expected = revision_of(database), newest_revision()
    if found != expected:
        raise DatabaseOutOfDate(found, expected)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    return config
