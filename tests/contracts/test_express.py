"""The short way of a prediction: it may only say yes, and what it says counts like the long way's.

That both ways say the same is seen with every prediction that the tests make (tests.both_ways).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from service.express.addresses import FIXED, PREDICT, ROUTES, address_of
from service.express.answering import MOST_BYTES, Express
from service.express.heads import Head
from service.operations import tenants
from service.wsgi import Answer
from tests.both_ways import BothWays, comparable
from tests.house import House
from tests.journeys.served import until
from tests.service.problems import refused

BODY = b'{"features":[5,10]}'
TYPE = "application/json"
PLAIN = {"content-type": "application/json", "host": "localhost", "user-agent": "curl/8"}


def head(house: House, body: bytes = BODY) -> dict[str, str]:
    """The headers of a plain prediction by Rob."""
    length = str(len(body))
    return PLAIN | {"authorization": f"Bearer {house.rob.token}", "content-length": length}


def recognised(express: Express, house: House, body: bytes = BODY) -> Head:
    """A call of Rob's whose body is not looked at yet."""
    known = express.recognise(PREDICT, head(house, body))
    assert known is not None
    return known


def ask(express: Express, house: House, body: bytes = BODY) -> Any:
    """What the express says to a call of Rob's that it recognises."""
    return express.answer(recognised(express, house, body), body)


def learned(house: House, body: bytes = BODY) -> Express:
    """An express that has seen such a call answered."""
    express = Express(house.platform)
    assert house.rob.post("/predict", data=body, content_type="application/json").status_code == 200
    lesson = ask(express, house, body)
    assert callable(lesson)
    lesson()
    assert isinstance(ask(express, house, body), Answer)
    return express


def test_calls_are_answered_the_short_way_once_their_caller_and_model_are_known(
    house: House,
) -> None:
    for _ in range(5):
        assert house.rob.predict([5, 10]).get_json()["prediction"] == [15.0]
    both: Any = house.app.wsgi_app
    assert isinstance(both, BothWays)
    assert both.agreed == 3


def test_calls_of_both_ways_count_alike(house: House) -> None:
    express = learned(house)
    before = house.rob.predict([5, 10])
    said = [ask(express, house) for _ in range(3)][-1]
    after = house.rob.predict([[5, 10], [1, 2]])

    def left(response: Any, which: int) -> int:
        field: str = response.headers["RateLimit"].split(", ")[which]
        return int(field.split(";")[1].removeprefix("r="))

    assert left(before, 0) - left(after, 0) == 4
    assert left(before, 1) - left(after, 1) == 5
    assert comparable(said).keys() == comparable(_as_answer(after)).keys()
    [usage] = house.ada.get("/admin/usage").get_json()
    assert (usage["requests"], usage["rows"]) == (7, 8)
    [statistics] = house.platform.counters.statistics(house.operator("acme").tenant_id)
    assert (statistics.success_count, statistics.fail_count, statistics.rows) == (7, 0, 8)


@pytest.mark.parametrize(
    "headers",
    [
        {"content-length": ""},
        {"content-length": "0"},
        {"content-length": "-1"},
        {"content-length": "１9"},
        {"content-length": str(MOST_BYTES + 1)},
        {"content-type": "text/csv"},
        {"content-type": ""},
        {"authorization": "Basic Og=="},
        {"authorization": "Bearer unknown"},
        {"content-encoding": "gzip"},
        {"transfer-encoding": "chunked"},
        {"expect": "100-continue"},
        {"idempotency-key": "1"},
        {"upgrade": "websocket"},
    ],
    ids=str,
)
def test_what_is_not_plain_is_not_taken(shared_house: House, headers: dict[str, str]) -> None:
    express = learned(shared_house)
    assert express.recognise(PREDICT, head(shared_house)) is not None
    assert express.recognise(PREDICT, head(shared_house) | headers) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"features":[]}',
        b'{"features":[5,10,15]}',
        b'{"features":[5,true]}',
        b'{"features":[5,null]}',
        b'{"features":[5,1e999]}',
        b'{"features":[5,10],"features":[5,10]}',
        b'{"features":[5,10],"model":"absent"}',
        b'{"features":[5,10],"version":2}',
        b'{"features":[5,10],"method":"predict_proba"}',
        b'{"features":[5,10],"more":1}',
    ],
)
def test_what_would_be_refused_is_left_alone(shared_house: House, body: bytes) -> None:
    express = learned(shared_house)
    said = express.answer(recognised(express, shared_house), body)
    if callable(said):  # nothing is known of such a call, and after its refusal no more than that
        said()
        said = express.answer(recognised(express, shared_house), body)
    assert not isinstance(said, Answer)


def _suspend(house: House) -> None:
    tenants.suspend_tenant(house.platform, house.operator(), "acme")


def _log_out(house: House) -> None:
    assert house.rob.post("/auth/logout").status_code == 204


def _unload(house: House) -> None:
    assert house.ben.post("/v2/repository/models/linear/unload").status_code == 200


def _keep_a_log(house: House) -> None:
    rule = {"sample": 1}
    assert house.ben.call("PUT", "/models/linear/log", json=rule).status_code == 200


def _spend_the_limit(house: House) -> None:
    limits = {"limits": {"user_requests_per_minute": 2}}
    assert house.olga.call("PATCH", "/admin/limits?tenant=acme", json=limits).status_code == 200


@pytest.mark.parametrize(
    "change",
    [_suspend, _log_out, _unload, _keep_a_log, _spend_the_limit],
    ids=lambda change: change.__name__,
)
def test_a_change_ends_it_with_the_next_call(house: House, change: Callable[[House], None]) -> None:
    express = learned(house)
    change(house)
    said = ask(express, house)
    assert not isinstance(said, Answer)
    response = house.rob.predict([5, 10])
    if callable(said) and response.status_code == 200:
        said()
        assert not isinstance(ask(express, house), Answer)


def test_it_answers_with_the_version_that_was_promoted(house: House) -> None:
    express = learned(house)
    number = house.add_version("linear", promote=True).number

    def version() -> Any:
        said = ask(express, house)
        if callable(said):
            house.rob.predict([5, 10])
            said()
        if not isinstance(said, Answer):
            return None
        assert isinstance(said.body, bytes)
        return orjson.loads(said.body)["version"]

    until(lambda: version() == number, seconds=60)  # when it is open


def test_calls_that_are_divided_go_the_long_way(house: House) -> None:
    express = learned(house)
    house.add_version("linear")
    split = {"split": [{"version": 1, "weight": 1}, {"version": 2, "weight": 1}]}
    assert house.ben.call("PUT", "/models/linear/route", json=split).status_code == 200

    def goes_the_long_way() -> bool:
        said = ask(express, house)
        if callable(said):
            house.rob.predict([5, 10])
            said()
        return said is None

    until(goes_the_long_way, seconds=60)  # when all of its versions are open


def test_a_refused_call_is_charged_once_and_by_the_long_way(house: House) -> None:
    express = learned(house)
    limits = {"limits": {"user_requests_per_minute": 4}}
    assert house.olga.call("PATCH", "/admin/limits?tenant=acme", json=limits).status_code == 200
    assert house.rob.predict([5, 10]).status_code == 200
    ask(express, house)()
    assert isinstance(ask(express, house), Answer)
    assert ask(express, house) is None
    refused(house.rob.predict([5, 10]), 429, "rate-limited")
    assert ask(express, house) is None


def test_every_address_is_a_route_of_the_application(shared_house: House) -> None:
    rules = {
        rule.rule: rule.endpoint
        for rule in shared_house.app.url_map.iter_rules()
        if "POST" in (rule.methods or ())
    }
    outcomes = [*(address.answered for address in FIXED.values()), *(r.answered for r in ROUTES)]
    for outcome in outcomes:
        assert rules[outcome.route] == outcome.endpoint


TENSOR = {"name": "rows", "shape": [1, 2], "datatype": "FP64", "data": [5, 10]}
BINARY = orjson.dumps(
    {
        "inputs": [
            {
                "name": "rows",
                "shape": [1, 2],
                "datatype": "FP64",
                "parameters": {"binary_data_size": 16},
            }
        ],
        "parameters": {"binary_data_output": True},
    }
)
IN_BINARY = {"Inference-Header-Content-Length": str(len(BINARY))}
INSTANCES = {"instances": [[5, 10]]}
FRAME = {"dataframe_split": {"data": [[5, 10]]}}


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/v2/models/linear/infer", {"inputs": [TENSOR]}, {}),
        ("/v2/models/linear/versions/1/infer", {"inputs": [TENSOR], "id": "7"}, {}),
        ("/v2/models/linear/versions/champion/infer", {"inputs": [TENSOR]}, {}),
        ("/v2/models/linear/infer", BINARY + bytes(16), IN_BINARY),
        (
            "/v2/models/linear/infer",
            {"inputs": [TENSOR | {"shape": [200, 2], "data": [0.1] * 400}]},
            {"Accept-Encoding": "gzip"},
        ),
        ("/v1/models/linear:predict", INSTANCES, {}),
        ("/v1/models/linear:predict", {"inputs": [[5, 10]]}, {}),
        ("/v1/models/linear/versions/1:predict", INSTANCES, {}),
        ("/v1/models/linear/labels/champion:predict", INSTANCES, {}),
        ("/invocations", FRAME, {}),
        ("/models/linear/invocations", INSTANCES, {}),
        ("/endpoints/linear/invocations", FRAME, {}),
        ("/serving-endpoints/linear/invocations", FRAME, {}),
    ],
    ids=str,
)
def test_every_dialect_is_answered_alike_both_ways(
    house: House, path: str, body: Any, headers: dict[str, str]
) -> None:
    both: Any = house.app.wsgi_app
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    for _ in range(4):
        response = house.rob.post(path, data=data, headers=headers, content_type=TYPE)
        assert response.status_code == 200, response.text
    assert both.agreed > 0


@pytest.mark.parametrize(
    "path",
    [
        "/predict/",
        "//predict",
        "/v2/models/Linear/infer",
        "/v2/models/linear/versions//infer",
        "/v2/models/linear%2Finfer",
        "/v2/models/a/b/infer",
        "/v1/models/linear/versions/01:predict",
        "/v1/models/linear:classify",
        "/other/linear/invocations",
        "/models/linear/predict",
        "/v2/models/linear/infer\n",
    ],
)
def test_other_spellings_and_addresses_are_the_applications(path: str) -> None:
    assert address_of(path) is None


def _as_answer(response: Any) -> Answer:
    return Answer(response.status_code, list(response.headers.items()), response.data)
