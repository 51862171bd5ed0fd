"""The relational store: one metadata, one engine, and two ways to open a transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Engine, MetaData, Select, create_engine, event, make_url
from sqlalchemy.orm import DeclarativeBase, Session

BUSY_SECONDS: Final = 10
FORGETTING_SECONDS: Final = 1
T = TypeVar("T")


class Base(DeclarativeBase):
    """What every table is declared on; constraint names are fixed so that migrations can alter."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Database:
    """Transactions on SQLite or PostgreSQL with the same promises.

    `write()` serialises writers from its first statement (SQLite: BEGIN IMMEDIATE), so that what
    it reads is what it changes; `read()` sees one snapshot and never blocks a writer.
    """

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        self.dialect = self.url.get_backend_name()
        self.engine = _sqlite_engine(url) if self.dialect == "sqlite" else _server_engine(url)
        self._failures: type[Exception] = self.engine.dialect.import_dbapi().Error
        self._texts: dict[Select[Any], str] = {}

    @property
    def is_absent(self) -> bool:
        """Whether this is a SQLite file that does not exist yet."""
        path = self.url.database
        return self.dialect == "sqlite" and bool(path) and not Path(str(path)).exists()

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open a transaction that commits at the end of the block, or rolls back on an error."""
        connection = self.engine.connect().execution_options(sallyport_write=True)
        with connection, Session(connection, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a read-only view; nothing done in it is committed."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    def glance(self, question: Select[T]) -> T | None:
        """The first value that a statement without parameters finds; a tenth of a session's work.

        For the few questions that are asked every second, whether anybody calls or not: what they
        take of the interpreter, predictions wait for.
        """
        text = self._texts.get(question)
        if text is None:
            compiled = question.compile(self.engine, compile_kwargs={"literal_binds": True})
            text = self._texts[question] = str(compiled)
        found: T | None
        try:
            found = self._first(text)
        except self._failures:
            with self.engine.connect() as connection:  # which tells errors as every other statement
                found = connection.exec_driver_sql(text).scalar()
        return found

    def _first(self, text: str) -> Any:
        """The first value, by the driver alone: the rest of SQLAlchemy takes ten times as long."""
        with closing(self.engine.raw_connection()) as connection:
            cursor = connection.cursor()
            cursor.execute(text, ())  # without parameters psycopg would take %% for itself
            row = cursor.fetchone()
        return None if row is None else row[0]

    def forget_deleted(self) -> None:
        """Take what was deleted out of SQLite's write-ahead log, where it would stay for a while.

        A log that another reader still needs, as a backup does for long, is emptied by the next
        call or restart: whoever waits for readers keeps all writers waiting.
        """
        if self.dialect == "sqlite":
            with self.engine.connect() as connection:
                driver = connection.connection.driver_connection
                assert driver is not None
                driver.execute(f"PRAGMA busy_timeout={int(FORGETTING_SECONDS * 1000)}")
                try:
                    driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                finally:
                    driver.execute(f"PRAGMA busy_timeout={int(BUSY_SECONDS * 1000)}")

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def _sqlite_engine(url: str) -> Engine:
    engine = create_engine(
        url,
        hide_parameters=True,  # in errors: they are accounts, hashes and sealed secrets
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, below
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")  # a committed revocation survives power loss
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA secure_delete=ON")  # a destroyed key leaves no trace in the file
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        write = connection.get_execution_options().get("sallyport_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _server_engine(url: str) -> Engine:
    return create_engine(
        url,
        hide_parameters=True,
        pool_pre_ping=True,
        pool_timeout=5,
        isolation_level="READ COMMITTED",
        connect_args={"connect_timeout": 3},
    )
