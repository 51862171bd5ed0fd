"""What is kept of predictions that are told of without Flask."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from config.telemetry import STAGES, Telemetry
from config.tracing import Tracing
from service import observing
from service.bootstrap import Platform
from service.observing import Identifiers, Outcome, Recurring
from tests.collector import Collector, collector
from tests.house import House
from tests.journeys.served import until

OUTCOME = Outcome(status=200, endpoint="predict.predict", method="POST", route="/predict")
SPENT = [0.001, 0.002, 0.003, 0.004, 0.005, 0.0065]
CONTEXT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def receiver() -> Iterator[Collector]:
    with collector() as found:
        yield found


def traced(house: House, receiver: Collector, ratio: float) -> Platform:
    """A platform that traces so many of its calls, and counts anew."""
    settings = replace(house.platform.settings, otel_endpoint=receiver.url, otel_sample_ratio=ratio)
    telemetry = Telemetry()
    tracing = Tracing(settings, telemetry, instance="this-one")
    return replace(house.platform, telemetry=telemetry, tracing=tracing)


def recurring(house: House, platform: Platform) -> Recurring:
    scope = house.operator("acme")
    with platform.database.read() as session:
        version = platform.registry.resolve(session, scope, "linear", 1)
    return Recurring(
        platform=platform,
        scope=scope,
        version=version,
        dialect="native",
        outcome=OUTCOME,
        tally=observing.tally_of(platform, version, "native", OUTCOME),
    )


def test_a_plain_prediction_is_counted_and_says_what_its_time_was_spent_on(
    shared_house: House, receiver: Collector
) -> None:
    platform = traced(shared_house, receiver, 0.0)
    timing, response = observing.tell(
        recurring(shared_house, platform), "id", rows=3, total=0.0225, spent=SPENT
    )

    assert timing == (
        "authenticate;dur=1.000, decode;dur=2.000, admit;dur=3.000, bind;dur=4.000,"
        " compute;dur=5.000, encode;dur=6.500, total;dur=22.500"
    )
    assert response is None
    told = platform.telemetry.exposition().decode()
    for line in (
        'requests_total{endpoint="predict.predict",method="POST",status="200"} 1.0',
        'request_seconds_sum{dialect="native",endpoint="predict.predict"} 0.0225',
        'predicted_rows_total{dialect="native",engine="linear"} 3.0',
        'stage_seconds_sum{dialect="native",stage="encode"} 0.0065',
    ):
        assert f"sallyport_{line}\n" in told


def test_a_plain_prediction_that_is_drawn_is_traced_as_any_other(
    shared_house: House, receiver: Collector
) -> None:
    platform = traced(shared_house, receiver, 1.0)
    asked = recurring(shared_house, platform)
    _, response = observing.tell(asked, "id", rows=3, total=0.0225, spent=SPENT)
    platform.tracing.close(5.0)

    until(lambda: bool(receiver.named("POST /predict")))
    [root] = receiver.named("POST /predict")
    assert response == f"00-{root.trace_id}-{root.span_id}-01"
    assert root.attributes["sallyport.principal_id"] == asked.scope.principal.id
    assert root.attributes["sallyport.version_id"] == asked.version.id
    assert root.attributes["sallyport.rows"] == 3
    stages = receiver.below(root)
    assert list(stages) == list(STAGES)
    assert stages["encode"].ended - stages["encode"].began == 6_500_000


def test_what_is_traced_for_its_caller_or_logged_is_not_plain(
    shared_house: House, receiver: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    tracing, silent = traced(shared_house, receiver, 0.0), shared_house.platform
    with caplog.at_level(logging.INFO):
        assert observing.is_plain(tracing, None)
        assert observing.is_plain(silent, CONTEXT)
        assert not observing.is_plain(tracing, CONTEXT)
    with caplog.at_level(logging.DEBUG):
        assert not observing.is_plain(silent, None)


def test_identifiers_are_never_given_twice_also_not_by_a_fork() -> None:
    identifiers = Identifiers()
    given = [identifiers.next() for _ in range(observing.IDS_AT_ONCE + 2)]
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, identifiers.next().encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        given.append(pipe.read())
    os.waitpid(child, 0)
    given += [identifiers.next() for _ in range(observing.IDS_AT_ONCE)]

    assert len(set(given)) == len(given)
    assert all(re.fullmatch("[0-9a-f]{16}", each) for each in given)
