"""The demo model, tenants that own models, and real stores for them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sqlalchemy.orm import Session

from config.database import Database
from config.sealing import Sealer
from models.records import ModelRow
from models.register.artefacts import Artefacts
from models.register.registry import Registry
from models.register.version_keys import TenantScope
from models.stages import Prepared
from models.stores.folder import FolderStore
from models.versions import Version
from tests.models.files import skops_bytes
from tests.models.workshops import take_in
from tests.servers import emptied

MANIFEST_KEY = bytes(range(32))


@dataclass(frozen=True, slots=True)
class Tenant:
    """What this package sees of a scope."""

    tenant_id: str


@pytest.fixture
def acme() -> Tenant:
    """A tenant."""
    return Tenant("tnt_acme")


@pytest.fixture
def globex() -> Tenant:
    """Another tenant."""
    return Tenant("tnt_globex")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty store with the tables of models."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'sallyport.db'}"
    else:
        try:
            url = str(request.getfixturevalue("postgresql_url"))
        except pytest.FixtureLookupError:
            pytest.skip("no PostgreSQL fixture")
    database = Database(url)
    emptied(database, ModelRow.metadata)
    yield database
    database.close()


@pytest.fixture
def registry() -> Registry:
    """A register whose clock stands still."""
    return Registry(lambda _session: MANIFEST_KEY, data_key, clock=lambda: 1_700_000_000.0)


def data_key(_session: Session, scope: TenantScope) -> bytes:
    """A key for each tenant."""
    return hashlib.sha256(scope.tenant_id.encode()).digest()


@pytest.fixture
def store(tmp_path: Path) -> Artefacts:
    """Artefacts in an empty folder."""
    return Artefacts(FolderStore(tmp_path / "artefacts"))


@pytest.fixture
def sealer() -> Sealer:
    """What seals under one tenant's data key."""
    return Sealer((bytes(32),))


@pytest.fixture(scope="session")
def demo_model() -> Any:
    """The demo model: y is the sum of both columns."""
    features = np.array([[1, 2], [2, 4], [3, 6], [4, 8]])
    return LinearRegression().fit(features, np.array([3, 6, 9, 12]))


@pytest.fixture(scope="session")
def demo(demo_model: Any) -> Prepared:
    """The demo model, prepared for registration."""
    return take_in(skops_bytes(demo_model))


class Register(Protocol):
    """Registers the demo model for a tenant, under a name."""

    def __call__(self, scope: Tenant, name: str = "linear", **options: Any) -> Version:
        """Return the new version."""
        ...


@pytest.fixture
def register(database: Database, registry: Registry, demo: Prepared) -> Register:
    """Registers the demo model; its files are stored nowhere."""

    def register(scope: Tenant, name: str = "linear", **options: Any) -> Version:
        with database.write() as session:
            draft = registry.draft(session, scope, name, demo.contents)
            return registry.register(session, scope, draft, created_by="operator:olga", **options)

    return register
