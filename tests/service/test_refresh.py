"""POST /auth/refresh: rotation, grace and reuse of refresh tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from config.settings import load_settings
from tests.auth.clock import Clock
from tests.house import House, opened
from tests.service.problems import pointers, refused

GRACE = 10


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed_house(demo_instance: Path, clock: Clock) -> Iterator[House]:
    """A house whose clock stands still, past the making of the demo."""
    settings = load_settings(demo_instance, refresh_grace_seconds=GRACE)
    with opened(settings, clock) as house:
        yield house


def refresh(client: FlaskClient, token: str) -> TestResponse:
    return client.post("/auth/refresh", json={"refresh_token": token})


def test_refresh_gives_a_new_pair_of_the_same_form(timed_house: House, clock: Clock) -> None:
    first = timed_house.ben.login().get_json()
    clock.advance(60)

    response = refresh(timed_house.client, first["refresh_token"])

    second = response.get_json()
    assert response.status_code == 200
    assert set(second) == set(first)
    assert second["scope"] == first["scope"]
    assert second["access_token"] != first["access_token"]
    assert second["refresh_token"] != first["refresh_token"]
    assert response.headers["Cache-Control"] == "no-store"
    timed_house.ben.tokens = second
    assert timed_house.ben.get("/models").status_code == 200


def test_lost_answer_is_given_again_within_the_grace(timed_house: House, clock: Clock) -> None:
    first = timed_house.ben.login().get_json()["refresh_token"]
    lost = refresh(timed_house.client, first).get_json()
    clock.advance(GRACE - 1)

    again = refresh(timed_house.client, first)

    assert again.status_code == 200
    assert again.get_json()["refresh_token"] != lost["refresh_token"]
    assert refresh(timed_house.client, again.get_json()["refresh_token"]).status_code == 200


def test_reuse_after_the_grace_ends_the_family_and_its_access_tokens(
    timed_house: House, clock: Clock
) -> None:
    ben = timed_house.ben
    stolen = ben.login().get_json()["refresh_token"]
    ben.tokens = refresh(timed_house.client, stolen).get_json()
    assert ben.get("/models").status_code == 200
    clock.advance(GRACE)

    thief = refresh(timed_house.client, stolen)

    assert refused(thief, 401, "invalid-refresh-token")["error"] == "invalid_grant"
    refused(ben.get("/models"), 401, "invalid-token")
    refused(refresh(timed_house.client, ben.tokens["refresh_token"]), 401, "invalid-refresh-token")
    ben.tokens = {}
    assert ben.get("/models").status_code == 200, "another login is another family"


def test_reuse_is_on_record(timed_house: House, clock: Clock) -> None:
    stolen = timed_house.ben.login().get_json()["refresh_token"]
    refresh(timed_house.client, stolen)
    clock.advance(GRACE)
    refresh(timed_house.client, stolen)

    records = timed_house.ada.get("/admin/audit").get_json()

    assert [r["outcome"] for r in records if r["action"] == "sessions.reuse"] == ["refused"]
    assert stolen not in str(records)


def test_session_ends_with_its_time(timed_house: House, clock: Clock) -> None:
    token = timed_house.ben.login().get_json()["refresh_token"]
    clock.advance(timed_house.platform.settings.refresh_seconds)

    refused(refresh(timed_house.client, token), 401, "invalid-refresh-token")


def test_access_token_expires_also_where_it_was_remembered(
    timed_house: House, clock: Clock
) -> None:
    settings = timed_house.platform.settings
    assert timed_house.ben.get("/models").status_code == 200
    clock.advance(settings.access_seconds + settings.leeway_seconds)

    response = timed_house.ben.get("/models")

    refused(response, 401, "invalid-token")


@pytest.mark.parametrize("token", ["", "x" * 300, 5, None])
def test_what_is_no_text_of_a_tokens_length_is_an_input_error(
    shared_house: House, token: object
) -> None:
    response = shared_house.client.post("/auth/refresh", json={"refresh_token": token})
    assert pointers(refused(response, 400, "invalid-input")) == {"/refresh_token"}


@pytest.mark.parametrize("token", ["spr_" + "A" * 43, "x", "spr_\u0000", "ey.ey.ey"])
def test_unknown_token_is_refused_without_saying_why(shared_house: House, token: str) -> None:
    body = refused(refresh(shared_house.client, token), 401, "invalid-refresh-token")
    assert "detail" not in body


def test_access_token_does_not_refresh(shared_house: House) -> None:
    response = refresh(shared_house.client, shared_house.rob.token[:256])
    refused(response, 401, "invalid-refresh-token")
