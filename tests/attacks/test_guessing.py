"""Guesses at passwords are counted before they are judged (security.md, section 3)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from service.operations import tenants
from tests.house import House

GUESSES = 1000


def test_of_a_thousand_guesses_at_once_no_more_than_the_limit_reach_the_hash(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[str] = []
    verify = house.platform.hasher.verify

    def counting(encoded: str, password: str) -> bool:
        judged.append(password)
        return verify(encoded, password)

    monkeypatch.setattr(house.platform.hasher, "verify", counting)

    def guess(number: int) -> int:
        body = {"tenant": "acme", "username": "ada", "password": f"guess number {number}"}
        return house.client.post("/auth/login", json=body).status_code

    with ThreadPoolExecutor(50) as pool:
        statuses = list(pool.map(guess, range(GUESSES)))

    limit = house.platform.settings.login_attempts_per_minute
    assert len(judged) <= limit
    assert statuses.count(401) + statuses.count(503) <= limit
    assert statuses.count(429) == GUESSES - statuses.count(401) - statuses.count(503)


def test_a_right_password_gives_its_guess_back(house: House) -> None:
    limit = house.platform.settings.login_attempts_per_minute

    statuses = [house.ada.login().status_code for _ in range(limit + 2)]

    assert statuses == [200] * (limit + 2)


def test_guesses_from_elsewhere_do_not_lock_the_owner_out_at_once(house: House) -> None:
    limit = house.platform.settings.login_attempts_per_minute
    far = {"REMOTE_ADDR": "203.0.113.9"}
    body = {"tenant": "acme", "username": "ada", "password": "not the password"}
    statuses = [
        house.client.post("/auth/login", json=body, environ_overrides=far).status_code
        for _ in range(limit + 1)
    ]

    assert statuses == [401] * limit + [429]
    assert house.ada.login().status_code == 200


@pytest.mark.parametrize(
    ("tenant", "username"), [("nowhere", "ada"), ("acme", "nobody"), ("acme", "rob")]
)
def test_whatever_part_was_wrong_the_answer_has_the_same_bytes(
    house: House, tenant: str, username: str
) -> None:
    body = {"tenant": tenant, "username": username, "password": "wrong and long enough"}
    response = house.client.post("/auth/login", json=body)
    reference = house.client.post("/auth/login", json=body | {"tenant": "acme", "username": "ben"})

    assert response.status_code == 401
    assert without_id(response.get_json()) == without_id(reference.get_json())
    assert response.headers["WWW-Authenticate"] == reference.headers["WWW-Authenticate"]


def test_a_suspended_tenants_right_password_answers_like_a_wrong_one(house: House) -> None:

    tenants.suspend_tenant(house.platform, house.operator(), "acme")
    right = house.ada.login()
    wrong = house.ada.login(password="wrong and long enough")

    assert right.status_code == wrong.status_code == 401
    assert without_id(right.get_json()) == without_id(wrong.get_json())


def test_guesses_at_the_second_step_of_a_password_change_are_counted_too(house: House) -> None:
    limit = house.platform.settings.login_attempts_per_minute
    body = {"password": "not the password", "new_password": "a whole new password"}

    statuses = [house.rob.post("/auth/password", json=body).status_code for _ in range(limit + 1)]

    assert statuses == [401] * limit + [429]


def test_a_failed_login_is_on_record_without_what_was_typed(house: House) -> None:
    house.ada.login(password="hunter2 hunter2 hunter2")

    records = house.ada.get("/admin/audit").get_json()

    refused = [record for record in records if record["outcome"] == "refused"]
    assert refused[0]["action"] == "sessions.login"
    assert refused[0]["subject"] == "ada@acme"
    assert "hunter2" not in str(records)


def without_id(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "request_id"}
