"""Servers that tests share; each process of pytest-xdist has its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import servers
from tests.hosts import hosts
from tests.house import demo_instance, demo_template, house, house_settings, shared_house
from tests.neighbour import neighbour

__all__ = [
    "demo_instance",
    "demo_template",
    "hosts",
    "house",
    "house_settings",
    "neighbour",
    "shared_house",
]


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """The SQLAlchemy URL of a real PostgreSQL."""
    with servers.postgresql() as url:
        yield url


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """The URL of a real Valkey."""
    with servers.valkey() as server:
        yield server.connection_url


@pytest.fixture(scope="session")
def bucket() -> Iterator[servers.Bucket]:
    """A real S3."""
    with servers.s3() as found:
        yield found
