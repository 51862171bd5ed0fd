"""Listings come a page at a time, and where one goes on is for its reader alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.http import parse_list_header
from werkzeug.test import TestResponse

from tests.house import Actor, House
from tests.service.problems import pointers, refused

# What other servers' protocols say how to list: without pages.
OF_DIALECTS = ("/v1/", "/v2/", "/v2")
LISTINGS = {
    "/admin/users": "username",
    "/admin/clients": "id",
    "/admin/audit": "sequence",
    "/admin/usage?by=user": "key",
    "/models": "name",
    "/models/linear/versions": "version",
    "/models/linear/aliases": "alias",
    "/jobs": "id",
}


@pytest.fixture(scope="module")
def filled(shared_house: House) -> House:
    """Acme and Globex have three of everything."""
    for number in range(3):
        robot = {"name": f"robot-{number}", "scope": "predict"}
        for actor in (shared_house.ada, shared_house.gail):
            assert actor.post("/admin/clients", json=robot).status_code == 201
        shared_house.add_version()
        shared_house.add_version(f"model-{number}")
        path = f"/models/linear/aliases/alias-{number}"
        assert shared_house.ada.call("PUT", path, json={"version": 1}).status_code == 200
        upload = shared_house.ada.post("/models/new/versions", data=b"x")
        assert upload.status_code == 202
    for actor in (shared_house.ada, shared_house.ben, shared_house.rob):
        assert actor.predict([5, 10]).status_code == 200
    return shared_house


def pages(actor: Actor, path: str) -> Iterator[TestResponse]:
    """Every page of two items."""
    following: str | None = f"{path}{'&' if '?' in path else '?'}limit=2"
    while following:
        page = actor.get(following)
        assert page.status_code == 200, page.text
        yield page
        following = next_of(page)


def next_of(page: TestResponse) -> str | None:
    links = parse_list_header(page.headers.get("Link", ""))
    return links[0].partition(">")[0].removeprefix("<") if links else None


def cursor_of(actor: Actor, path: str) -> str:
    found = next_of(next(pages(actor, path)))
    assert found is not None
    return found.partition("cursor=")[2].partition("&")[0]


@pytest.mark.parametrize(("path", "name"), LISTINGS.items())
def test_pages_hold_everything_once_and_in_order(filled: House, path: str, name: str) -> None:
    found = list(pages(filled.ada, path))
    items = [item[name] for page in found for item in page.get_json()]

    assert len(found) > 1
    assert all(len(page.get_json()) == 2 for page in found[:-1])
    assert len(items) == len(set(items))
    whole = [item[name] for item in filled.ada.get(path).get_json()]
    assert items == whole


def test_every_listing_is_known_and_has_pages(filled: House) -> None:
    document: dict[str, Any] = filled.client.get("/openapi.json").get_json()
    for path, item in document["paths"].items():
        media = item.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        schemas = [one["schema"] for one in media.values()]
        if path.startswith(OF_DIALECTS) or not any(s.get("type") == "array" for s in schemas):
            continue
        names = {parameter.get("name") for parameter in item["get"]["parameters"]}
        assert {"cursor", "limit"} <= names, path


@pytest.mark.parametrize("path", LISTINGS)
@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x"])
def test_a_page_is_bounded(filled: House, path: str, limit: str) -> None:
    response = filled.ada.get(f"{path.partition('?')[0]}?limit={limit}")

    assert pointers(refused(response, 400, "invalid-input")) == {"/limit"}


def test_a_cursor_means_nothing_to_another_caller_or_listing(filled: House) -> None:
    cursor = cursor_of(filled.ada, "/admin/clients")
    assert filled.ada.get(f"/admin/clients?cursor={cursor}").status_code == 200

    for actor, path in (
        (filled.gail, "/admin/clients"),
        (filled.olga, "/admin/clients?tenant=acme"),
        (filled.ada, "/admin/users"),
        (filled.ada, "/models"),
    ):
        response = actor.get(f"{path}{'&' if '?' in path else '?'}cursor={cursor}")
        assert pointers(refused(response, 400, "invalid-input")) == {"/cursor"}


def test_an_operators_cursor_is_of_the_tenant_that_it_was_given_for(filled: House) -> None:
    cursor = cursor_of(filled.olga, "/admin/clients?tenant=acme")
    assert filled.olga.get(f"/admin/clients?tenant=acme&cursor={cursor}").status_code == 200

    response = filled.olga.get(f"/admin/clients?tenant=globex&cursor={cursor}")
    refused(response, 400, "invalid-input")


@pytest.mark.parametrize("cursor", ["robot-1", "0", "AAAA", "A" * 1024, "é", "="])
def test_a_cursor_cannot_be_made_up(filled: House, cursor: str) -> None:
    response = filled.ada.get("/admin/clients", query_string={"cursor": cursor})

    assert pointers(refused(response, 400, "invalid-input")) == {"/cursor"}


def test_a_cursor_tells_nothing_of_names(filled: House) -> None:
    first, second = cursor_of(filled.ada, "/models"), cursor_of(filled.ada, "/models")

    assert first != second
