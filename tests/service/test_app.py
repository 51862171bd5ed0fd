"""What the application tells its server, and how it reads addresses."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from config.settings import load_settings
from service.app import HASHING_PATHS
from service.errors import RateLimited
from service.lanes import Caller
from service.wsgi import Request
from tests.house import UNHURRIED, House, opened
from tests.service.problems import refused
from tests.service.serving import served
from tests.service.uploading import REQUEST

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


def asked(
    path: str = "/", authorization: str | None = None, address: str = "192.0.2.1", **options: Any
) -> Request:
    """A request's head."""
    headers = [] if authorization is None else [("authorization", authorization)]
    return replace(REQUEST, path=path, headers=headers, client=(address, "50000"), **options)


def test_strangers_of_one_network_have_one_turn_together(shared_house: House) -> None:
    sort = served(shared_house).sort
    first, second = (sort(asked(address=f"2001:db8:1:2::{n}")) for n in (1, 2))

    assert first == second
    assert first != sort(asked(address="2001:db8:1:3::1"))


def test_a_known_caller_has_the_tenants_turn(shared_house: House) -> None:
    sort = served(shared_house).sort
    shared_house.rob.predict([5, 10])

    bearer = f"Bearer {shared_house.rob.token}"
    mine = sort(asked("/", bearer))
    assert mine == sort(asked("/", bearer, "192.0.2.2"))
    assert mine == Caller("quick", shared_house.operator("acme").tenant_id, is_known=True)
    assert sort(asked("/", "Bearer made.up.token")) == Caller("quick", "192.0.2.1")


def test_what_may_wait_for_a_models_process_does_not_hold_up_the_rest(
    shared_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    sort = served(shared_house).sort
    shared_house.rob.predict([5, 10])
    bearer = f"Bearer {shared_house.rob.token}"

    assert sort(asked("/predict", bearer)).pace == "quick"
    assert sort(asked("/models/linear/aliases/champion", bearer)).pace == "waiting"
    acme = shared_house.operator("acme").tenant_id
    monkeypatch.setitem(shared_house.platform.hosting.executor._natively, acme, time.monotonic())
    assert sort(asked("/predict", bearer)).pace == "waiting"
    assert sort(asked("/auth/login", bearer)).pace == "hashing"
    assert sort(asked("/predict")).pace == "quick"


def test_a_caller_is_known_from_the_head_of_a_first_call(house: House) -> None:
    ours, first = served(house), asked("/predict", f"Bearer {house.rob.token}")
    assert not ours.sort(first).is_known

    ours.introduce(first)

    assert ours.sort(first).is_known


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("authorization", "Bearer made.up.token")],
        [("authorization", "Basic Y2xpX3g6eQ==")],
        [("authorization", "Bearer a.b.c"), ("authorization", "Bearer d.e.f")],
    ],
)
def test_who_cannot_be_known_is_counted_by_address(
    demo_instance: Path, headers: list[tuple[str, str]]
) -> None:
    limits = UNHURRIED | {"address_requests_per_minute": 2}
    with opened(load_settings(demo_instance, **limits)) as house:
        ours, stranger = served(house), replace(asked(address="192.0.2.77"), headers=headers)
        for _ in range(2):
            ours.introduce(stranger)
        with pytest.raises(RateLimited):
            ours.introduce(stranger)
        assert not ours.sort(stranger).is_known

        known = asked("/", f"Bearer {house.rob.token}", "192.0.2.78")
        ours.introduce(known)
        ours.introduce(replace(known, client=stranger.client))  # known by now, it counts no more


def test_strangers_behind_a_trusted_proxy_are_told_apart(
    demo_instance: Path,
) -> None:
    with opened(load_settings(demo_instance, trusted_proxies=1, **UNHURRIED)) as house:
        ours = served(house)

        def sent(*hops: str) -> Request:
            return replace(asked(), headers=[("x-forwarded-for", hop) for hop in hops])

        assert ours.sort(sent("203.0.113.1", "198.51.100.7")).lane == "198.51.100.7"
        assert ours.sort(sent("203.0.113.1, 198.51.100.8")).lane == "198.51.100.8"
        assert ours.sort(sent()).lane == "192.0.2.1"
