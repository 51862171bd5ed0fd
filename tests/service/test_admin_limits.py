"""/admin/limits."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import TestResponse

from auth.plans import LIMITS
from tests.house import House
from tests.service.problems import pointers, refused


def change(house: House, **body: Any) -> TestResponse:
    return house.olga.call("PATCH", "/admin/limits?tenant=acme", json=body)


def test_members_see_what_is_in_force(shared_house: House) -> None:
    body = shared_house.ben.get("/admin/limits").get_json()

    assert body["tenant"] == "acme"
    assert body["plan"] == "standard"
    assert set(body["limits"]) == set(LIMITS)


def test_operator_sets_and_takes_back(house: House) -> None:
    assert (
        change(house, limits={"requests_per_minute": 7}).get_json()["limits"]["requests_per_minute"]
        == 7
    )
    of_model = change(house, model="linear", limits={"rows_per_minute": 9}).get_json()
    assert of_model["models"] == {"linear": {"model_rows_per_minute": 9}}
    back = change(house, limits={"requests_per_minute": None}).get_json()
    assert (
        back["limits"]["requests_per_minute"] == LIMITS["requests_per_minute"].defaults["standard"]
    )


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"limits": {"rows_per_day": -1}}, "/limits/rows_per_day"),
        ({"limits": {"rows_per_day": 0}}, "/limits/rows_per_day"),
        ({"limits": {"rows_per_day": 10**13}}, "/limits/rows_per_day"),
        ({"limits": {"rows_per_day": 10**400}}, "/limits/rows_per_day"),
        ({"limits": {"rows_per_day": 1.5}}, "/limits/rows_per_day"),
        ({"limits": {"rows_per_day": "5"}}, "/limits/rows_per_day"),
        ({"limits": {"rows_per_day": True}}, "/limits/rows_per_day"),
        ({"limits": {"unheard_of": 1}}, "/limits/unheard_of"),
        # What the inside calls its arguments is no limit either.
        ({"limits": {"self": 1}}, "/limits/self"),
        ({"limits": {"session": 1}}, "/limits/session"),
        ({"limits": {"model": 1}}, "/limits/model"),
        ({"limits": {"a/b~c": 1}}, "/limits/a~1b~0c"),
        ({"limits": []}, "/limits"),
        ({"limits": None}, "/limits"),
        ({}, "/limits"),
        ({"limits": {}, "model": "../x"}, "/model"),
        ({"limits": {"rows_per_day": 5}, "model": "linear"}, "/limits/rows_per_day"),
    ],
)
def test_bad_limit_is_refused_by_its_name(
    shared_house: House, body: dict[str, Any], where: str
) -> None:
    assert pointers(refused(change(shared_house, **body), 400, "invalid-input")) == {where}


def test_refused_change_changes_nothing(house: House) -> None:
    before = house.ben.get("/admin/limits").get_json()
    change(house, limits={"requests_per_minute": 7, "rows_per_day": -1})
    assert house.ben.get("/admin/limits").get_json() == before


def test_tenant_does_not_set_its_own_limits(shared_house: House) -> None:
    body = {"limits": {"requests_per_minute": 10**9}}
    response = shared_house.ada.call("PATCH", "/admin/limits", json=body)
    refused(response, 403, "insufficient-scope")
