"""Calls as traces, in a real collector's hands."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from config.tracing import Tracing
from service.app import create_app
from tests.collector import Collector, Received, collector
from tests.house import House
from tests.journeys.served import until

STAGES = ["authenticate", "decode", "admit", "bind", "compute", "encode"]
PREDICT = "POST /predict"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Collector]:
    with collector() as found:
        yield found


@contextmanager
def tracing(house: House, receiver: Collector, ratio: float) -> Iterator[House]:
    """The same worker, but for its traces."""
    settings = replace(
        house.platform.settings,
        otel_endpoint=receiver.url,
        otel_headers="x-key=k1,authorization=Bearer xyz",
        otel_sample_ratio=ratio,
    )
    traces = Tracing(settings, house.platform.telemetry, instance="this-one")
    platform = replace(house.platform, tracing=traces)
    app = create_app(settings, platform)
    actors = {name: actor.through(app.test_client()) for name, actor in house.actors.items()}
    yield House(house.folder, platform, app, actors)
    traces.close(5.0)


@pytest.fixture(scope="module")
def traced(shared_house: House, receiver: Collector) -> Iterator[House]:
    """A worker that traces every call."""
    with tracing(shared_house, receiver, 1.0) as house:
        yield house


@pytest.fixture(scope="module")
def untraced(shared_house: House, receiver: Collector) -> Iterator[House]:
    """A worker that draws no call by itself."""
    with tracing(shared_house, receiver, 0.0) as house:
        yield house


def context(*, flags: str = "01") -> tuple[str, str, dict[str, str]]:
    trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)
    return trace_id, span_id, {"traceparent": f"00-{trace_id}-{span_id}-{flags}"}


def arrived(receiver: Collector, trace_id: str, name: str = PREDICT) -> Received:
    """The span of a trace, once it has come with all that is below it."""
    found: list[Received] = []

    def complete() -> bool:
        found[:] = [span for span in receiver.named(name) if span.trace_id == trace_id]
        return bool(found)

    until(complete)
    return found[0]


def test_a_prediction_is_a_span_and_its_stages_are_below_it(
    traced: House, receiver: Collector
) -> None:
    trace_id, span_id, headers = context()
    headers["tracestate"] = "vendor=t61rcWkgMzE"
    response = traced.rob.post("/predict", json={"features": [[5, 10], [1, 2]]}, headers=headers)

    root = arrived(receiver, trace_id)
    assert root.parent_id == span_id
    assert root.state == "vendor=t61rcWkgMzE"
    assert response.headers["traceresponse"] == f"00-{trace_id}-{root.span_id}-01"
    until(lambda: len(receiver.below(root)) == len(STAGES))
    stages = receiver.below(root)
    assert list(stages) == STAGES
    moments = [moment for each in STAGES for moment in (stages[each].began, stages[each].ended)]
    assert moments == sorted(moments)
    assert root.began <= moments[0]
    assert moments[-1] <= root.ended + 1_000_000


def test_a_span_names_nobody_but_by_identifiers(traced: House, receiver: Collector) -> None:
    trace_id, _, headers = context()
    response = traced.rob.post("/predict?canary=1", json={"features": [5, 10]}, headers=headers)

    root = arrived(receiver, trace_id)
    scope = traced.operator("acme")
    with traced.platform.database.read() as session:
        version = traced.platform.registry.resolve(session, scope, "linear", 1)
    principal = root.attributes.pop("sallyport.principal_id")
    assert isinstance(principal, str)
    assert principal != "rob"
    assert root.attributes == {
        "http.request.method": "POST",
        "http.route": "/predict",
        "http.response.status_code": 200,
        "sallyport.endpoint": "predict.predict",
        "sallyport.dialect": "native",
        "sallyport.request_id": response.headers["X-Request-Id"],
        "sallyport.tenant_id": scope.tenant_id,
        "sallyport.version_id": version.id,
        "sallyport.engine": version.manifest.contents.engine,
        "sallyport.rows": 1,
    }
    assert root.resource["service.name"] == "sallyport"
    assert root.resource["service.instance.id"] == "this-one"
    assert receiver.headers[-1]["authorization"] == "Bearer xyz"


def test_a_refusal_is_a_span_with_its_reason(traced: House, receiver: Collector) -> None:
    trace_id, _, headers = context()
    traced.client.post("/predict", json={"features": [5, 10]}, headers=headers)

    root = arrived(receiver, trace_id)
    assert root.attributes["sallyport.problem"] == "unauthenticated"
    assert root.attributes["sallyport.dialect"] == "native"
    assert "sallyport.tenant_id" not in root.attributes
    assert not root.failed


def test_a_malformed_context_is_as_none(traced: House, receiver: Collector) -> None:
    response = traced.client.get("/health/live", headers={"traceparent": "x" * 5_000})

    assert response.status_code == 200
    trace_id = response.headers["traceresponse"].split("-")[1]
    assert arrived(receiver, trace_id, "GET /health/live").parent_id == ""


def test_a_strangers_flag_samples_nothing(untraced: House) -> None:
    _, _, headers = context()

    assert "traceresponse" not in untraced.client.get("/health/live", headers=headers).headers
    assert "traceresponse" not in untraced.rob.predict([5, 10]).headers


def test_a_known_callers_flag_is_followed_so_often_and_no_more(untraced: House) -> None:
    followed = 0
    for _ in range(40):
        _, _, headers = context()
        body = {"features": [5, 10]}
        response = untraced.rob.post("/predict", json=body, headers=headers)
        assert response.status_code == 200
        followed += "traceresponse" in response.headers

    assert 1 <= followed < 40

    _, _, headers = context(flags="00")
    assert "traceresponse" not in untraced.rob.get("/models", headers=headers).headers


def test_a_collector_that_is_gone_fails_no_call(shared_house: House) -> None:
    with collector() as gone:
        gone.status = 400
        with tracing(shared_house, gone, 1.0) as house:
            assert house.rob.predict([5, 10]).status_code == 200
            until(lambda: 'spans_total{outcome="failed"}' in metrics(house))
            gone.status = 200
            assert house.rob.predict([5, 10]).status_code == 200
            until(lambda: gone.named(PREDICT))


def metrics(house: House) -> str:
    return house.platform.telemetry.exposition().decode()
