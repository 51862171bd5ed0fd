"""POST /auth/login."""

from __future__ import annotations

from typing import Any

import pytest

from tests.house import House
from tests.service.problems import pointers, refused


def test_login_answers_with_exactly_the_members_of_the_contract(shared_house: House) -> None:
    response = shared_house.rob.login()

    body = response.get_json()
    assert response.status_code == 200
    assert set(body) == {"access_token", "refresh_token", "token_type", "expires_in", "scope"}
    assert body["token_type"] == "Bearer"
    assert body["expires_in"] == shared_house.platform.settings.access_seconds
    assert body["scope"] == "account models.read predict"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.content_type == "application/json"


def test_token_of_a_login_is_good_at_once(shared_house: House) -> None:
    shared_house.rob.login()
    assert shared_house.rob.predict([5, 10]).get_json()["prediction"] == [15.0]


def test_names_are_found_in_every_spelling_of_theirs(shared_house: House) -> None:
    shared_house.ada.token  # noqa: B018 (logs in as she is stored)
    spelt = shared_house.actor("acme", "ＡＤＡ", shared_house.ada.password)

    assert spelt.login().status_code == 200


@pytest.mark.parametrize("field", ["tenant", "username", "password"])
@pytest.mark.parametrize("value", [None, 1, [], {}, "", True])
def test_member_of_another_form_is_named(shared_house: House, field: str, value: Any) -> None:
    body = {"tenant": "acme", "username": "ada", "password": "x", field: value}
    assert pointers(
        refused(shared_house.client.post("/auth/login", json=body), 400, "invalid-input")
    ) == {f"/{field}"}


def test_missing_and_unknown_members_are_all_named(shared_house: House) -> None:
    response = shared_house.client.post("/auth/login", json={"tenant": "acme", "user/name": "ada"})

    body = refused(response, 400, "invalid-input")
    assert pointers(body) == {"/username", "/password", "/user~1name"}


def test_wrong_password_is_told_as_oauth_tells_it(shared_house: House) -> None:
    response = shared_house.ada.login(password="not the password")

    assert refused(response, 401, "wrong-credentials")["error"] == "invalid_grant"
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="sallyport"'


def test_login_takes_no_password_from_a_form_or_an_address(shared_house: House) -> None:
    rob = shared_house.rob
    members = {"tenant": "acme", "username": "rob", "password": rob.password}

    form = shared_house.client.post("/auth/login", data=members)
    address = shared_house.client.post("/auth/login", query_string=members)
    read = shared_house.client.get("/auth/login", query_string=members)

    refused(form, 415, "unsupported-media-type")
    refused(address, 415, "unsupported-media-type")
    refused(read, 405, "method-not-allowed")


def test_login_says_no_while_the_hash_is_busy_and_counts_no_guess(house: House) -> None:
    hasher, limit = house.platform.hasher, house.platform.settings.login_attempts_per_minute
    taken = 0
    while hasher._gate._places.acquire(blocking=False):
        taken += 1
    for _ in range(limit + 1):
        response = house.ada.login()
        refused(response, 503, "busy")
        assert "SALLYPORT" not in response.text
        assert int(response.headers["Retry-After"]) >= 1
    for _ in range(taken):
        hasher._gate._places.release()

    assert house.ada.login().status_code == 200
