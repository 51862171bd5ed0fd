"""What the application tells its server, and how it reads addresses."""

from __future__ import annotations

import pytest

from service.app import SLOW_PATHS
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
    assert SLOW_PATHS.fullmatch(path)


@pytest.mark.parametrize("path", QUICK)
def test_what_hashes_nothing_does_not_wait_for_it(path: str) -> None:
    assert not SLOW_PATHS.fullmatch(path)


@pytest.mark.parametrize("path", ["/auth//login", "/health//live", "/admin//users"])
def test_doubled_slash_leads_nowhere(shared_house: House, path: str) -> None:
    response = shared_house.client.get(path, headers={"Host": "evil.example"})

    refused(response, 404, "not-found")
    assert "Location" not in response.headers
