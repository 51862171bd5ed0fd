"""GET, PUT and DELETE of /models/{model}/aliases/{alias}, and its rollback."""

from __future__ import annotations

from typing import Any

import pytest

from models.errors import ArtefactMissing
from tests.house import Actor, House
from tests.journeys.served import until
from tests.neighbour import Neighbour
from tests.service.problems import refused

ALIASES = "/models/linear/aliases"
CHAMPION = f"{ALIASES}/champion"
CANARY = f"{ALIASES}/canary"


@pytest.fixture
def three(house: House) -> House:
    """Acme's model has three versions, the first of them champion."""
    house.add_version()
    house.add_version()
    return house


def answered_by(actor: Actor) -> int:
    """The version that answers a call which names none."""
    answer = actor.predict([5, 10])
    assert answer.status_code == 200, answer.text
    return int(answer.get_json()["version"])


def test_a_promotion_and_its_rollback_say_from_where_to_where(three: House) -> None:
    moved = three.ben.call("PUT", CHAMPION, json={"version": 2, "reason": "better"})
    assert moved.status_code == 200, moved.text
    body = moved.get_json()
    assert (body["from"], body["to"], body["rollback"]) == (1, 2, False)
    assert (body["moved_by"], body["reason"]) == ("user:ben@acme", "better")
    assert answered_by(three.rob) == 2

    body = three.ben.post(f"{CHAMPION}/rollback?reason=worse").get_json()

    assert (body["from"], body["to"], body["rollback"]) == (2, 1, True)
    assert body["reason"] == "worse"
    assert answered_by(three.rob) == 1
    refused(three.ben.post(f"{CHAMPION}/rollback"), 409, "conflict")


def test_another_worker_follows_without_failing_a_call(three: House, neighbour: Neighbour) -> None:
    rob = three.rob.through(neighbour.client)
    assert answered_by(rob) == 1

    three.ben.call("PUT", CHAMPION, json={"version": 3})
    until(lambda: answered_by(rob) == 3)
    three.ben.post(f"{CHAMPION}/rollback")
    until(lambda: answered_by(rob) == 1)


def test_an_alias_may_be_named_after_another(three: House) -> None:
    three.ben.call("PUT", CANARY, json={"version": 3})
    three.ben.call("PUT", CHAMPION, json={"version": "canary"})

    assert answered_by(three.rob) == 3
    assert three.rob.predict([5, 10], version="canary").get_json()["version"] == 3


def test_aliases_are_listed_with_where_a_rollback_leads(three: House) -> None:
    three.ben.call("PUT", CANARY, json={"version": 2})
    three.ben.call("PUT", CANARY, json={"version": 3})

    assert three.rob.get(ALIASES).get_json() == [
        {"alias": "canary", "version": 3, "previous": 2},
        {"alias": "champion", "version": 1},
    ]
    assert three.rob.get("/models/linear").get_json()["aliases"] == {"canary": 3, "champion": 1}
    shown = three.rob.get(CANARY).get_json()
    assert (shown["version"], shown["previous"]) == (3, 2)
    assert [(move.get("from"), move["to"]) for move in shown["moves"]] == [(2, 3), (None, 2)]


def test_an_alias_is_removed_but_not_the_champion(three: House) -> None:
    three.ben.call("PUT", CANARY, json={"version": 2})
    assert three.ben.call("DELETE", CANARY).status_code == 204

    refused(three.rob.predict([5, 10], version="canary"), 404, "not-found")
    refused(three.ben.call("DELETE", CANARY), 404, "not-found")
    refused(three.rob.get(CANARY), 404, "not-found")
    refused(three.ben.call("DELETE", CHAMPION), 409, "conflict")


def test_a_version_that_does_not_open_is_not_promoted(three: House) -> None:
    platform = three.platform
    with platform.database.read() as session:
        version = platform.registry.resolve(session, three.operator("acme"), "linear", 2)
    platform.artefacts.delete(version)
    with pytest.raises(ArtefactMissing):
        platform.executor.warm(version)

    refused(three.ben.call("PUT", CHAMPION, json={"version": 2}), 503, "unavailable")

    assert answered_by(three.rob) == 1
    assert three.ada.get("/admin/audit?limit=1").get_json()[0]["action"] != "models.promote"


def test_a_promoted_version_is_open_in_this_worker_before_it_is_asked(three: House) -> None:
    platform = three.platform
    with platform.database.read() as session:
        version = platform.registry.resolve(session, three.operator("acme"), "linear", 3)
    assert not platform.executor.is_warm(version)

    three.ben.call("PUT", CANARY, json={"version": 3})

    assert platform.executor.is_warm(version)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/version"),
        ({"version": None}, "/version"),
        ({"version": 0}, "/version"),
        ({"version": 1.0}, "/version"),
        ({"version": True}, "/version"),
        ({"version": [1]}, "/version"),
        ({"version": "no alias"}, "/version"),
        ({"version": 1, "reason": ""}, "/reason"),
        ({"version": 1, "reason": "x" * 201}, "/reason"),
        ({"version": 1, "weight": 5}, "/weight"),
    ],
)
def test_a_promotion_that_is_none_is_refused_with_its_place(
    shared_house: House, body: dict[str, Any], pointer: str
) -> None:
    problem = refused(shared_house.ada.call("PUT", CANARY, json=body), 400, "invalid-input")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


@pytest.mark.parametrize("alias", ["1", "Canary", "a b", "é", "a" * 64, "-", "%00"])
def test_a_name_that_no_alias_may_have_is_refused_or_not_found(
    shared_house: House, alias: str
) -> None:
    path = f"{ALIASES}/{alias}"
    refused(shared_house.ada.call("PUT", path, json={"version": 1}), 400, "invalid-input")
    refused(shared_house.ada.get(path), 404, "not-found")
    refused(shared_house.ada.call("DELETE", path), 404, "not-found")
    refused(shared_house.ada.post(f"{path}/rollback"), 404, "not-found")


def test_a_version_that_is_not_there_is_not_promoted(shared_house: House) -> None:
    for version in (99, "staging"):
        response = shared_house.ada.call("PUT", CANARY, json={"version": version})
        refused(response, 404, "not-found")


def test_who_may_only_call_moves_nothing(shared_house: House) -> None:
    for response in (
        shared_house.rob.call("PUT", CHAMPION, json={"version": 1}),
        shared_house.rob.call("DELETE", CANARY),
        shared_house.rob.post(f"{CHAMPION}/rollback"),
    ):
        refused(response, 403, "insufficient-scope")


def test_moves_are_on_record(three: House) -> None:
    three.ben.call("PUT", CHAMPION, json={"version": 2, "reason": "better"})
    three.ben.post(f"{CHAMPION}/rollback")

    records = three.ada.get("/admin/audit").get_json()
    back, there = [record for record in records if record["action"].startswith("models.")][:2]

    expected = {"alias": "champion", "from": 1, "to": 2, "reason": "better"}
    assert (there["action"], there["details"]) == ("models.promote", expected)
    assert back["action"] == "models.rollback"
    assert (back["details"]["from"], back["details"]["to"]) == (2, 1)
