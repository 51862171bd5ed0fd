"""The database's revision: what it is, what it must be, and the way there (Alembic)."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from sqlalchemy import Connection, inspect, text

from config.database import Database
from config.errors import DatabaseOutOfDate

if TYPE_CHECKING:
    from alembic.config import Config

FOLDER: Final = Path(__file__).resolve().parent.parent / "migrations"
# The newest in FOLDER; a test compares. Written here so that a start does not import Alembic.
NEWEST: Final = "0005"


def upgrade(database: Database, *, revision: str = NEWEST) -> None:
    """Bring the database to the revision, in one transaction; an existing one loses nothing."""
    with database.engine.connect().execution_options(sallyport_write=True) as connection:
        upgrade_within(connection, revision=revision)
        connection.commit()


def upgrade_within(connection: Connection, *, revision: str = NEWEST) -> None:
    """Bring the database to the revision in the transaction that the connection is in."""
    from alembic import command

    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def knows(revision: str) -> bool:
    """Say whether this release can upgrade from the revision."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(_config()).walk_revisions()
    return any(script.revision == revision for script in scripts)


def revision_of(database: Database) -> str | None:
    """The revision that the database is at, or None for an empty one."""
    if database.is_absent:
        return None  # to connect would make an empty file, which `restore` then refuses to fill
    with database.engine.connect() as connection:
        return _recorded(connection)


def newest_revision() -> str:
    """The revision that this release is written for."""
    return NEWEST


def check(database: Database) -> None:
    """Raise DatabaseOutOfDate unless the database is at this release's revision."""
    found = revision_of(database)
    if found != NEWEST:
        raise DatabaseOutOfDate(found, NEWEST)


def _recorded(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return cast(str | None, connection.scalar(text("SELECT version_num FROM alembic_version")))


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    return config
