"""A parent of hosts for all installations of one test process: it knows tenants by identifier."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from config.settings import PREFIX
from models.hosting import orders
from models.hosting.starting import Parentage, scrubbed_environment

VARIABLE = f"{PREFIX}HOSTS_SOCKET_FOLDER"


@contextmanager
def parent_at(folder: Path, parentage: Parentage) -> Iterator[subprocess.Popen[bytes]]:
    """Run a parent that listens in a folder, until the end of the block."""
    listener = orders.listen(folder / f"hosts-{parentage.flavour}.sock")
    lifeline, held = os.pipe()
    ready, spoken = os.pipe()
    given = {"--listener": listener.fileno(), "--ready": spoken, "--lifeline": lifeline}
    options = [word for name, fd in given.items() for word in (name, str(fd))]
    process = subprocess.Popen(
        [*parentage.argv, *options], env=scrubbed_environment(), pass_fds=tuple(given.values())
    )
    for descriptor in (lifeline, spoken):
        os.close(descriptor)
    try:
        assert os.read(ready, 1), "the parent of hosts ended before it listened"
        yield process
    finally:
        os.close(held)
        os.close(ready)
        process.terminate()
        process.wait(30)
        listener.close()


@pytest.fixture(scope="session")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder in which the parent of this test process listens, for every platform from here."""
    folder = tmp_path_factory.mktemp("hosts")
    with parent_at(folder, Parentage(level="reduced")):
        os.environ[VARIABLE] = str(folder)
        yield folder
        del os.environ[VARIABLE]
