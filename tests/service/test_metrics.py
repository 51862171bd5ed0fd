"""GET /metrics."""

from __future__ import annotations

import importlib
import pkgutil
import re
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service import protocols
from service.app import BLUEPRINTS, DIALECTS
from service.operations import maintenance
from tests.contracts.dialects import HTTP_DIALECTS, HttpDialect, Wish
from tests.house import House
from tests.service.problems import refused

TIMING = re.compile(
    r"authenticate;dur=#, decode;dur=#, admit;dur=#, bind;dur=#, compute;dur=#, encode;dur=#,"
    r" total;dur=#".replace("#", r"\d+\.\d{3}")
)


def test_operator_reads_prometheus_text(shared_house: House) -> None:
    shared_house.rob.predict([[5, 10], [1, 2]])

    response = shared_house.olga.get("/metrics")

    assert response.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert 'sallyport_requests_total{endpoint="predict.predict",method="POST",status="200"}' in (
        response.text
    )


def test_metrics_are_no_tenants_business(shared_house: House) -> None:
    refused(shared_house.ada.get("/metrics"), 403, "insufficient-scope")
    refused(shared_house.client.get("/metrics"), 401, "unauthenticated")


def test_metrics_hold_no_name_of_anybody(shared_house: House) -> None:
    shared_house.ada.predict([5, 10])
    text = shared_house.olga.get("/metrics").text

    for name in ("acme", "globex", "ada", "linear/", shared_house.ada.token[:20]):
        assert name not in text


def test_callers_words_make_no_new_series(shared_house: House) -> None:
    before = len(shared_house.olga.get("/metrics").text.splitlines())
    for number in range(50):
        shared_house.client.open(f"/nowhere{number}", method=f"WORD{number}")
        shared_house.client.open("/predict", method=f"WORD{number}")
    after = len(shared_house.olga.get("/metrics").text.splitlines())

    assert after - before < 50


def value_of(house: House, name: str, **labels: str) -> float:
    """The sum of a metric over the labels that are not given, after a look."""
    text = house.platform.telemetry.exposition().decode()
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


@pytest.mark.parametrize("kind", HTTP_DIALECTS, ids=lambda kind: kind.name)
def test_a_prediction_says_what_its_time_was_spent_on(
    shared_house: House, kind: type[HttpDialect]
) -> None:
    dialect = kind(shared_house.client)
    counts = ["sallyport_stage_seconds_count", "sallyport_predicted_rows_total"]
    before = [value_of(shared_house, name) for name in counts]
    answered = dialect.predict(shared_house.rob.token, Wish([[5.0, 10.0], [1.0, 2.0]]))
    refused = dialect.predict(shared_house.rob.token, Wish([[5.0]]))

    assert answered.status == 200
    assert TIMING.fullmatch(answered.headers["server-timing"])
    assert refused.status == 400
    assert "server-timing" not in refused.headers
    after = [value_of(shared_house, name) for name in counts]
    assert [now - then for now, then in zip(after, before, strict=True)] == [6, 2]


def test_every_dialect_is_counted_under_its_name_also_where_it_is_refused(
    shared_house: House,
) -> None:
    modules = [
        importlib.import_module(f"{protocols.__name__}.{found.name}")
        for found in pkgutil.iter_modules(protocols.__path__)
    ]
    named = {m.bp.name: getattr(m, "DIALECT", "native") for m in modules if m.bp in BLUEPRINTS}
    assert named == DIALECTS

    for kind in HTTP_DIALECTS:
        kind(shared_house.client).predict(None, Wish([[5.0, 10.0]]))
    for name in set(DIALECTS.values()) - {"columnar"}:
        labels = {"problem": "unauthenticated", "dialect": name}
        assert value_of(shared_house, "sallyport_refusals_total", **labels) >= 1, name


def test_nothing_that_is_no_prediction_says_how_long_it_took(shared_house: House) -> None:
    assert "Server-Timing" not in shared_house.ada.login().headers
    assert "Server-Timing" not in shared_house.rob.get("/models").headers


def test_what_is_kept_anyway_is_seen_by_looking(house: House) -> None:
    for _ in range(3):
        assert house.rob.predict([5, 10]).status_code == 200

    assert value_of(house, "sallyport_engines_open") == 1
    assert value_of(house, "sallyport_engines_open_bytes") > 0
    assert value_of(house, "sallyport_engines_opened_total") == 1
    hits = value_of(house, "sallyport_cache_lookups_total", cache="plans", outcome="hit")
    misses = value_of(house, "sallyport_cache_lookups_total", cache="plans", outcome="miss")
    assert misses == 1
    assert hits >= 2  # the express learns from it, too
    assert value_of(house, "sallyport_cache_entries", cache="plans") == 1
    assert value_of(house, "sallyport_database_connections") >= 1


def test_how_far_the_epoch_lags_is_shown(house: House) -> None:
    maintenance.follow_epoch(house.platform)
    with house.platform.database.write() as session:
        house.platform.epoch.raise_in(session)  # and its process dies before it publishes
    maintenance.follow_epoch(house.platform)

    assert value_of(house, "sallyport_epoch_lag_seconds_count") == 1
    assert value_of(house, "sallyport_epoch") == house.platform.epoch.current()
    assert time.time() - value_of(house, "sallyport_epoch_read_timestamp_seconds") < 60
    maintenance.follow_epoch(house.platform)
    assert value_of(house, "sallyport_epoch_lag_seconds_count") == 1


def test_the_certificate_and_the_jobs_that_wait_are_shown(house: House) -> None:
    maintenance.follow_certificate(house.platform)
    maintenance.follow_jobs(house.platform)

    expires = house.platform.authority.describe().not_after
    assert value_of(house, "sallyport_certificate_expiry_timestamp_seconds") == expires
    assert value_of(house, "sallyport_jobs", state="received") == 0
