"""GET /metrics."""

from __future__ import annotations

from tests.house import House
from tests.service.problems import refused


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
