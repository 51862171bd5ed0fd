"""/admin/clients."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.settings import load_settings
from tests.auth.clock import Clock
from tests.house import UNHURRIED, House, opened
from tests.service.problems import pointers, refused
from tests.service.test_revoke import token_of


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed_house(demo_instance: Path, clock: Clock) -> Iterator[House]:
    with opened(load_settings(demo_instance, **UNHURRIED), clock) as house:
        yield house


def test_secret_is_shown_once_and_never_listed(shared_house: House) -> None:
    client_id, secret = shared_house.robot("predict:linear")

    listed = shared_house.ada.get("/admin/clients").get_json()

    mine = next(client for client in listed if client["id"] == client_id)
    assert mine["scope"] == "predict:linear"
    assert mine["state"] == "active"
    assert "secret" not in mine
    assert secret not in str(listed)
    assert secret not in shared_house.ada.get("/admin/audit").text


def test_revoked_service_account_is_refused_with_all_its_tokens(shared_house: House) -> None:
    robot = shared_house.robot()
    headers = {"Authorization": f"Bearer {token_of(shared_house, robot)}"}
    body = {"features": [5, 10]}
    assert shared_house.client.post("/predict", json=body, headers=headers).status_code == 200

    revoked = shared_house.ada.call("DELETE", f"/admin/clients/{robot[0]}")

    assert revoked.status_code == 204
    assert revoked.data == b""
    response = shared_house.client.post("/predict", json=body, headers=headers)
    refused(response, 401, "invalid-token")
    form = {"grant_type": "client_credentials"}
    again = shared_house.client.post("/auth/token", data=form, auth=robot)
    refused(again, 401, "invalid-client")


def test_service_account_ends_by_itself_with_the_tokens_it_has(
    timed_house: House, clock: Clock
) -> None:
    robot = timed_house.robot(expires_in=60)
    headers = {"Authorization": f"Bearer {token_of(timed_house, robot)}"}
    body = {"features": [5, 10]}
    clock.advance(59)
    assert timed_house.client.post("/predict", json=body, headers=headers).status_code == 200
    clock.advance(1)

    remembered = timed_house.client.post("/predict", json=body, headers=headers)

    refused(remembered, 401, "invalid-token")


@pytest.mark.parametrize(
    ("members", "where"),
    [
        ({"name": ""}, "/name"),
        ({"name": "a\u0000"}, "/name"),
        ({"name": "a b"}, "/name"),
        ({"scope": "everything"}, "/scope"),
        ({"scope": None}, "/scope"),
        ({"expires_in": 59}, "/expires_in"),
        ({"expires_in": "3600"}, "/expires_in"),
        ({"expires_in": 3600.5}, "/expires_in"),
        ({"expires_in": True}, "/expires_in"),
        ({"expires_in": 10**400}, "/expires_in"),
        ({"secret": "mine"}, "/secret"),
    ],
)
def test_bad_service_account_is_refused_by_its_field(
    shared_house: House, members: dict[str, Any], where: str
) -> None:
    body = {"name": "robot", "scope": "predict"} | members
    kind = "invalid-scope" if members.get("scope") else "invalid-input"
    problem = refused(shared_house.ada.post("/admin/clients", json=body), 400, kind)
    assert pointers(problem) == {where}


@pytest.mark.parametrize("scope", ["tenants", "keys", "predict metrics", " "])
def test_nobody_gives_more_than_they_hold_or_nothing(shared_house: House, scope: str) -> None:
    body = {"name": "robot", "scope": scope}
    refused(shared_house.ada.post("/admin/clients", json=body), 403, "grants-exceeded")


def test_name_in_use_contradicts(shared_house: House) -> None:
    body = {"name": "twin", "scope": "predict"}
    assert shared_house.ada.post("/admin/clients", json=body).status_code == 201
    refused(shared_house.ada.post("/admin/clients", json=body), 409, "conflict")


@pytest.mark.parametrize("client", ["cli_" + "0" * 24, "%00", "nobody", "x" * 500])
def test_unknown_service_account_is_not_found(shared_house: House, client: str) -> None:
    refused(shared_house.ada.call("DELETE", f"/admin/clients/{client}"), 404, "not-found")
