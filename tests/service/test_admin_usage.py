"""/admin/usage."""

from __future__ import annotations

import pytest

from tests.house import House
from tests.service.problems import pointers, refused


def test_usage_counts_what_was_answered(house: House) -> None:
    for rows in ([5, 10], [[1, 2], [3, 4]]):
        house.rob.predict(rows)
    house.rob.predict([1, 2, 3])  # refused: nothing was consumed
    house.ada.predict([5, 10])

    by_model = house.ada.get("/admin/usage").get_json()
    by_user = house.ada.get("/admin/usage?by=user").get_json()

    assert [(u["key"], u["requests"], u["rows"]) for u in by_model] == [("linear", 3, 4)]
    assert by_model[0]["compute_ms"] > 0
    assert {(u["key"], u["rows"]) for u in by_user} == {("rob", 3), ("ada", 1)}


def test_usage_of_another_tenant_is_the_operators_to_see(house: House) -> None:
    house.rob.predict([5, 10])
    assert house.gail.get("/admin/usage").get_json() == []
    seen = house.olga.get("/admin/usage?tenant=acme&by=tenant").get_json()
    assert [(u["key"], u["rows"]) for u in seen] == [("acme", 1)]


@pytest.mark.parametrize("field", ["since", "until"])
@pytest.mark.parametrize("day", ["0001-01-01", "2026-13-01", "today", "2026-1-1", "", "%00"])
def test_bad_day_is_refused(shared_house: House, field: str, day: str) -> None:
    response = shared_house.ada.get(f"/admin/usage?{field}={day}")
    assert pointers(refused(response, 400, "invalid-input")) == {f"/{field}"}


def test_days_without_usage_are_no_error(shared_house: House) -> None:
    for query in ("since=9999-12-31", "until=2000-01-01", "since=2026-02-01&until=2026-01-01"):
        assert shared_house.ada.get(f"/admin/usage?{query}").get_json() == []


def test_unknown_grouping_is_refused(shared_house: House) -> None:
    response = shared_house.ada.get("/admin/usage?by=row")
    assert pointers(refused(response, 400, "invalid-input")) == {"/by"}
