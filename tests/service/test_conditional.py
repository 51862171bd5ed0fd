"""ETag, If-Match and If-None-Match: of two that change one thing, the second hears of it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from auth.scope import Scope
from config.settings import load_settings
from service.bootstrap import Platform, assemble
from service.errors import PreconditionFailed
from service.operations import aliases, plans, routing, tenants
from service.operations.installation import initialise
from service.operations.preconditions import Expected
from tests import servers
from tests.house import House
from tests.service.problems import refused

ALIASES = "/models/linear/aliases"
CHAMPION = f"{ALIASES}/champion"
ROUTE = "/models/linear/route"
LIMITS = "/admin/limits?tenant=acme"
CHANGES: dict[str, tuple[str, list[dict[str, Any]]]] = {
    CHAMPION: ("PUT", [{"version": 2}, {"version": 3}]),
    ROUTE: ("PUT", [{"split": [{"version": n, "weight": 1}]} for n in (2, 3)]),
    LIMITS: ("PATCH", [{"limits": {"rows_per_minute": n}} for n in (20_000, 30_000)]),
}


@pytest.fixture
def three(house: House) -> House:
    """Acme's model has three versions and a route."""
    for _ in range(2):
        house.add_version()
    change(house, ROUTE, {"split": [{"version": 1, "weight": 1}]})
    return house


def change(house: House, path: str, body: dict[str, Any], **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    actor = house.olga if path == LIMITS else house.ada
    return actor.call(CHANGES.get(path, ("PUT",))[0], path, json=body, headers=named)


def tag(house: House, path: str, **query: Any) -> str:
    response = house.ada.get(path.partition("?")[0], query_string=query)
    assert response.status_code == 200
    return str(response.headers["ETag"])


@pytest.mark.parametrize("path", CHANGES)
def test_what_was_changed_meanwhile_is_not_changed_unseen(three: House, path: str) -> None:
    seen = tag(three, path)
    first, second = CHANGES[path][1]

    assert change(three, path, first, If_Match=seen).status_code == 200
    refused(change(three, path, second, If_Match=seen), 412, "precondition-failed")
    now = tag(three, path)
    assert now != seen
    assert change(three, path, second, If_Match=f'"other", {now}').status_code == 200
    assert change(three, path, first, If_Match="*").status_code == 200
    assert change(three, path, second).status_code == 200, "nothing is expected"


@pytest.mark.parametrize("path", CHANGES)
def test_a_weak_tag_and_what_is_none_match_nothing(three: House, path: str) -> None:
    body = CHANGES[path][1][0]
    for tags in (f"W/{tag(three, path)}", "", '""', '"."', "champion"):
        refused(change(three, path, body, If_Match=tags), 412, "precondition-failed")


@pytest.mark.parametrize("path", [*CHANGES, ALIASES])
def test_what_the_caller_has_is_not_sent_again(three: House, path: str) -> None:
    path = path.partition("?")[0]
    seen = tag(three, path)
    for tags in (seen, f"W/{seen}", f'"other", {seen}'):
        answer = three.ada.get(path, headers={"If-None-Match": tags})
        assert (answer.status_code, answer.data) == (304, b"")
        assert answer.headers["ETag"] == seen
        assert "Content-Type" not in answer.headers
    assert three.ada.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
    assert three.ada.get(path, headers={"If-Match": seen}).status_code == 200
    other = three.ada.get(path, headers={"If-Match": '"other"'})
    refused(other, 412, "precondition-failed")


def test_a_tag_is_of_the_state_whatever_is_counted_beside_it(three: House) -> None:
    before = tag(three, ROUTE)
    three.rob.predict([5, 10])
    routing.write_traffic(three.platform)

    assert tag(three, ROUTE) != before
    assert change(three, ROUTE, CHANGES[ROUTE][1][0], If_Match=before).status_code == 200


def test_an_alias_that_comes_back_to_a_version_is_in_another_state(three: House) -> None:
    seen = tag(three, CHAMPION)
    change(three, CHAMPION, {"version": 2})
    change(three, CHAMPION, {"version": 1})

    refused(change(three, CHAMPION, {"version": 3}, If_Match=seen), 412, "precondition-failed")


def test_a_thing_is_made_only_if_it_is_not_there(three: House) -> None:
    star = {"If_None_Match": "*"}
    assert change(three, f"{ALIASES}/new", {"version": 1}, **star).status_code == 200
    for path in (f"{ALIASES}/new", CHAMPION, ROUTE, LIMITS):
        body = CHANGES.get(path, ("", [{"version": 2}]))[1][0]
        refused(change(three, path, body, **star), 412, "precondition-failed")
    gone = change(three, f"{ALIASES}/missing", {"version": 1}, If_Match="*")
    refused(gone, 412, "precondition-failed")


def test_what_is_removed_or_rolled_back_is_as_it_was_seen(three: House) -> None:
    change(three, f"{ALIASES}/canary", {"version": 1})
    stale = {path: {"If-Match": tag(three, path)} for path in (f"{ALIASES}/canary", ROUTE)}
    change(three, f"{ALIASES}/canary", {"version": 2})
    change(three, ROUTE, CHANGES[ROUTE][1][0])

    rollback = three.ada.post(f"{ALIASES}/canary/rollback", headers=stale[f"{ALIASES}/canary"])
    refused(rollback, 412, "precondition-failed")
    for path, headers in stale.items():
        removed = three.ada.call("DELETE", path, headers=headers)
        refused(removed, 412, "precondition-failed")
        fresh = {"If-Match": tag(three, path)}
        assert three.ada.call("DELETE", path, headers=fresh).status_code == 204


@pytest.fixture(params=["sqlite", "postgresql"])
def platform(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Platform]:
    """An installation with the demo's model, on either database."""
    if request.param == "sqlite":
        folder = request.getfixturevalue("demo_instance")
        with_platform = assemble(load_settings(folder))
        yield with_platform
        with_platform.close()
        return
    with servers.own_database(request.getfixturevalue("postgresql_url")) as url:
        monkeypatch.setenv("SALLYPORT_DATABASE_URL", url)
        list(initialise(tmp_path / "grown", demo=True))
        with_platform = assemble(load_settings(tmp_path / "grown"))
        yield with_platform
        with_platform.close()


def test_of_writers_that_race_from_one_state_one_wins(platform: Platform) -> None:
    acme = tenants.operator_scope(platform, "acme")
    for _ in range(2):
        House(platform.settings.instance, platform, Flask("none"), {}).add_version()
    route = {"split": [{"version": 1, "weight": 1}]}
    routing.set_route(platform, acme, "linear", route)
    seen = {
        "alias": aliases.show_alias(platform, acme, "linear", "champion").state,
        "route": routing.show_route(platform, acme, "linear").state,
        "limits": plans.show_limits(platform, acme).state,
    }

    def write(number: int) -> list[str]:
        return [
            thing
            for thing, state in seen.items()
            if attempt(platform, acme, thing, number, Expected(one_of=frozenset({state})))
        ]

    with ThreadPoolExecutor(4) as pool:
        won = [thing for things in pool.map(write, range(1, 9)) for thing in things]

    assert sorted(won) == ["alias", "limits", "route"]


def attempt(platform: Platform, scope: Scope, thing: str, number: int, expected: Expected) -> bool:
    route = {"split": [{"version": "champion", "weight": number}]}
    try:
        if thing == "route":
            routing.set_route(platform, scope, "linear", route, expected=expected)
        elif thing == "limits":
            values = {"rows_per_minute": 1000 + number}
            plans.set_limits(platform, scope, values=values, expected=expected)
        else:
            version = 2 + number % 2
            aliases.promote(platform, scope, "linear", "champion", version, expected=expected)
    except PreconditionFailed:
        return False
    return True
