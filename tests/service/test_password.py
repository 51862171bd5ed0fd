"""POST /auth/password."""

from __future__ import annotations

import pytest

from tests.house import Actor, House
from tests.service.problems import pointers, refused

NEW = "a whole new set of words"


@pytest.fixture
def nina(shared_house: House) -> Actor:
    """Somebody new, whose password a test may change."""
    name = f"nina{len(shared_house.ada.get('/admin/users').get_json())}"
    body = {"username": name, "role": "caller"}
    made = shared_house.ada.post("/admin/users", json=body).get_json()
    return shared_house.actor("acme", name, made["password"])


def test_changed_password_ends_every_session_and_opens_new_ones(
    shared_house: House, nina: Actor
) -> None:
    elsewhere = shared_house.actor("acme", nina.username, nina.password)
    assert elsewhere.get("/models").status_code == 200

    response = nina.post("/auth/password", json={"password": nina.password, "new_password": NEW})

    assert response.status_code == 204
    refused(nina.get("/models"), 401, "invalid-token")
    refused(elsewhere.get("/models"), 401, "invalid-token")
    refused(nina.login(), 401, "wrong-credentials")
    assert nina.login(password=NEW).status_code == 200


def test_present_password_must_be_right(shared_house: House, nina: Actor) -> None:
    body = {"password": "not the password", "new_password": NEW}
    refused(nina.post("/auth/password", json=body), 401, "wrong-credentials")
    assert nina.get("/models").status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "action"),
    [
        ("/auth/password", {"new_password": NEW}, "users.change-password"),
        ("/auth/otp", {"action": "enrol"}, "users.otp-enrol"),
        ("/auth/otp", {"action": "confirm", "otp": "000000"}, "users.otp-confirm"),
    ],
)
def test_guess_with_a_token_in_hand_is_on_record(
    shared_house: House, nina: Actor, path: str, body: dict[str, str], action: str
) -> None:
    guess = nina.post(path, json=body | {"password": "not the password"})
    refused(guess, 401, "wrong-credentials")

    [record] = shared_house.ada.get("/admin/audit?limit=1").get_json()

    assert (record["action"], record["outcome"]) == (action, "refused")
    assert record["actor"] == f"user:{nina.username}@acme"


@pytest.mark.parametrize(
    "new", ["short", "x" * 129, "password1234567", "acme acme acme acme", "a" * 20]
)
def test_bad_new_password_is_refused_by_its_field(
    shared_house: House, nina: Actor, new: str
) -> None:
    body = {"password": nina.password, "new_password": new}
    problem = refused(nina.post("/auth/password", json=body), 400, "invalid-input")

    assert pointers(problem) == {"/new_password"}
    assert new not in str(problem)
    assert nina.get("/models").status_code == 200


def test_service_account_has_no_password(shared_house: House) -> None:
    robot = shared_house.robot("account")
    form = {"grant_type": "client_credentials"}
    token = shared_house.client.post("/auth/token", data=form, auth=robot).get_json()
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    body = {"password": "x", "new_password": NEW}

    response = shared_house.client.post("/auth/password", json=body, headers=headers)

    refused(response, 403, "insufficient-scope")


def test_password_change_needs_a_token(shared_house: House) -> None:
    body = {"password": "x", "new_password": NEW}
    refused(shared_house.client.post("/auth/password", json=body), 401, "unauthenticated")
