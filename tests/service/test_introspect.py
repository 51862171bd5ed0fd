"""POST /auth/introspect (RFC 7662)."""

from __future__ import annotations

import pytest

from tests.house import House
from tests.service.problems import refused
from tests.service.test_revoke import token_of


def test_client_learns_what_its_own_token_is(shared_house: House) -> None:
    robot = shared_house.robot("predict:linear")
    token = token_of(shared_house, robot)

    response = shared_house.client.post("/auth/introspect", data={"token": token}, auth=robot)

    body = response.get_json()
    assert response.headers["Cache-Control"] == "no-store"
    assert body["active"] is True
    assert body["client_id"] == body["sub"] == robot[0]
    assert body["scope"] == "predict:linear"
    assert body["token_type"] == "Bearer"
    assert body["iss"] == shared_house.platform.settings.issuer
    assert body["exp"] - body["iat"] == shared_house.platform.settings.access_seconds
    assert body["tenant"] == "acme"


def test_user_learns_what_the_own_tokens_are(shared_house: House) -> None:
    rob = shared_house.rob
    access = rob.post("/auth/introspect", data={"token": rob.token}).get_json()
    refresh = rob.post("/auth/introspect", data={"token": rob.tokens["refresh_token"]}).get_json()

    assert access["active"] is refresh["active"] is True
    assert access["username"] == "rob"
    assert refresh["sub"] == access["sub"]


@pytest.mark.parametrize("token", ["nonsense", "spr_" + "A" * 43, "a.b.c"])
def test_unknown_token_is_inactive_and_nothing_more(shared_house: House, token: str) -> None:
    response = shared_house.rob.post("/auth/introspect", data={"token": token})
    assert response.get_json() == {"active": False}


def test_token_of_anybody_else_is_inactive(shared_house: House) -> None:
    robot, token = shared_house.robot(), shared_house.rob.token
    for theirs in (
        shared_house.ada.post("/auth/introspect", data={"token": token}),
        shared_house.gail.post("/auth/introspect", data={"token": token}),
        shared_house.olga.post("/auth/introspect", data={"token": token}),
        shared_house.client.post("/auth/introspect", data={"token": token}, auth=robot),
    ):
        assert theirs.get_json() == {"active": False}


def test_ended_token_is_inactive(shared_house: House) -> None:
    robot = shared_house.robot()
    token = token_of(shared_house, robot)
    shared_house.client.post("/auth/revoke", data={"token": token}, auth=robot)

    answer = shared_house.client.post("/auth/introspect", data={"token": token}, auth=robot)

    assert answer.get_json() == {"active": False}


def test_nobody_asks_without_credentials(shared_house: House) -> None:
    response = shared_house.client.post("/auth/introspect", data={"token": shared_house.rob.token})
    refused(response, 401, "unauthenticated")
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="sallyport"'
