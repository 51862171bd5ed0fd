"""Servers that tests share; each process of pytest-xdist has its own."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from typing import Final

import pytest
import threadpoolctl

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

# Modules that take long come first: whoever is done last then has but a short one left.
FIRST: Final = ("journeys", "docs", "service", "models", "owasp", "attacks", "contracts")

# gRPC gives each child forked beside one of its channels threads again, and a
# process that has threads cannot be confined.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the folders with long modules first, and each folder's tests as they were."""
    rank = {folder: number for number, folder in enumerate(FIRST)}
    items.sort(key=lambda item: rank.get(item.nodeid.split("/")[1], len(rank)))


def pytest_collection_finish() -> None:
    """Spare every collection of garbage thousands of tests and all libraries.

    And fit by one thread: several such processes would each have as many as there are cores, which
    wait for each other by spinning.
    """
    gc.freeze()
    threadpoolctl.threadpool_limits(1)


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
