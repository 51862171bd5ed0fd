"""Predictions that are waited for: answered in front of Flask, charged and failing as within it."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import orjson
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer

from models.errors import DeadlineExceeded, PredictionFailed, RowsRefused
from models.handlers.skops_file import write_skops
from service import visits
from service.express import answering
from service.express.answering import Express
from service.express.errands import Errand
from service.operations import tenants
from service.operations.registration import register
from service.visits import Setback
from service.wsgi import Answer
from tests.both_ways import BothWays
from tests.contracts.test_express import recognised
from tests.house import House
from tests.service.problems import refused

BODY = b'{"features":[0.25,0.75],"model":"curved"}'
JSON = {"content_type": "application/json"}


@functools.cache
def file() -> bytes:
    """A model that no engine answers."""
    rows = np.linspace(0, 1, 40).reshape(20, 2)
    model = make_pipeline(SplineTransformer(3), LogisticRegression())
    return write_skops(model.fit(rows, np.arange(20) % 2))


@pytest.fixture
def curved(house: House) -> House:
    """A house with such a model, which was called once."""
    prepared = house.platform.hosting.intake.run(file(), formats={"skops"})
    register(house.platform, house.operator("acme"), "curved", prepared)
    assert house.rob.post("/predict", data=BODY, **JSON).status_code == 200
    return house


def errand(house: House, express: Express) -> Errand:
    """What the express makes of such a call of Rob's, once it has learned of it."""
    known = recognised(express, house, BODY)
    said = express.answer(known, BODY)
    if callable(said):
        said()
        said = express.answer(known, BODY)
    assert isinstance(said, Errand)
    return said


def left(answer: Any) -> dict[str, int]:
    """What is left of the limits that an answer tells of."""
    field = {name.lower(): value for name, value in answer.headers}["ratelimit"]
    parts = [part.split(";") for part in field.split(", ")]
    return {name: int(rest[0].removeprefix("r=")) for name, *rest in parts}


def test_both_ways_answer_alike(curved: House) -> None:
    both: Any = curved.app.wsgi_app
    assert isinstance(both, BothWays)
    for _ in range(4):  # of which the first is a lesson
        assert curved.rob.post("/predict", data=BODY, **JSON).status_code == 200
    assert both.agreed == 3


def test_it_waits_among_those_who_wait_for_hosts_in_its_tenants_lane(curved: House) -> None:
    made = errand(curved, Express(curved.platform))
    assert (made.pace, made.lane) == ("waiting", curved.operator("acme").tenant_id)


def test_it_counts_as_the_long_way_does(curved: House) -> None:
    express = Express(curved.platform)
    before = curved.rob.post("/predict", data=BODY, **JSON)
    done = [errand(curved, express).run() for _ in range(3)][-1]
    assert isinstance(done, Answer)
    after = curved.rob.post("/predict", data=BODY, **JSON)

    assert {
        name: count - left(done)[name] for name, count in left(before).items()
    } == dict.fromkeys(left(before), 3)
    assert {name: count - 1 for name, count in left(done).items()} == left(after)
    assert done.body == after.data
    [usage] = curved.ada.get("/admin/usage").get_json()
    assert (usage["requests"], usage["rows"]) == (6, 6)
    scope = curved.operator("acme")
    [statistics] = curved.platform.counters.statistics(scope.tenant_id, "curved")
    assert (statistics.success_count, statistics.fail_count, statistics.rows) == (6, 0, 6)


def test_it_leaves_its_place(curved: House) -> None:
    limits = {"limits": {"concurrent_requests": 1}}
    assert curved.olga.call("PATCH", "/admin/limits?tenant=acme", json=limits).status_code == 200
    assert curved.rob.post("/predict", data=BODY, **JSON).status_code == 200
    express = Express(curved.platform)
    for _ in range(3):
        assert isinstance(errand(curved, express).run(), Answer)


def test_one_that_finds_no_place_is_left_alone(curved: House) -> None:
    limits = {"limits": {"concurrent_requests": 1}}
    assert curved.olga.call("PATCH", "/admin/limits?tenant=acme", json=limits).status_code == 200
    assert curved.rob.post("/predict", data=BODY, **JSON).status_code == 200
    made = errand(curved, Express(curved.platform))
    key = (curved.operator("acme").tenant_id, "concurrent_requests")
    assert curved.platform.counters.enter(key, 1, curved.platform.holder)
    assert made.run() is None
    refused(curved.rob.post("/predict", data=BODY, **JSON), 429, "rate-limited")


def test_one_that_a_limit_does_not_admit_is_left_alone_and_uncharged(curved: House) -> None:
    limits = {"limits": {"user_requests_per_minute": 3}}
    assert curved.olga.call("PATCH", "/admin/limits?tenant=acme", json=limits).status_code == 200
    assert curved.rob.post("/predict", data=BODY, **JSON).status_code == 200
    express = Express(curved.platform)
    assert isinstance(errand(curved, express).run(), Answer)
    assert errand(curved, express).run() is None
    assert errand(curved, express).run() is None
    refused(curved.rob.post("/predict", data=BODY, **JSON), 429, "rate-limited")


def test_what_changed_while_it_waited_is_seen(curved: House) -> None:
    made = errand(curved, Express(curved.platform))
    tenants.suspend_tenant(curved.platform, curved.operator(), "acme")
    assert made.run() is None


@pytest.mark.parametrize(
    ("error", "status", "problem"),
    [
        (PredictionFailed("curved", 1, "secret 4711"), 500, "prediction-failed"),
        (DeadlineExceeded("curved", 1, 30.0), 504, "model-timeout"),
        (RowsRefused("its own library refuses them"), 422, "rows-refused"),
        (RuntimeError("secret 4711"), 500, "internal"),
    ],
    ids=["failed", "late", "refused", "unforeseen"],
)
def test_a_failure_is_charged_and_computed_once_and_told_by_the_application(
    curved: House, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, problem: str
) -> None:
    made = errand(curved, Express(curved.platform))
    before = curved.rob.post("/predict", data=BODY, **JSON)
    asked = []

    def fail(*_: Any, **__: Any) -> None:
        asked.append(1)
        raise error

    monkeypatch.setattr(curved.platform.executor, "answer", fail)
    done = made.run()
    assert isinstance(done, Setback)
    answer = curved.rob.post("/predict", data=BODY, environ_base={visits.SETBACK: done}, **JSON)

    body = refused(answer, status, problem)
    assert "4711" not in str(body)
    assert asked == [1]
    told = Answer(status, list(answer.headers), answer.data)
    assert {name: count - 1 for name, count in left(before).items()} == left(told)
    scope = curved.operator("acme")
    [statistics] = curved.platform.counters.statistics(scope.tenant_id, "curved")
    assert (statistics.success_count, statistics.fail_count) == (2, 1)


def test_rows_that_do_not_fit_are_left_alone_and_uncharged(curved: House) -> None:
    express = Express(curved.platform)
    errand(curved, express)
    made = express.answer(
        recognised(express, curved, BODY), b'{"features":[1,2,3],"model":"curved"}'
    )
    assert isinstance(made, Errand)
    before = curved.rob.post("/predict", data=BODY, **JSON)
    assert made.run() is None
    after = curved.rob.post("/predict", data=BODY, **JSON)
    assert left(after) == {name: count - 1 for name, count in left(before).items()}


def test_no_header_brings_a_setback(curved: House) -> None:
    headers = {visits.SETBACK: "1", visits.SETBACK.replace(".", "_"): "1"}
    assert curved.rob.post("/predict", data=BODY, headers=headers, **JSON).status_code == 200


def test_compiled_models_that_take_long_are_waited_for_as_well(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b'{"features":[5,10]}'
    express = Express(house.platform)
    assert house.rob.predict([5, 10]).status_code == 200
    said: Any = express.answer(recognised(express, house, body), body)
    said()
    monkeypatch.setattr(answering, "MOST_MICROSECONDS", 0.0)
    made = express.answer(recognised(express, house, body), body)
    assert isinstance(made, Errand)
    assert made.pace == "quick"
    done = made.run()
    assert isinstance(done, Answer)
    assert isinstance(done.body, bytes)
    assert orjson.loads(done.body)["prediction"] == [15.0]


def test_a_traced_call_goes_the_long_way(curved: House, monkeypatch: pytest.MonkeyPatch) -> None:
    express = Express(curved.platform)
    errand(curved, express)
    monkeypatch.setattr(curved.platform.tracing, "is_on", True)
    assert express.answer(recognised(express, curved, BODY), BODY) is None


def test_large_bodies_are_read_in_a_thread_of_their_own(house: House) -> None:
    rows = [[5, 10]] * 2_000
    body = orjson.dumps({"features": rows})
    assert body.count(b",") > answering.EAGER_CELLS
    express = Express(house.platform)
    assert house.rob.post("/predict", data=body, **JSON).status_code == 200
    for _ in range(2):
        made = express.answer(recognised(express, house, body), body)
        assert isinstance(made, Errand)
        assert made.pace == "quick"
        done = made.run()
        if callable(done):
            done()
    assert isinstance(done, Answer)
    assert isinstance(done.body, bytes)
    assert orjson.loads(done.body)["prediction"] == [15.0] * 2_000


def test_large_bodies_for_hosts_wait_where_hosts_are_waited_for(curved: House) -> None:
    body = orjson.dumps({"features": [[0.25, 0.75]] * 1_100, "model": "curved"})
    express = Express(curved.platform)
    errand(curved, express)
    made = express.answer(recognised(express, curved, body), body)
    assert isinstance(made, Errand)
    assert made.pace == "quick"
    second = made.run()
    assert isinstance(second, Errand)
    assert second.pace == "waiting"
    assert isinstance(second.run(), Answer)


def test_what_nobody_foresaw_is_left_to_the_application(
    curved: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = errand(curved, Express(curved.platform))
    monkeypatch.setattr(type(curved.platform.counters), "charge", _fail)
    assert made.run() is None
    assert "an errand failed" in caplog.text
    assert "4711" not in caplog.text


def _fail(*_: Any, **__: Any) -> None:
    raise RuntimeError(f"secret {4700 + 11}")


@pytest.mark.parametrize(
    ("rows", "at_once"),
    [([[0.123456789, 0.75]] * 1_000, True), ([[1, 2]] * 2_000, False)],
    ids=["few", "many"],
)
def test_bodies_of_few_cells_are_read_at_once(
    house: House, rows: list[list[float]], at_once: bool
) -> None:
    body = orjson.dumps({"features": rows})
    assert len(body) > answering.EAGER_BYTES
    express = Express(house.platform)
    assert house.rob.post("/predict", data=body, **JSON).status_code == 200
    said = express.answer(recognised(express, house, body), body)
    assert isinstance(said, Errand) != at_once
