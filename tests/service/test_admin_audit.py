"""/admin/audit."""

from __future__ import annotations

import pytest

from tests.house import House
from tests.service.problems import pointers, refused


def test_changes_are_on_record_newest_first(house: House) -> None:
    house.ada.post("/admin/users", json={"username": "iris", "role": "caller"})
    house.ada.call("PATCH", "/admin/users/iris", json={"state": "disabled"})

    records = house.ada.get("/admin/audit").get_json()

    assert [r["action"] for r in records[:2]] == ["users.change", "users.create"]
    assert {r["subject"] for r in records[:2]} == {"iris"}
    sequences = [r["sequence"] for r in records]
    assert sequences == sorted(sequences, reverse=True)


def test_records_of_others_are_not_shown(house: House) -> None:
    house.gail.post("/admin/users", json={"username": "gwen", "role": "caller"})
    assert "gwen" not in house.ada.get("/admin/audit").text


def test_pages_follow_one_another(house: House) -> None:
    everything = house.ada.get("/admin/audit").get_json()
    first = house.ada.get("/admin/audit?limit=1")
    path = first.headers["Link"].partition(">")[0].removeprefix("<")

    second = house.ada.get(f"{path}").get_json()

    assert first.get_json() + second == everything[:2]


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", "%D9%A1", "9" * 19, "%00"])
def test_cursor_that_no_page_gave_is_refused(shared_house: House, cursor: str) -> None:
    response = shared_house.ada.get(f"/admin/audit?cursor={cursor}")
    assert pointers(refused(response, 400, "invalid-input")) == {"/cursor"}
