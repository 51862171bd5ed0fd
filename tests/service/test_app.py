"""What the application tells its server, and how it reads addresses."""

from __future__ import annotations

import time

import pytest

from service.app import HASHING_PATHS, Served
from service.intake_runner import IntakeRunner
from service.upkeep import Upkeep
from tests.house import House
from tests.service.problems import refused

HASHING = (
    "/auth/login",
    "//auth/login",
    "/auth/password",
    "/auth/otp",
    "/admin/users",
    "///admin/users/rob/reset-password",
)
QUICK = ("/predict", "/auth/token", "/auth/login/", "/admin/users/rob", "/admin/users/a/b/c", "/")


@pytest.mark.parametrize("path", HASHING)
def test_what_hashes_passwords_waits_apart(shared_house: House, path: str) -> None:
    # As the server hands it over: the test client takes `//auth` for a host.
    response = shared_house.client.post("/", json={}, environ_overrides={"PATH_INFO": path})

    assert response.status_code in (400, 401), "the path leads to a view"
    assert HASHING_PATHS.fullmatch(path)


@pytest.mark.parametrize("path", QUICK)
def test_what_hashes_nothing_does_not_wait_for_it(path: str) -> None:
    assert not HASHING_PATHS.fullmatch(path)


@pytest.mark.parametrize("path", ["/auth//login", "/health//live", "/admin//users"])
def test_doubled_slash_leads_nowhere(shared_house: House, path: str) -> None:
    response = shared_house.client.get(path, headers={"Host": "evil.example"})

    refused(response, 404, "not-found")
    assert "Location" not in response.headers


def parts(house: House) -> tuple[Upkeep, IntakeRunner]:
    return Upkeep(house.platform), IntakeRunner(house.platform)


def test_strangers_of_one_network_have_one_turn_together(shared_house: House) -> None:
    served = Served(shared_house.app, shared_house.platform, *parts(shared_house))
    first, second = (served.sort("/", None, f"2001:db8:1:2::{n}") for n in (1, 2))

    assert first == second
    assert first != served.sort("/", None, "2001:db8:1:3::1")


def test_a_known_caller_has_the_tenants_turn(shared_house: House) -> None:
    served = Served(shared_house.app, shared_house.platform, *parts(shared_house))
    shared_house.rob.predict([5, 10])

    bearer = f"Bearer {shared_house.rob.token}"
    assert served.sort("/", bearer, "192.0.2.1") == served.sort("/", bearer, "192.0.2.2")
    assert served.sort("/", "Bearer made.up.token", "192.0.2.1") == ("quick", "192.0.2.1")


def test_what_may_wait_for_a_models_process_does_not_hold_up_the_rest(
    shared_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = Served(shared_house.app, shared_house.platform, *parts(shared_house))
    shared_house.rob.predict([5, 10])
    bearer, address = f"Bearer {shared_house.rob.token}", "192.0.2.1"

    assert served.sort("/predict", bearer, address)[0] == "quick"
    assert served.sort("/models/linear/aliases/champion", bearer, address)[0] == "waiting"
    acme = shared_house.operator("acme").tenant_id
    monkeypatch.setitem(shared_house.platform.hosting.executor._natively, acme, time.monotonic())
    assert served.sort("/predict", bearer, address)[0] == "waiting"
    assert served.sort("/auth/login", bearer, address)[0] == "hashing"
    assert served.sort("/predict", None, address)[0] == "quick"
