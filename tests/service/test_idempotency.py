"""Idempotency-Key: what is sent again acts once, and is answered alike."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from werkzeug.test import TestResponse

from service.operations import routing
from tests.house import Actor, House, opened
from tests.service.problems import pointers, refused

KEY = {"Idempotency-Key": '"8e03978e-40d5-43e8-bc93-6894a57f9324"'}
EVE = {"username": "eve", "role": "caller"}
ROUTE = {"split": [{"version": 1, "weight": 1}]}


def create(actor: Actor, body: dict[str, Any] = EVE, key: dict[str, str] = KEY) -> TestResponse:
    return actor.post("/admin/users", json=body, headers=key)


def route(actor: Actor) -> TestResponse:
    return actor.call("PUT", "/models/linear/route", json=ROUTE, headers=KEY)


def replayed(response: TestResponse) -> bool:
    return response.headers.get("Idempotency-Replayed") == "true"


def audited(house: House, action: str, subject: str) -> int:
    records = house.ada.get("/admin/audit?limit=1000").get_json()
    return sum((one["action"], one["subject"]) == (action, subject) for one in records)


def fail(*_: object, **__: object) -> None:
    raise RuntimeError("on purpose")


def test_what_is_sent_again_acts_once_and_is_answered_alike(house: House) -> None:
    first, again = create(house.ada), create(house.ada)

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.get_json()["password"]
    assert again.data == first.data
    assert again.headers["Content-Type"] == first.headers["Content-Type"]
    assert (replayed(first), replayed(again)) == (False, True)
    assert audited(house, "users.create", "eve") == 1


def test_the_quoted_and_the_bare_form_are_one_key(house: House) -> None:
    create(house.ada, key={"Idempotency-Key": "abc"})

    assert replayed(create(house.ada, key={"Idempotency-Key": ' "abc" '}))


@pytest.mark.parametrize("key", ["", '""', '"a', "a b", "a,b", '"\\x"', "é", "x" * 256])
def test_what_is_no_key_is_refused(shared_house: House, key: str) -> None:
    response = create(shared_house.ada, key={"Idempotency-Key": key})

    assert pointers(refused(response, 400, "invalid-input")) == {"/Idempotency-Key"}


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/admin/users", EVE | {"role": "developer"}, {}),
        ("/admin/users?tenant=acme", EVE, {}),
        ("/admin/clients", EVE, {}),
        ("/admin/users", EVE, {"If-Match": '"1"'}),
    ],
)
def test_a_key_stands_for_one_request(
    house: House, path: str, body: dict[str, str], headers: dict[str, str]
) -> None:
    create(house.ada)

    other = house.ada.post(path, json=body, headers=KEY | headers)

    refused(other, 422, "idempotency-key-reused")


def test_a_key_is_of_one_principal_of_one_tenant(house: House) -> None:
    first, theirs = create(house.ada), create(house.gail)

    assert (theirs.status_code, replayed(theirs)) == (201, False)
    assert theirs.get_json()["password"] != first.get_json()["password"]


def test_an_error_of_the_request_is_kept(house: House) -> None:
    taken = {"username": "rob", "role": "caller"}
    first, again = create(house.ada, taken), create(house.ada, taken)

    refused(first, 409, "conflict")
    assert again.data == first.data
    assert replayed(again)


def test_a_refusal_takes_no_key(house: House) -> None:
    more = {"name": "robot", "scope": "tenants"}
    assert house.client.post("/admin/users", json=EVE, headers=KEY).status_code == 401
    assert create(house.ben).status_code == 403
    assert house.ada.post("/admin/clients", json=more, headers=KEY).status_code == 403

    assert create(house.ada).status_code == 201


def test_a_failure_that_changed_nothing_takes_no_key(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.ben.login()
    with monkeypatch.context() as broken:
        broken.setattr(type(house.platform.audit), "append", fail)
        assert route(house.ben).status_code == 500

    assert route(house.ben).status_code == 200
    assert replayed(route(house.ben))


def test_what_was_done_before_its_answer_was_lost_is_not_done_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(routing, "show_route", fail)
        assert route(house.ben).status_code == 500

    refused(route(house.ben), 409, "answer-lost")
    assert audited(house, "models.route.set", "linear") == 1


def test_a_request_is_not_run_beside_itself(house: House) -> None:
    with meanwhile(house, lambda: create(house.ada)) as answers:
        assert create(house.ada).status_code == 201

    refused(answers[0], 409, "still-running")
    assert answers[0].headers["Retry-After"] == "1"
    assert audited(house, "users.create", "eve") == 1


def test_workers_know_each_others_keys(house: House) -> None:
    with opened(house.platform.settings) as other:
        actors = [house.ada, house.ada.through(other.client)]
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(create, actors))

        assert {answer.status_code for answer in answers} <= {201, 409}
        assert {answer.status_code for answer in answers} >= {201}
        assert [replayed(create(actor)) for actor in actors] == [True, True]
    assert audited(house, "users.create", "eve") == 1


def test_predictions_tokens_and_reading_take_no_key(house: House) -> None:
    login = {"tenant": "acme", "username": "rob", "password": house.rob.password}
    for _ in range(2):
        assert not replayed(house.rob.post("/predict", json={"features": [5, 10]}, headers=KEY))
        assert not replayed(house.client.post("/auth/login", json=login, headers=KEY))
        assert not replayed(house.ada.get("/admin/users", headers=KEY))


def test_an_upload_sent_again_makes_one_job(house: House) -> None:
    def send(data: bytes, note: str) -> TestResponse:
        # The boundary is another each time.
        form = {"file": (io.BytesIO(data), "model.skops"), "note": note}
        return house.ben.post("/models/new/versions", data=form, headers=KEY)

    first, again = send(b"model", "one"), send(b"model", "one")

    assert (first.status_code, again.status_code) == (202, 202)
    assert again.get_json() == first.get_json()
    assert again.headers["Location"] == first.headers["Location"]
    assert (replayed(first), replayed(again)) == (False, True)
    assert len(house.ben.get("/jobs").get_json()) == 1
    assert len(house.platform.uploads.jobs(house.operator("acme").tenant_id)) == 1
    refused(send(b"other", "one"), 422, "idempotency-key-reused")
    refused(send(b"model", "two"), 422, "idempotency-key-reused")


@contextmanager
def meanwhile(house: House, work: Callable[[], TestResponse]) -> Iterator[list[TestResponse]]:
    """Have something else done while the first user is created."""
    answers: list[TestResponse] = []
    prepare = house.platform.hasher.prepare

    def slow(*args: Any, **options: Any) -> Any:
        if not answers:
            with ThreadPoolExecutor(1) as pool:
                answers.append(pool.submit(work).result())
        return prepare(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(house.platform.hasher, "prepare", slow)
        yield answers
