"""The main job, end to end: the real server, real TLS, two workers, an operator at work."""

from __future__ import annotations

import json
import shutil
import ssl
import time
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from config.settings import load_settings
from service.bootstrap import Platform, assemble
from service.operations import keys, plans, tenants
from tests.journeys.platform import Running, bearer, kid_of, predicting, running, until


@contextmanager
def serving(instance: Path) -> Iterator[Running]:
    """Serve an installation whose verifiers need not be waited for."""
    with running(instance, JWKS_MAX_AGE=0, PUBLISH_SKEW_SECONDS=0) as served:
        yield served


@contextmanager
def operating(instance: Path) -> Iterator[Platform]:
    """The operator's process beside the server, as a command of manage.py would be."""
    beside = assemble(load_settings(instance, jwks_max_age=0, publish_skew_seconds=0))
    yield beside
    beside.close()


@pytest.fixture(scope="module")
def platform(demo_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The demo installation, served for all tests that leave it as good as they found it."""
    instance = tmp_path_factory.mktemp("journeys") / "instance"
    shutil.copytree(demo_template, instance, symlinks=True)
    with serving(instance) as served:
        yield served


@pytest.fixture
def operator(platform: Running) -> Iterator[Platform]:
    """The operator of that installation."""
    with operating(platform.instance) as beside:
        yield beside


def kid(token: str) -> str:
    head = token.split(".")[0]
    return str(json.loads(urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"])


def test_a_user_logs_in_predicts_refreshes_and_logs_out(platform: Running) -> None:
    tokens = platform.login("rob")
    answer = platform.predict(tokens["access_token"])
    assert answer.status_code == 200
    assert answer.json() == {"prediction": [15.0], "model": "linear", "version": 1}

    with platform.client() as client:
        renewed = client.post(
            "/auth/refresh", json={"refresh_token": tokens["refresh_token"]}
        ).json()
        assert platform.predict(renewed["access_token"]).status_code == 200
        ended = client.post("/auth/logout", headers=bearer(renewed["access_token"]))

    assert ended.status_code == 204
    assert platform.everywhere(renewed["access_token"]) == {401: 12}
    assert platform.everywhere(tokens["access_token"]) == {401: 12}


@pytest.mark.drill
def test_ten_rotations_under_load_fail_no_request(platform: Running, operator: Platform) -> None:
    scope = tenants.operator_scope(operator)
    before = platform.login()["access_token"]
    with predicting(platform, before, per_second=200) as load:
        for _ in range(10):
            keys.rotate(operator, scope)
            fresh = {kid(platform.login("gail")["access_token"]) for _ in range(4)}
            assert fresh == {kid_of(operator)}, "every worker signs with the new key at once"
            time.sleep(0.2)  # let the load use the new state

    assert load.failures == 0, load
    assert load.statuses[200] > 400
    assert kid(before) != kid_of(operator)


@pytest.mark.drill
def test_a_revoked_key_is_refused_by_every_worker_at_once(
    platform: Running, operator: Platform
) -> None:
    token = platform.login()["access_token"]
    assert platform.everywhere(token) == {200: 12}

    keys.revoke(operator, tenants.operator_scope(operator), kid(token))

    assert platform.everywhere(token) == {401: 12}
    assert platform.predict(platform.login()["access_token"]).status_code == 200


@pytest.mark.drill
def test_suspension_and_limits_hold_on_every_worker_at_once(demo_instance: Path) -> None:
    # Served for this test alone: what Acme has had of the minute is counted here.
    with serving(demo_instance) as platform, operating(demo_instance) as operator:
        scope = tenants.operator_scope(operator)
        ada, gail = platform.login("ada")["access_token"], platform.login("gail")["access_token"]
        tenants.suspend_tenant(operator, scope, "acme")
        assert platform.everywhere(ada) == {401: 12}
        assert platform.everywhere(gail) == {200: 12}
        tenants.resume_tenant(operator, scope, "acme")
        assert platform.everywhere(ada) == {200: 12}

        used = 24  # what Ada has had of this minute
        acme = tenants.operator_scope(operator, "acme")
        plans.set_limits(operator, acme, values={"requests_per_minute": used - 12 + 5})
        assert platform.everywhere(ada, times=10) == {200: 5, 429: 5}
        assert platform.everywhere(gail) == {200: 12}


@pytest.mark.drill
def test_killing_a_worker_under_load_costs_its_own_requests_alone(platform: Running) -> None:
    token = platform.login()["access_token"]
    until(lambda: len(platform.workers()) == 2)
    victim = platform.workers()[0]
    with predicting(platform, token, per_second=200, connections=8) as load:
        time.sleep(0.5)
        victim.kill()
        until(lambda: victim.pid not in {worker.pid for worker in platform.workers()})
        until(lambda: len(platform.workers()) == 2)
        time.sleep(0.5)

    assert load.statuses.total() == load.statuses[200], load
    assert load.errors.total() <= 8, "at most what was on the wire of each connection"
    assert platform.everywhere(token) == {200: 12}


@pytest.mark.drill
def test_the_certificate_is_renewed_under_load_without_a_failed_handshake(
    platform: Running,
) -> None:
    token = platform.login()["access_token"]
    shown = ssl.get_server_certificate(("127.0.0.1", platform.port))
    with predicting(platform, token, per_second=100, connections=10, reuse=False) as load:
        platform.manage("certs", "renew", "--force")
        until(lambda: ssl.get_server_certificate(("127.0.0.1", platform.port)) != shown)
        time.sleep(1.0)  # let the last old worker drain under load

    assert load.failures == 0, load
    assert load.statuses[200] > 100


@pytest.mark.drill
def test_a_backup_restores_into_an_empty_folder(platform: Running, tmp_path: Path) -> None:
    token = platform.login()["access_token"]
    platform.manage("backup", str(tmp_path / "all.backup"))
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    shutil.copy(platform.instance / "master.key", fresh)
    restored = Running(fresh, platform.process, platform.url, platform.environment, platform.demo)

    restored.manage("restore", str(tmp_path / "all.backup"))

    with running(fresh) as again:
        assert again.predict(token).status_code == 401, "what ended since must not come back"
        assert again.predict(again.login("gail")["access_token"]).json()["prediction"] == [15.0]
        again.manage("audit", "verify")
