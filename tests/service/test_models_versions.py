"""GET, PATCH and DELETE of /models/{model}/versions and of one of them; DELETE /models/{model}."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from models.errors import StoreUnavailable
from models.records import VersionRow
from models.register.entries import ACTIVE
from models.register.incidents import MOST_CRASHES, DatabaseIncidents
from tests.house import Actor, House
from tests.service.problems import refused
from tests.service.test_revoke import token_of

ONE = "/models/linear/versions/1"
TWO = "/models/linear/versions/2"


@pytest.fixture
def two(house: House) -> House:
    """Acme's model has two versions, the first of them champion."""
    house.add_version()
    return house


def test_versions_are_listed_newest_first_with_what_became_of_them(two: House) -> None:
    two.ben.call("PATCH", TWO, json={"state": "retired", "pinned": True})

    second, first = two.rob.get("/models/linear/versions").get_json()

    assert (first["version"], first["state"], first["aliases"]) == (1, "active", ["champion"])
    assert (second["version"], second["state"], second["pinned"]) == (2, "retired", True)
    assert second["estimator"] == "LinearRegression"
    assert second["engine"] == "linear"
    assert second["created_by"].startswith("operator:")


def pages(actor: Actor, path: str) -> Iterator[list[dict[str, Any]]]:
    while path:
        response = actor.get(path)
        assert response.status_code == 200, response.text
        yield response.get_json()
        link = response.headers.get("Link", "")
        path = link.partition(">")[0].removeprefix("<").removeprefix("http://localhost")


def test_a_long_list_comes_in_pages(house: House) -> None:
    for _ in range(4):
        house.add_version()

    found = list(pages(house.rob, "/models/linear/versions?limit=2"))

    assert [[v["version"] for v in page] for page in found] == [[5, 4], [3, 2], [1]]


@pytest.mark.parametrize("cursor", ["x", "-1", "1e3", "٣", "9" * 19])
def test_a_cursor_that_no_page_gave_is_refused(shared_house: House, cursor: str) -> None:
    response = shared_house.rob.get(f"/models/linear/versions?cursor={cursor}")
    refused(response, 400, "invalid-input")


def test_one_version_shows_its_whole_report(shared_house: House) -> None:
    for reference in ("1", "champion"):
        shown = shared_house.rob.get(f"/models/linear/versions/{reference}").get_json()
        manifest = shown["manifest"]

        assert shown["version"] == manifest["number"] == 1
        assert manifest["parity"]["agrees"] is True
        assert manifest["parity"]["labels_differing"] == 0
        assert manifest["signature"]["columns"] == 2
        assert set(manifest["files"]) == {"engine", "model"}
        assert manifest["source_format"] == "skops"
        assert manifest["libraries"]["scikit-learn"]


@pytest.mark.parametrize(
    "version", ["2", "0", "-1", "canary", "9" * 30, "%00", "1.0", "Champion", "..%2f", "%ff", "é"]
)
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_whatever_is_no_version_is_not_found(
    shared_house: House, method: str, version: str
) -> None:
    options: dict[str, Any] = {"json": {"pinned": True}} if method == "PATCH" else {}
    response = shared_house.ada.call(method, f"/models/linear/versions/{version}", **options)
    refused(response, 404, "not-found")


def test_a_retired_version_is_gone_for_predictions_until_it_is_active(two: House) -> None:
    assert two.rob.predict([5, 10], version=2).status_code == 200

    changed = two.ben.call("PATCH", TWO, json={"state": "retired"})
    assert changed.get_json()["state"] == "retired"
    refused(two.rob.predict([5, 10], version=2), 410, "version-retired")
    put = two.ben.call("PUT", "/models/linear/aliases/canary", json={"version": 2})
    refused(put, 410, "version-retired")

    assert two.ben.call("PATCH", TWO, json={"state": "active"}).get_json()["state"] == "active"
    assert two.rob.predict([5, 10], version=2).status_code == 200


def test_the_champion_is_neither_retired_nor_deleted(two: House) -> None:
    for response in (
        two.ada.call("PATCH", ONE, json={"state": "retired"}),
        two.ada.call("DELETE", "/models/linear/versions/champion"),
    ):
        assert "champion" in refused(response, 409, "conflict")["detail"]
    assert two.rob.predict([5, 10]).status_code == 200


def test_what_a_route_names_is_not_retired(two: House) -> None:
    split = [{"version": 1, "weight": 9}, {"version": 2, "weight": 1}]
    route = two.ada.call("PUT", "/models/linear/route", json={"split": split})
    assert route.status_code == 200, route.text

    response = two.ada.call("PATCH", TWO, json={"state": "retired"})

    assert "route" in refused(response, 409, "conflict")["detail"]


def test_a_deleted_version_is_gone_for_good(two: House) -> None:
    assert two.ben.call("DELETE", TWO).status_code == 204

    refused(two.rob.predict([5, 10], version=2), 410, "version-deleted")
    refused(two.ben.call("DELETE", TWO), 410, "version-deleted")
    refused(two.ben.call("PATCH", TWO, json={"state": "active"}), 410, "version-deleted")
    shown = two.rob.get(TWO).get_json()
    assert shown["state"] == "deleted"
    assert shown["manifest"]["number"] == 2, "on record"
    assert two.rob.get("/models/linear").get_json()["versions"] == [1]
    assert two.add_version().number == 3


def test_nothing_of_a_deleted_version_is_left_to_open(two: House) -> None:
    """Neither its files in the store, nor its key anywhere in the database's files."""
    platform = two.platform
    with platform.database.read() as session:
        version = platform.registry.resolve(session, two.operator("acme"), "linear", 2)
        sealed = session.get_one(VersionRow, version.id).sealed_key
    assert sealed is not None
    assert any(sealed in path.read_bytes() for path in two.folder.glob("sallyport.db*"))

    two.ben.call("DELETE", TWO)

    assert not platform.artefacts.holds(version)
    assert not any(sealed in path.read_bytes() for path in two.folder.glob("sallyport.db*"))


def test_a_store_that_is_away_does_not_keep_a_version_from_being_deleted(
    two: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise StoreUnavailable("bucket", "away")

    monkeypatch.setattr(type(two.platform.artefacts), "delete", away)

    assert two.ben.call("DELETE", TWO).status_code == 204
    refused(two.rob.predict([5, 10], version=2), 410, "version-deleted")


def test_a_pinned_version_is_deleted_after_it_is_unpinned(two: House) -> None:
    assert two.ben.call("PATCH", TWO, json={"pinned": True}).get_json()["pinned"] is True
    refused(two.ben.call("DELETE", TWO), 409, "conflict")
    two.ben.call("PATCH", TWO, json={"pinned": False})
    assert two.ben.call("DELETE", TWO).status_code == 204


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"state": "deleted"}, "/state"),
        ({"state": 1}, "/state"),
        ({"pinned": "yes"}, "/pinned"),
        ({"pinned": 1.5}, "/pinned"),
        ({"alias": "x"}, "/alias"),
    ],
)
def test_a_change_that_is_none_is_refused_with_its_place(
    shared_house: House, body: dict[str, Any], pointer: str
) -> None:
    problem = refused(shared_house.ada.call("PATCH", ONE, json=body), 400, "invalid-input")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


def test_a_change_is_made_whole_or_not_at_all(two: House) -> None:
    refused(two.ada.call("PATCH", ONE, json={"pinned": True, "state": "retired"}), 409, "conflict")

    assert two.ada.get(ONE).get_json()["pinned"] is False


def test_a_version_that_crashed_says_why_and_is_run_again_when_it_is_activated(two: House) -> None:
    platform = two.platform
    with platform.database.read() as session:
        version = platform.registry.resolve(session, two.operator("acme"), "linear", 2)
    incidents = DatabaseIncidents(platform.database)
    for _ in range(MOST_CRASHES):
        incidents.record(version, "signal 11")
    assert incidents.open(version)

    broken, *crashes = two.ada.get(TWO).get_json()["incidents"]
    assert (broken["kind"], {crash["kind"] for crash in crashes}) == ("broken", {"crashed"})
    assert "signal 11" in broken["detail"]

    two.ada.call("PATCH", TWO, json={"state": "active"})

    assert incidents.open(version) is None
    assert two.ada.get(TWO).get_json()["incidents"] == []


def test_who_may_only_call_changes_nothing(shared_house: House) -> None:
    for method, options in (("PATCH", {"json": {"pinned": True}}), ("DELETE", {})):
        response = shared_house.rob.call(method, ONE, **options)
        refused(response, 403, "insufficient-scope")


def test_a_grant_on_one_model_reaches_that_one_alone(two: House) -> None:
    two.add_version("other")
    token = token_of(two, two.robot("models.write:other models.read:other"))
    headers = {"Authorization": f"Bearer {token}"}
    for method in ("GET", "DELETE"):
        response = two.client.open(TWO, method=method, headers=headers)
        refused(response, 403, "insufficient-scope")
    assert two.client.get("/models/other/versions", headers=headers).status_code == 200


def test_every_change_is_on_record_with_its_version(two: House) -> None:
    two.ben.call("PATCH", TWO, json={"state": "retired"})
    two.ben.call("DELETE", TWO)

    records = two.ada.get("/admin/audit").get_json()
    deleted, changed = [r for r in records if r["action"].startswith("models.")][:2]

    assert (changed["action"], changed["actor"]) == ("models.change-version", "user:ben@acme")
    assert changed["details"] == {"version": 2, "state": "retired", "pinned": False}
    assert (deleted["action"], deleted["details"]) == ("models.delete-version", {"version": 2})


def test_a_model_is_deleted_when_its_name_is_said_twice(two: House) -> None:
    two.add_version("other")
    for slip in ("", "?confirm=", "?confirm=other", "?confirm=LINEAR"):
        refused(two.ada.call("DELETE", f"/models/linear{slip}"), 400, "invalid-input")

    assert two.ada.call("DELETE", "/models/linear?confirm=linear").status_code == 204

    refused(two.rob.get("/models/linear"), 404, "not-found")
    refused(two.rob.predict([5, 10], model="linear"), 404, "not-found")
    assert [model["name"] for model in two.rob.get("/models").get_json()] == ["other"]
    assert two.rob.predict([5, 10]).get_json()["model"] == "other"
    assert two.gail.predict([5, 10]).status_code == 200
    assert two.add_version("linear", "globex").number == 2


def test_a_model_with_a_pinned_version_is_kept(two: House) -> None:
    two.ada.call("PATCH", TWO, json={"pinned": True})

    refused(two.ada.call("DELETE", "/models/linear?confirm=linear"), 409, "conflict")

    assert two.rob.predict([5, 10], version=2).status_code == 200


def test_a_version_of_an_earlier_release_says_what_to_do(house: House) -> None:
    with house.platform.database.write() as session:
        for row in session.query(VersionRow):
            row.sealed_key, row.manifest = None, '{"schema":1}'
        assert row.state == ACTIVE
    house.platform.epoch.publish()

    problem = refused(house.rob.predict([5, 10]), 410, "version-outdated")

    assert "import its file again" in problem["detail"]
    assert house.rob.get("/models").get_json()[0]["champion"] == 1
    refused(house.rob.get("/models/linear"), 410, "version-outdated")
    shown = house.rob.get(ONE).get_json()
    assert shown["state"] == "outdated"
    assert "manifest" not in shown
