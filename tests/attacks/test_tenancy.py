"""Every route, method and kind of caller, generated from the URL map (security.md, section 5)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
from flask import Flask
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from auth.permissions import PERMISSIONS, Role
from service.operations import identity
from service.security import Access, access_of
from tests.house import House
from tests.service.uploading import upload, work

PLACEHOLDERS: Final = {
    "model": "linear",
    "username": "nobody",
    "client_id": "cli_" + "0" * 24,
    "job_id": "job_" + "0" * 28,
    "asset": "page.js",
    "version": "1",
    "alias": "champion",
    "segment": "seg_" + "0" * 28,
    "label": "champion",
}
ROLES: Final = {
    "rob": Role.CALLER,
    "ben": Role.DEVELOPER,
    "ada": Role.ADMIN,
    "gail": Role.ADMIN,
    "olga": Role.OPERATOR,
}
FORGED: Final = "eyJhbGciOiJFUzI1NiIsImtpZCI6IngiLCJ0eXAiOiJhdCtqd3QifQ.e30.AA"


def routes(app: Flask) -> Iterator[tuple[Rule, str]]:
    """Every rule with each of its own methods."""
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield rule, method


def path_of(rule: Rule, **values: str) -> str:
    """The rule's path with something in each of its places."""
    known = PLACEHOLDERS | values
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda variable: known[variable[1]], rule.rule)


def access(house: House, rule: Rule) -> Access:
    found = access_of(house.app, rule.endpoint)
    assert found is not None, f"{rule.endpoint} has no access rule"
    return found


def test_every_endpoint_says_who_may_call_it(house: House) -> None:
    for rule, _ in routes(house.app):
        access(house, rule)


def test_an_endpoint_that_says_nothing_is_refused(house: House) -> None:
    house.app._got_first_request = False  # Flask refuses late routes; an attacker's fork would not
    house.app.add_url_rule("/forgotten", "forgotten", lambda: "secret")

    for client in (house.client.get("/forgotten"), house.olga.get("/forgotten")):
        assert client.status_code == 404
        assert b"secret" not in client.data


def expired(house: House) -> str:
    """A token of Ada's, signed by the platform, whose time is over."""
    platform = house.platform
    ada = identity.identify(platform, house.ada.token).principal
    long_ago = platform.clock() - platform.settings.access_seconds - 61
    return platform.tokens.mint(platform.signer(), ada, long_ago)[0]


@pytest.mark.parametrize("kind", ["none", "forged", "expired"])
def test_without_a_valid_token_only_public_endpoints_answer(house: House, kind: str) -> None:
    token = {"none": "", "forged": FORGED, "expired": expired(house)}[kind]
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    for rule, method in routes(house.app):
        response = house.client.open(path_of(rule), method=method, headers=headers)
        if access(house, rule).permission is None:
            assert response.status_code != 403, rule
            assert rule.endpoint == "auth.introspect" or response.status_code != 401, rule
        else:
            assert response.status_code == 401, (rule, method)
            assert response.headers["WWW-Authenticate"].startswith("Bearer realm=")
            assert ("error" in response.headers["WWW-Authenticate"]) == bool(headers)


@pytest.mark.parametrize("username", list(ROLES))
def test_a_role_reaches_what_the_table_says_and_nothing_else(house: House, username: str) -> None:
    actor = getattr(house, username)
    for rule, method in routes(house.app):
        permission = access(house, rule).permission
        if permission is None or rule.endpoint == "auth.logout":
            continue
        response = actor.call(method, path_of(rule))
        allowed = permission in PERMISSIONS[ROLES[username]]
        assert (response.status_code == 403) == (not allowed), (rule, method, response.text)
        assert response.status_code < 500, (rule, method)


EVE: Final = {"username": "eve", "role": "caller"}
ROBOT: Final = {"name": "robot", "scope": "predict"}
DISABLED: Final = {"state": "disabled"}
ROUTE: Final = {"split": [{"version": 1, "weight": 1}]}
TENSOR: Final = {"name": "input", "shape": [1, 2], "datatype": "FP64", "data": [5, 10]}
TENSORS: Final = {"json": {"inputs": [TENSOR]}}
INSTANCES: Final = {"json": {"instances": [[5, 10]]}}
EXAMPLES: Final = {"json": {"examples": [{"x0": 5, "x1": 10}]}}
Tried = tuple[str, str, str, str, dict[str, Any]]
OF_DIALECTS: Final[tuple[Tried, ...]] = (
    *(
        (method, f"/v1/models/{{}}{part}{call}", "private", "missing", options)
        for part in ("", "/versions/1", "/labels/champion")
        for method, call, options in (
            ("GET", "", {}),
            ("GET", "/metadata", {}),
            ("POST", ":predict", INSTANCES),
            ("POST", ":classify", EXAMPLES),
            ("POST", ":regress", EXAMPLES),
        )
    ),
    *(
        ("POST", f"{folder}/{{}}/invocations", "private", "missing", INSTANCES)
        for folder in ("/models", "/endpoints", "/serving-endpoints")
    ),
)
OBJECTS: Final[tuple[Tried, ...]] = (
    *OF_DIALECTS,
    ("GET", "/admin/users/{}", "rob", "bob", {}),
    ("PATCH", "/admin/users/{}", "rob", "bob", {"json": DISABLED}),
    ("POST", "/admin/users/{}/reset-password", "rob", "bob", {}),
    ("GET", "/models/{}", "private", "missing", {}),
    ("DELETE", "/models/{0}?confirm={0}", "private", "missing", {}),
    ("GET", "/models/{}/openapi.json", "private", "missing", {}),
    ("GET", "/models/{}/versions", "private", "missing", {}),
    ("GET", "/models/{}/versions/1", "private", "missing", {}),
    ("PATCH", "/models/{}/versions/1", "private", "missing", {"json": {"pinned": True}}),
    ("DELETE", "/models/{}/versions/1", "private", "missing", {}),
    ("GET", "/models/{}/versions/1/report", "private", "missing", {}),
    ("GET", "/models/{}/versions/1/evaluation", "private", "missing", {}),
    ("GET", "/models/{}/aliases", "private", "missing", {}),
    ("GET", "/models/{}/aliases/champion", "private", "missing", {}),
    ("PUT", "/models/{}/aliases/champion", "private", "missing", {"json": {"version": 1}}),
    ("DELETE", "/models/{}/aliases/champion", "private", "missing", {}),
    ("POST", "/models/{}/aliases/champion/rollback", "private", "missing", {}),
    ("POST", "/models/{}/predict", "private", "missing", {"json": {"features": [5, 10]}}),
    ("GET", "/models/{}/route", "private", "missing", {}),
    ("PUT", "/models/{}/route", "private", "missing", {"json": ROUTE}),
    ("DELETE", "/models/{}/route", "private", "missing", {}),
    ("GET", "/models/{}/gate", "private", "missing", {}),
    ("DELETE", "/models/{}/gate", "private", "missing", {}),
    ("GET", "/models/{}/versions/1/gate", "private", "missing", {}),
    ("GET", "/models/{}/drift", "private", "missing", {}),
    ("GET", "/models/{}/drift/report", "private", "missing", {}),
    ("GET", "/models/{}/log", "private", "missing", {}),
    ("PUT", "/models/{}/log", "private", "missing", {"json": {"sample": 1}}),
    ("DELETE", "/models/{}/log", "private", "missing", {}),
    ("GET", "/models/{}/log/segments", "private", "missing", {}),
    (
        "GET",
        f"/models/{{}}/log/segments/{PLACEHOLDERS['segment']}",
        "private",
        "missing",
        {},
    ),
    ("GET", "/v2/models/{}", "private", "missing", {}),
    ("GET", "/v2/models/{}/versions/1", "private", "missing", {}),
    ("GET", "/v2/models/{}/ready", "private", "missing", {}),
    ("GET", "/v2/models/{}/versions/1/ready", "private", "missing", {}),
    ("GET", "/v2/models/{}/config", "private", "missing", {}),
    ("GET", "/v2/models/{}/versions/1/config", "private", "missing", {}),
    ("GET", "/v2/models/{}/stats", "private", "missing", {}),
    ("GET", "/v2/models/{}/versions/1/stats", "private", "missing", {}),
    ("POST", "/v2/models/{}/infer", "private", "missing", TENSORS),
    ("POST", "/v2/models/{}/versions/1/infer", "private", "missing", TENSORS),
    ("POST", "/v2/repository/models/{}/unload", "private", "missing", {}),
    ("POST", "/v2/repository/models/{}/load", "private", "missing", {}),
    ("GET", "/admin/users?tenant={}", "acme", "none", {}),
    ("GET", "/admin/audit?tenant={}", "acme", "none", {}),
    ("GET", "/admin/usage?tenant={}", "acme", "none", {}),
    ("GET", "/admin/limits?tenant={}", "acme", "none", {}),
    ("GET", "/admin/clients?tenant={}", "acme", "none", {}),
    ("POST", "/admin/users?tenant={}", "acme", "none", {"json": EVE}),
    ("POST", "/admin/clients?tenant={}", "acme", "none", {"json": ROBOT}),
    ("GET", "/admin/users/rob?tenant={}", "acme", "none", {}),
    ("PATCH", "/admin/users/rob?tenant={}", "acme", "none", {"json": DISABLED}),
    ("POST", "/admin/users/rob/reset-password?tenant={}", "acme", "none", {}),
    ("DELETE", f"/admin/clients/{PLACEHOLDERS['client_id']}?tenant={{}}", "acme", "none", {}),
)
# The first has no tenant; of the others the objects are made, in tests of their own below.
APART: Final = {
    ("GET", "asset"),
    ("DELETE", "client_id"),
    ("POST", "model"),
    ("GET", "job_id"),
    ("DELETE", "job_id"),
}


# What is set by a name that need not be there yet; that it is the own tenant's has its own test.
BY_NAME: Final = {("PUT", "/models/{}/gate")}


def test_every_object_that_an_address_can_name_is_tried_with_another_tenants(house: House) -> None:
    tried = {
        (method, path.replace("/rob", "/{}").replace("{0}?confirm={0}", "{}"))
        for method, path, *_ in OBJECTS
    }
    for rule, method in routes(house.app):
        path = path_of(rule, username="{}", model="{}")
        is_apart = (method, *rule.arguments) in APART or (method, path) in BY_NAME
        if rule.arguments and not is_apart:
            assert (method, path) in tried, rule
        permission = access(house, rule).permission
        if path.startswith("/admin") and permission in PERMISSIONS[Role.ADMIN]:
            assert (method, f"{path}?tenant={{}}") in tried, rule


@pytest.mark.parametrize(("method", "path", "theirs", "nobodys", "options"), OBJECTS)
def test_another_tenants_object_answers_like_an_absent_one(
    house: House, method: str, path: str, theirs: str, nobodys: str, options: dict[str, Any]
) -> None:
    house.add_version("private")
    there = house.gail.call(method, path.format(theirs), **options)
    absent = house.gail.call(method, path.format(nobodys), **options)

    # TF Serving has no status of its own for a label that no model has.
    assert there.status_code == absent.status_code == (400 if "/labels/" in path else 404)
    assert same_but_for_the_name(there, theirs) == same_but_for_the_name(absent, nobodys)
    assert unvarying(there) == unvarying(absent)


def test_a_version_that_another_tenant_alone_has_answers_like_an_absent_one(house: House) -> None:
    """Both have the model; Acme's has a second version and an alias besides."""
    house.add_version()
    house.ada.call("PUT", "/models/linear/aliases/canary", json={"version": 2})
    assert house.ada.get("/models/linear/versions/2").status_code == 200
    for there, nowhere in (("2", "3"), ("canary", "none")):
        for method, options in (("GET", {}), ("PATCH", {"json": {"pinned": True}}), ("DELETE", {})):
            theirs = house.gail.call(method, f"/models/linear/versions/{there}", **options)
            absent = house.gail.call(method, f"/models/linear/versions/{nowhere}", **options)
            assert theirs.status_code == absent.status_code == 404
            assert same_but_for_the_name(theirs, there) == same_but_for_the_name(absent, nowhere)


def test_another_tenants_service_account_answers_like_an_absent_one(house: House) -> None:
    body = {"name": "robot", "scope": "predict"}
    made = house.ada.post("/admin/clients", json=body).get_json()
    absent_id = "cli_" + "f" * 24

    there = house.gail.call("DELETE", f"/admin/clients/{made['id']}")
    absent = house.gail.call("DELETE", f"/admin/clients/{absent_id}")

    assert there.status_code == absent.status_code == 404
    assert same_but_for_the_name(there, made["id"]) == same_but_for_the_name(absent, absent_id)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_another_tenants_job_answers_like_an_absent_one(house: House, method: str) -> None:
    made = house.ada.post("/models/private/versions", data=b"x").get_json()["id"]
    absent_id = PLACEHOLDERS["job_id"]

    there = house.gail.call(method, f"/jobs/{made}")
    absent = house.gail.call(method, f"/jobs/{absent_id}")

    assert there.status_code == absent.status_code == 404
    assert same_but_for_the_name(there, made) == same_but_for_the_name(absent, absent_id)
    assert house.ada.get(f"/jobs/{made}").get_json()["state"] == "received"
    assert house.gail.get("/jobs").get_json() == []


def test_an_upload_goes_to_the_own_tenant_whatever_it_is_called(house: House) -> None:
    before = house.ada.get("/models").get_json()
    upload(house.gail, path="/models/private/versions")
    upload(house.gail, path="/models/linear/versions?promote=true")
    assert work(house) == 2

    assert house.ada.get("/models").get_json() == before
    assert house.gail.get("/models/private").get_json()["versions"] == [1]


def test_a_gate_is_of_the_own_tenants_model_whatever_it_is_called(house: House) -> None:
    house.add_version("private")
    gate = {"rules": [{"metric": "rmse", "at_most": 1}]}
    for name in ("private", "missing"):
        assert house.gail.call("PUT", f"/models/{name}/gate", json=gate).status_code == 200
        assert house.ada.get(f"/models/{name}/gate").status_code == 404
    version = house.add_version("private")
    answer = house.ada.call("PUT", "/models/private/aliases/champion", json={"version": 2})
    assert version.number == 2
    assert answer.status_code == 200


def test_a_prediction_never_uses_another_tenants_model(house: House) -> None:
    house.add_version("private")
    assert house.ada.predict([5, 10], model="private").status_code == 200
    assert house.gail.predict([5, 10], model="linear").status_code == 200
    answer = house.gail.predict([5, 10], model="private")
    absent = house.gail.predict([5, 10], model="missing")

    assert answer.status_code == absent.status_code == 404
    assert same_but_for_the_name(answer, "private") == same_but_for_the_name(absent, "missing")


def same_but_for_the_name(response: TestResponse, name: str) -> str:
    body = response.get_json()
    body.pop("request_id", None)  # problem documents alone have one in the body
    return re.sub(rf"\b{re.escape(name)}\b", "*", json.dumps(body))


def unvarying(response: TestResponse) -> dict[str, str]:
    varying = {"X-Request-Id", "RateLimit", "Content-Length"}
    return {name: value for name, value in response.headers if name not in varying}
