"""GET /models and /models/{model}."""

from __future__ import annotations

import pytest

from tests.house import House
from tests.service.problems import refused
from tests.service.test_revoke import token_of


def test_members_see_names_and_versions(shared_house: House) -> None:
    assert shared_house.rob.get("/models").get_json() == [
        {"name": "linear", "default": True, "champion": 1, "versions": [1]}
    ]


def test_one_model_shows_what_it_takes(shared_house: House) -> None:
    body = shared_house.rob.get("/models/linear").get_json()

    assert body["task"] == "regression"
    assert body["engine"] == "linear"
    assert [column["type"] for column in body["inputs"]] == ["number", "number"]
    assert "classes" not in body


def test_grant_on_one_model_shows_that_one_alone(shared_house: House) -> None:
    token = token_of(shared_house, shared_house.robot("models.read:other"))
    headers = {"Authorization": f"Bearer {token}"}

    assert shared_house.client.get("/models", headers=headers).get_json() == []
    hidden = shared_house.client.get("/models/linear", headers=headers)
    refused(hidden, 403, "insufficient-scope")


@pytest.mark.parametrize(
    "name", ["missing", "%00", "..%2f..%2fetc%2fpasswd", "LINEAR", "linear%20", "a" * 200, "%ff"]
)
def test_whatever_is_no_model_is_not_found(shared_house: House, name: str) -> None:
    response = shared_house.rob.get(f"/models/{name}")
    assert response.status_code == 404
    refused(response, 404, "not-found")


def test_models_need_a_token(shared_house: House) -> None:
    refused(shared_house.client.get("/models"), 401, "unauthenticated")
    refused(shared_house.client.get("/models/linear"), 401, "unauthenticated")
