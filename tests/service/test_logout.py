"""POST /auth/logout."""

from __future__ import annotations

from tests.house import House
from tests.service.problems import refused


def test_logout_ends_the_session_and_both_its_tokens(shared_house: House) -> None:
    rob = shared_house.actor("acme", "rob", shared_house.rob.password)
    pair = rob.login().get_json()

    response = rob.post("/auth/logout")

    assert response.status_code == 204
    assert response.data == b""
    refused(rob.post("/auth/logout"), 401, "invalid-token")
    refused(rob.predict([5, 10]), 401, "invalid-token")
    spent = shared_house.client.post("/auth/refresh", json={"refresh_token": pair["refresh_token"]})
    refused(spent, 401, "invalid-refresh-token")


def test_logout_leaves_other_sessions_of_the_user_alone(shared_house: House) -> None:
    here = shared_house.actor("acme", "rob", shared_house.rob.password)
    there = shared_house.actor("acme", "rob", shared_house.rob.password)
    assert here.get("/models").status_code == there.get("/models").status_code == 200

    here.post("/auth/logout")

    assert there.get("/models").status_code == 200


def test_logout_needs_a_token(shared_house: House) -> None:
    refused(shared_house.client.post("/auth/logout"), 401, "unauthenticated")


def test_logout_of_a_service_account_is_refused_not_pretended(shared_house: House) -> None:
    name, secret = shared_house.robot("account predict")
    form = {"grant_type": "client_credentials", "client_id": name, "client_secret": secret}
    token = shared_house.client.post("/auth/token", data=form).get_json()["access_token"]

    response = shared_house.client.post(
        "/auth/logout", headers={"Authorization": f"Bearer {token}"}
    )

    refused(response, 403, "insufficient-scope")
