"""Real stores on both databases, one master key, and a clock that tests move."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from auth.passwords import NewPassword, PasswordHasher
from auth.records import TenantRow
from config.database import Database
from config.sealing import Sealer
from config.settings import Settings
from tests.auth.cast import PASSWORD, Cast, build_cast
from tests.auth.clock import Clock
from tests.servers import emptied

MASTER_KEY = bytes(range(32))


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where this test's own database is."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'sallyport.db'}"
    return str(request.getfixturevalue("postgresql_url"))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An empty store with every table."""
    database = Database(database_url)
    emptied(database, TenantRow.metadata)
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


@pytest.fixture(scope="session")
def hasher() -> Iterator[PasswordHasher]:
    """Argon2id with the least parameters that the settings allow."""
    settings = Settings(instance=Path("instance"), master_keys=(MASTER_KEY,))
    hasher = PasswordHasher(settings)
    yield hasher
    hasher.close()


@pytest.fixture(scope="session")
def password(hasher: PasswordHasher) -> NewPassword:
    """The password of the whole cast, hashed once."""
    return hasher.prepare(PASSWORD)


@pytest.fixture
def cast(
    database: Database,
    clock: Clock,
    settings: Settings,
    hasher: PasswordHasher,
    password: NewPassword,
) -> Cast:
    """Ada, Ben and Rob at Acme, Gail at Globex, and Olga, the operator."""
    return build_cast(database, clock, settings, hasher, password)
