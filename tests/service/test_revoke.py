"""POST /auth/revoke (RFC 7009)."""

from __future__ import annotations

import pytest
from werkzeug.test import TestResponse

from service.operations import tenants
from tests.house import Actor, House
from tests.service.problems import refused


def revoke(house: House, token: str, robot: tuple[str, str] | None = None) -> TestResponse:
    return house.client.post("/auth/revoke", data={"token": token}, auth=robot)


def token_of(house: House, robot: tuple[str, str]) -> str:
    form = {"grant_type": "client_credentials"}
    body = house.client.post("/auth/token", data=form, auth=robot).get_json()
    return str(body["access_token"])


def status_with(house: House, token: str) -> int:
    body, headers = {"features": [5, 10]}, {"Authorization": f"Bearer {token}"}
    return house.client.post("/predict", json=body, headers=headers).status_code


@pytest.fixture
def rob(shared_house: House) -> Actor:
    actor = shared_house.actor("acme", "rob", shared_house.rob.password)
    assert actor.token
    return actor


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
def test_either_token_of_a_session_ends_the_session(
    shared_house: House, rob: Actor, which: str
) -> None:
    assert rob.get("/models").status_code == 200

    response = revoke(shared_house, rob.tokens[which])

    assert response.status_code == 200
    assert response.data == b""
    refused(rob.get("/models"), 401, "invalid-token")
    again = {"refresh_token": rob.tokens["refresh_token"]}
    spent = shared_house.client.post("/auth/refresh", json=again)
    refused(spent, 401, "invalid-refresh-token")


@pytest.mark.parametrize("token", ["nonsense", "spr_" + "A" * 43, "a.b.c", "\u0000", "\u00e9"])
def test_unknown_token_is_answered_like_a_known_one(shared_house: House, token: str) -> None:
    assert revoke(shared_house, token).status_code == 200


def test_revoking_twice_is_no_error(shared_house: House, rob: Actor) -> None:
    assert revoke(shared_house, rob.token).status_code == 200
    assert revoke(shared_house, rob.token).status_code == 200


def test_service_account_ends_one_token_and_keeps_the_others(shared_house: House) -> None:
    robot = shared_house.robot()
    one, other = token_of(shared_house, robot), token_of(shared_house, robot)
    assert status_with(shared_house, one) == 200

    assert revoke(shared_house, one, robot).status_code == 200

    assert status_with(shared_house, one) == 401
    assert status_with(shared_house, other) == 200


def test_token_of_another_client_is_unaffected(shared_house: House, rob: Actor) -> None:
    mine, theirs = shared_house.robot(), shared_house.robot()
    token = token_of(shared_house, theirs)

    assert revoke(shared_house, token, mine).status_code == 200
    assert revoke(shared_house, rob.token, mine).status_code == 200

    assert status_with(shared_house, token) == 200
    assert rob.get("/models").status_code == 200


def test_client_token_needs_its_client(shared_house: House) -> None:
    token = token_of(shared_house, shared_house.robot())

    response = revoke(shared_house, token)

    assert refused(response, 401, "invalid-client")["error"] == "invalid_client"
    assert status_with(shared_house, token) == 200


def test_wrong_client_is_refused_before_anything_is_looked_up(
    shared_house: House, rob: Actor
) -> None:
    refused(revoke(shared_house, rob.token, ("cli_x", "y")), 401, "invalid-client")
    assert rob.get("/models").status_code == 200


def test_form_without_a_token_is_an_invalid_request(shared_house: House) -> None:
    response = shared_house.client.post("/auth/revoke", data={"token_type_hint": "access_token"})
    assert refused(response, 400, "invalid-input")["error"] == "invalid_request"


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
def test_token_revoked_under_suspension_does_not_come_back(house: House, which: str) -> None:
    token = house.rob.token
    tenants.suspend_tenant(house.platform, house.operator(), "acme")

    assert revoke(house, house.rob.tokens[which]).status_code == 200

    tenants.resume_tenant(house.platform, house.operator(), "acme")
    assert status_with(house, token) == 401
    refresh = {"refresh_token": house.rob.tokens["refresh_token"]}
    assert house.client.post("/auth/refresh", json=refresh).status_code == 401
