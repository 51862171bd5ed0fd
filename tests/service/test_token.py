"""POST /auth/token: OAuth 2.0 for service accounts (RFC 6749)."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.house import House
from tests.service.problems import pointers, refused

GRANT = {"grant_type": "client_credentials"}


@pytest.fixture(scope="module")
def robot(shared_house: House) -> tuple[str, str]:
    """A service account of Acme."""
    return shared_house.robot("predict models.read")


def ask(house: House, form: dict[str, Any], **options: Any) -> TestResponse:
    return house.client.post("/auth/token", data=form, **options)


def in_body(robot: tuple[str, str]) -> dict[str, str]:
    return {**GRANT, "client_id": robot[0], "client_secret": robot[1]}


def test_basic_and_body_credentials_are_both_taken(
    shared_house: House, robot: tuple[str, str]
) -> None:
    for response in (ask(shared_house, GRANT, auth=robot), ask(shared_house, in_body(robot))):
        body = response.get_json()
        assert response.status_code == 200
        assert set(body) == {"access_token", "token_type", "expires_in", "scope"}
        assert body["scope"] == "models.read predict"
        assert response.headers["Cache-Control"] == "no-store"
        bearer = {"Authorization": f"Bearer {body['access_token']}"}
        answer = shared_house.client.post("/predict", json={"features": [5, 10]}, headers=bearer)
        assert answer.get_json()["prediction"] == [15.0]


def test_credentials_given_twice_are_refused(shared_house: House, robot: tuple[str, str]) -> None:
    response = ask(shared_house, in_body(robot), auth=robot)
    assert refused(response, 400, "ambiguous-credentials")["error"] == "invalid_request"


def test_bearer_token_beside_body_credentials_is_refused(
    shared_house: House, robot: tuple[str, str]
) -> None:
    headers = {"Authorization": f"Bearer {shared_house.rob.token}"}
    response = ask(shared_house, in_body(robot), headers=headers)
    refused(response, 400, "ambiguous-credentials")


@pytest.mark.parametrize(
    "wrong", [("cli_" + "0" * 24, "x"), ("", ""), ("ada", "b\u00e4d"), ("\0", "\0")]
)
def test_wrong_client_is_challenged_with_basic(shared_house: House, wrong: tuple[str, str]) -> None:
    response = ask(shared_house, GRANT, auth=wrong)

    assert refused(response, 401, "invalid-client")["error"] == "invalid_client"
    assert response.headers["WWW-Authenticate"] == 'Basic realm="sallyport"'


def test_right_client_with_a_wrong_secret_answers_like_an_unknown_one(
    shared_house: House, robot: tuple[str, str]
) -> None:
    known = ask(shared_house, GRANT, auth=(robot[0], "sps_wrong")).get_json()
    unknown = ask(shared_house, GRANT, auth=("cli_" + "0" * 24, "sps_wrong")).get_json()

    known.pop("request_id"), unknown.pop("request_id")
    assert known == unknown


@pytest.mark.parametrize("value", ["Basic", "Basic !!", "Basic Og", "Basic 44Gg", "Basic a:b"])
def test_malformed_basic_is_no_credential(shared_house: House, value: str) -> None:
    refused(ask(shared_house, GRANT, headers={"Authorization": value}), 401, "invalid-client")


def test_scope_is_narrowed_to_what_was_asked(shared_house: House, robot: tuple[str, str]) -> None:
    body = ask(shared_house, {**GRANT, "scope": "predict:linear"}, auth=robot).get_json()
    assert body["scope"] == "predict:linear"
    bearer = {"Authorization": f"Bearer {body['access_token']}"}

    assert shared_house.client.post(
        "/predict", json={"features": [5, 10]}, headers=bearer
    ).get_json()["prediction"] == [15.0]
    refusal = shared_house.client.get("/models", headers=bearer)
    assert refused(refusal, 403, "insufficient-scope")["error"] == "insufficient_scope"
    assert 'error="insufficient_scope"' in refusal.headers["WWW-Authenticate"]


@pytest.mark.parametrize("scope", ["predict users", "tenants", "everything", "predict:", "\u0000"])
def test_more_scope_than_held_is_refused(
    shared_house: House, robot: tuple[str, str], scope: str
) -> None:
    response = ask(shared_house, {**GRANT, "scope": scope}, auth=robot)
    assert refused(response, 400, "invalid-scope")["error"] == "invalid_scope"


@pytest.mark.parametrize(
    "grant", ["password", "authorization_code", "implicit", "\u0000", "x" * 64]
)
def test_other_grants_are_not_offered(
    shared_house: House, robot: tuple[str, str], grant: str
) -> None:
    response = ask(shared_house, {"grant_type": grant}, auth=robot)
    assert refused(response, 400, "unsupported-grant-type")["error"] == "unsupported_grant_type"


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"grant_type": ""},
        {**GRANT, "unknown": "x"},
        {**GRANT, "access_token": "x"},
        {"grant_type": ["client_credentials", "client_credentials"]},
        {**GRANT, "scope": ["predict", "predict"]},
        {"grant_type": "refresh_token"},
    ],
)
def test_malformed_form_is_an_invalid_request(shared_house: House, form: dict[str, Any]) -> None:
    response = ask(shared_house, form)
    body = response.get_json()
    if form == {}:
        refused(response, 415, "unsupported-media-type")
    else:
        assert pointers(refused(response, 400, "invalid-input"))
    assert body["error"] == "invalid_request"


def test_json_is_no_form(shared_house: House, robot: tuple[str, str]) -> None:
    response = shared_house.client.post("/auth/token", json=GRANT, auth=robot)
    assert refused(response, 415, "unsupported-media-type")["error"] == "invalid_request"


def test_refresh_token_grant_rotates_as_the_session_does(shared_house: House) -> None:
    pair = shared_house.rob.login().get_json()
    form = {"grant_type": "refresh_token", "refresh_token": pair["refresh_token"]}

    response = ask(shared_house, form)

    assert response.status_code == 200
    assert response.get_json()["refresh_token"] != pair["refresh_token"]


def test_wrong_refresh_token_is_an_invalid_grant_of_400(shared_house: House) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": "spr_" + "A" * 43}
    response = ask(shared_house, form)

    assert refused(response, 400, "invalid-refresh-token")["error"] == "invalid_grant"
    assert "WWW-Authenticate" not in response.headers


def test_descriptions_keep_to_the_letters_of_rfc_6749(shared_house: House) -> None:
    response = ask(shared_house, {"grant_type": 'a"\\\u00e9'})

    allowed = {chr(n) for n in range(0x20, 0x7F)} - {'"', "\\"}
    assert set(response.get_json()["error_description"]) <= allowed


def test_a_grant_that_covers_another_held_one_may_be_asked_for_alone(shared_house: House) -> None:
    robot = shared_house.robot("predict predict:linear")

    body = ask(shared_house, {**GRANT, "scope": "predict"}, auth=robot).get_json()

    assert body["scope"] == "predict"
