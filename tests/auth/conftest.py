"""Real stores on both databases, one master key, and a clock that tests move."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from auth.records import TenantRow
from config.database import Database
from config.sealing import Sealer
from config.settings import Settings

MASTER_KEY = bytes(range(32))


class Clock:
    """Unix seconds that stand still until a test moves them."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Move on."""
        self.now += seconds


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where this test's own database is."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'sallyport.db'}"
    try:
        return str(request.getfixturevalue("postgresql_url"))
    except pytest.FixtureLookupError:
        pytest.skip("no PostgreSQL fixture")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An empty store with every table."""
    database = Database(database_url)
    metadata = TenantRow.metadata
    metadata.drop_all(database.engine)
    metadata.create_all(database.engine)
    yield database
    database.close()


@pytest.fixture
def clock() -> Clock:
    """The time of this test."""
    return Clock()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An installation's settings, nothing read from the environment."""
    return Settings(instance=tmp_path, master_keys=(MASTER_KEY,))


@pytest.fixture
def sealer(settings: Settings) -> Sealer:
    """What seals under the test's master key."""
    return Sealer(settings.master_keys)
