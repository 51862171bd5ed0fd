"""Service accounts that prove themselves with every call, where clients know no token."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from service.lanes import Caller
from service.operations import clients, identity
from tests.auth.clock import Clock
from tests.house import House
from tests.service.robots import ENDS, NAME, SECONDS, end, hurried, looks
from tests.service.serving import served
from tests.service.uploading import REQUEST

ROWS = {"inputs": [[5, 10]]}


@dataclass
class Robot:
    """A service account of Acme that lasts 100 seconds."""

    house: House
    clock: Clock
    identifier: str
    secret: str

    def ask(
        self, path: str = "/invocations", *, secret: str | None = None, **options: Any
    ) -> TestResponse:
        """Ask with the identifier and secret, by default of a model."""
        options = {"json": ROWS} | options
        pair = (self.identifier, secret or self.secret)
        return self.house.client.post(path, auth=pair, **options)


@pytest.fixture
def robot(demo_instance: Path) -> Iterator[Robot]:
    with hurried(demo_instance) as (house, clock):
        scope = house.operator("acme")
        made = clients.create_client(
            house.platform, scope, NAME, "predict:linear", expires_in=SECONDS
        )
        yield Robot(house, clock, made.id, made.secret or "")


def test_known_account_is_charged_and_not_counted_by_address(robot: Robot) -> None:
    answers = [robot.ask() for _ in range(9)]

    assert [answer.status_code for answer in answers] == [200] * 9
    assert all(answer.headers["RateLimit"] for answer in answers)


def test_guesses_are_counted_by_address_and_stop_nobody_who_is_known(robot: Robot) -> None:
    assert robot.ask().status_code == 200
    guesses = [robot.ask(secret=f"sps_{number}") for number in range(5)]

    assert [guess.status_code for guess in guesses] == [401] * 3 + [429] * 2
    assert guesses[0].headers["WWW-Authenticate"].startswith("Basic realm=")
    assert guesses[0].get_json()["error_code"] == "UNAUTHENTICATED"
    assert guesses[-1].get_json()["error_code"] == "REQUEST_LIMIT_EXCEEDED"
    assert int(guesses[-1].headers["Retry-After"]) >= 1
    assert robot.ask().status_code == 200


def test_known_account_costs_no_look_at_the_accounts(robot: Robot) -> None:
    with looks(robot.house) as first:
        assert robot.ask().status_code == 200
    with looks(robot.house) as second:
        assert robot.ask().status_code == 200

    assert first
    assert not second


def test_the_secret_is_not_what_is_remembered(robot: Robot) -> None:
    robot.ask()
    platform = robot.house.platform
    key = identity.credential_key(platform, robot.identifier, robot.secret)

    assert platform.caches.basics.remembers(key)
    assert robot.secret.encode() not in key
    assert key != identity.credential_key(platform, robot.identifier, robot.secret + "x")


@pytest.mark.parametrize("how", ENDS)
def test_what_ends_the_account_holds_on_the_next_request(robot: Robot, how: str) -> None:
    assert robot.ask().status_code == 200
    end(robot.house, robot.clock, how)

    assert robot.ask().status_code == 401


def test_account_is_held_to_its_grants(robot: Robot) -> None:
    robot.house.add_version("other")

    assert robot.ask("/models/linear/invocations").status_code == 200
    refused = robot.ask("/models/other/invocations")
    assert (refused.status_code, refused.get_json()["error_code"]) == (403, "PERMISSION_DENIED")
    assert robot.ask("/models/absent/invocations").status_code == 403


def test_whoever_sends_none_is_told_of_both_ways(robot: Robot) -> None:
    response = robot.house.client.post("/invocations", json=ROWS)

    ways = response.headers.getlist("WWW-Authenticate")
    assert ways == ['Bearer realm="sallyport"', 'Basic realm="sallyport"']
    said = response.get_json()["message"]
    assert "Bearer" in said
    assert "Basic" in said
    other = robot.house.client.post("/predict", json=ROWS)
    assert other.headers.getlist("WWW-Authenticate") == ['Bearer realm="sallyport"']
    assert "Basic" not in other.get_json()["detail"]


def test_the_open_inference_protocol_takes_them_wherever_it_asks_for_a_permission(
    robot: Robot,
) -> None:
    tensor = {"name": "input", "shape": [1, 2], "datatype": "FP64", "data": [5, 10]}
    pair = (robot.identifier, robot.secret)

    assert robot.ask("/v2/models/linear/infer", json={"inputs": [tensor]}).status_code == 200
    for path in ("/v2/models/linear", "/v2/models/linear/ready", "/v2/models/linear/stats"):
        assert robot.house.client.get(path, auth=pair).status_code == 200
    assert robot.ask("/v2/repository/models/linear/unload", json={}).status_code == 403
    nobody = robot.house.client.get("/v2/models/linear")
    assert len(nobody.headers.getlist("WWW-Authenticate")) == 2
    paths = robot.house.client.get("/openapi.json").get_json()["paths"]
    protected = [
        operation["security"]
        for path, operations in paths.items()
        if path.startswith("/v2/")
        for method, operation in operations.items()
        if method in ("get", "post") and operation["security"]
    ]
    assert protected
    assert all([[*way] for way in ways] == [["bearer"], ["basic"]] for ways in protected)


@pytest.mark.parametrize("path", ["/predict", "/v1/models/linear:predict"])
def test_elsewhere_it_takes_a_token(robot: Robot, path: str) -> None:
    assert robot.ask().status_code == 200
    refused = robot.ask(path)

    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"].startswith("Bearer realm=")


@pytest.mark.parametrize(
    "header", ["Basic", "Basic !", "Basic bm9jb2xvbg==", "basic Og==", "Basic /w=="]
)
def test_what_is_no_pair_is_refused(robot: Robot, header: str) -> None:
    response = robot.house.client.post("/invocations", json=ROWS, headers={"Authorization": header})
    assert response.status_code == 401


def test_users_do_not_log_in_with_every_call(robot: Robot) -> None:
    ada = robot.house.ada
    response = robot.house.client.post("/invocations", json=ROWS, auth=(ada.username, ada.password))
    assert response.status_code == 401


def test_waiting_calls_are_sorted_by_tenant_once_the_account_is_known(robot: Robot) -> None:
    sort = served(robot.house).sort
    pair = base64.b64encode(f"{robot.identifier}:{robot.secret}".encode()).decode()
    header = f"Basic {pair}"

    asked = replace(REQUEST, path="/invocations", headers=[("authorization", header)])
    assert sort(asked) == Caller("quick", "192.0.2.7")
    robot.ask()
    assert sort(asked).lane == robot.house.operator("acme").tenant_id
