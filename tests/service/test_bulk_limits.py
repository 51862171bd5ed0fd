"""Files of rows: what they are admitted by, bounded by and charged, and how their calls end."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
from werkzeug.test import TestResponse

from config.settings import Settings, load_settings
from service import dataplane
from service.errors import CallAbandoned
from service.operations import accounts, plans
from service.spools import UPLOAD, Spool, Upload
from service.wsgi import BODY
from tests.house import UNHURRIED, Actor, House
from tests.service.problems import pointers, refused

PATH: Final = "/models/linear/predict"
LEFT: Final = re.compile(r'"(\w+)";r=(\d+)')


@pytest.fixture
def house_settings(demo_instance: Path) -> Settings:
    """Files of rows are small, and answered row by row."""
    return load_settings(demo_instance, max_bulk_bytes=20_000, max_bulk_rows=1500, **UNHURRIED)


def ask(actor: Actor, rows: int, line: str = "5,10", *, query: str = "") -> TestResponse:
    """Send so many lines."""
    headers = {"Content-Type": "text/csv"}
    return actor.post(PATH + query, data=f"{line}\n" * rows, headers=headers, buffered=True)


def left(response: TestResponse) -> dict[str, int]:
    """What an answer says is left of the limits that the caller is closest to."""
    return {name: int(count) for name, count in LEFT.findall(response.headers["RateLimit"])}


def limit(house: House, **values: int) -> None:
    plans.set_limits(house.platform, house.operator("acme"), values=values)


def test_a_file_is_bounded_in_bytes_and_rows_and_so_are_its_answers(house: House) -> None:
    assert ask(house.ada, 1500).status_code == 200
    refused(ask(house.ada, 6000), 413, "too-large")
    assert pointers(refused(ask(house.ada, 1501), 400, "invalid-input")) == {"/rows"}
    assert "answers" in refused(ask(house.ada, 1500, ".1,.3"), 400, "invalid-input")["detail"]


def test_a_call_is_charged_as_one_request_and_its_rows(house: House) -> None:
    limit(house, requests_per_minute=10, rows_per_minute=1000)

    assert left(ask(house.ada, 300)) == {"requests_per_minute": 9, "rows_per_minute": 700}
    assert left(ask(house.ada, 100, query="?method=predict"))["rows_per_minute"] == 600
    assert ask(house.ada, 5, query="?version=9").status_code == 404
    assert left(ask(house.ada, 100)) == {"requests_per_minute": 6, "rows_per_minute": 500}


def test_rows_that_a_limit_refuses_cost_nothing_but_the_request(house: House) -> None:
    limit(house, rows_per_minute=1000)

    body = refused(ask(house.ada, 1001), 429, "rate-limited")

    assert body["violated_policies"] == ["rows_per_minute"]
    assert left(ask(house.ada, 1000))["rows_per_minute"] == 0


def test_more_rows_than_a_file_said_are_charged_as_they_come(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.readers.Reading.rows", 1, raising=False)
    monkeypatch.setattr("models.readers.Reading.__setattr__", _but_rows, raising=False)
    limit(house, rows_per_minute=1000)

    assert left(ask(house.ada, 400))["rows_per_minute"] == 600
    assert pointers(refused(ask(house.ada, 1501), 400, "invalid-input")) == {"/rows"}


def _but_rows(reading: Any, name: str, value: Any) -> None:
    if name != "rows":
        object.__setattr__(reading, name, value)


def test_a_call_holds_one_of_the_places_for_concurrent_requests(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(house, concurrent_requests=1)
    inner: list[TestResponse] = []
    during(monkeypatch, lambda: inner.append(house.rob.predict([1, 2])))

    assert ask(house.ada, 3).status_code == 200

    assert refused(inner[0], 429, "rate-limited")["violated_policies"] == ["concurrent_requests"]
    assert house.rob.predict([1, 2]).status_code == 200


def during(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Have something happen while a batch is answered."""
    execute = dataplane.execute

    def acting(*arguments: Any) -> Any:
        act()
        return execute(*arguments)

    monkeypatch.setattr(dataplane, "execute", acting)


def test_an_account_that_is_disabled_meanwhile_gets_no_answer(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert house.rob.token
    change = {"state": "disabled"}
    during(monkeypatch, lambda: house.ada.call("PATCH", "/admin/users/rob", json=change))

    refused(ask(house.rob, 3), 401, "invalid-token")


def test_a_change_that_does_not_concern_the_caller_does_not_end_a_call(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert house.rob.token
    operator = house.operator("acme")
    during(monkeypatch, lambda: accounts.create_user(house.platform, operator, "eve", "caller"))

    assert ask(house.rob, 3).status_code == 200


def test_a_call_that_takes_too_long_is_ended(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10**9, 1000))
    slow = SimpleNamespace(monotonic=lambda: float(next(clock)))
    monkeypatch.setattr("service.bulk.time", slow)

    refused(ask(house.ada, 3), 504, "model-timeout")


def test_usage_and_statistics_count_every_row(house: House) -> None:
    ask(house.ada, 300)
    refused(ask(house.ada, 2, "1,x"), 400, "invalid-input")

    [row] = house.ada.get("/admin/usage?by=model").get_json()
    assert (row["requests"], row["rows"]) == (1, 300)
    found = house.ada.get("/v2/models/linear/stats").get_json()["model_stats"][0]
    assert found["inference_count"] == 300
    assert found["inference_stats"]["success"]["count"] == 1
    assert found["inference_stats"]["fail"]["count"] == 1


def head(actor: Actor, upload: Upload, **options: Any) -> TestResponse:
    """The request as the gateway shows it: its head, or with its body."""
    headers = {"Content-Type": "text/csv"}
    overrides = {UPLOAD: upload}
    return actor.post(PATH, headers=headers, environ_overrides=overrides, buffered=True, **options)


def test_a_file_is_admitted_or_refused_by_its_head(house: House) -> None:
    upload = Upload(declared=8)
    assert head(house.rob, upload).status_code == 100
    assert upload.admission is not None
    assert upload.admission.most_bytes == 20_000
    assert upload.admission.scope.tenant == "acme"
    refused(head(house.rob, Upload(declared=20_001)), 413, "too-large")
    refused(head(house.olga, Upload(declared=8)), 403, "insufficient-scope")


def test_a_file_that_the_gateway_took_for_none_is_refused(house: House) -> None:
    headers, overrides = {"Content-Type": "text/csv"}, {BODY: b"5,10\n"}

    response = house.ada.post(PATH, data=b"5,10\n", headers=headers, environ_overrides=overrides)

    refused(response, 400, "bad-request")


def arrived(house: House, text: bytes) -> Upload:
    """A file that was admitted and has arrived."""
    upload = Upload(declared=len(text))
    assert head(house.ada, upload).status_code == 100
    upload.spool = Spool(house.folder / "uploads", least_free=0)
    upload.spool.write(text)
    upload.complete = True
    return upload


def test_a_file_that_has_arrived_is_answered_and_charged_once(house: House) -> None:
    limit(house, requests_per_minute=1000)
    before = left(house.ada.predict([1, 2]))["requests_per_minute"]

    with_body = arrived(house, b"5,10\n1,2\n")
    response = head(house.ada, with_body)

    assert response.text == "prediction\n15.0\n2.9999999999999996\n"
    assert left(house.ada.predict([1, 2]))["requests_per_minute"] == before - 2
    assert with_body.spool is not None
    with_body.spool.close()


def test_a_file_in_memory_is_charged_once_and_bounded_as_any(house: House) -> None:
    limit(house, requests_per_minute=10, rows_per_minute=1000)

    def held(rows: int) -> TestResponse:
        spool = Spool(house.folder / "uploads", least_free=0)
        upload = Upload(6 * rows, complete=True, spool=spool, body=b"5,10\n" * rows)
        with closing(spool):
            return head(house.ada, upload)

    assert left(held(300)) == {"requests_per_minute": 9, "rows_per_minute": 700}
    refused(held(5000), 413, "too-large")
    assert left(held(100)) == {"requests_per_minute": 7, "rows_per_minute": 600}


def test_a_call_whose_client_has_gone_ends(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = arrived(house, b"5,10\n" * 100)
    raised: list[type[Exception]] = []
    monkeypatch.setattr("service.faults.note", lambda _p, error, **_: raised.append(type(error)))
    during(monkeypatch, upload.gone.set)

    assert head(house.ada, upload).status_code == 400

    assert raised == [CallAbandoned]
    assert upload.spool is not None
    upload.spool.close()


def test_nothing_stays_on_the_disk(house: House) -> None:
    for rows, line in ((10, "1,2"), (10, "1,x"), (6000, "1,2")):
        ask(house.ada, rows, line)
    assert not list((house.folder / "uploads").rglob("*"))
