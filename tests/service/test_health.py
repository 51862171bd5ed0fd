"""GET /health/live and /health/ready."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from models.hosting.confinement import Layer, SandboxReport
from service.operations import health
from tests.house import House
from tests.service.problems import refused


def test_live_says_that_the_process_answers(shared_house: House) -> None:
    response = shared_house.client.get("/health/live")
    assert response.get_json() == {"status": "live"}
    assert response.headers["Cache-Control"] == "no-store"


def test_ready_names_everything_that_was_tried(shared_house: House) -> None:
    body = shared_house.client.get("/health/ready").get_json()

    assert body["status"] == "ready"
    assert set(body["checks"]) >= {"database", "migrations", "epoch", "signing_key", "sandbox"}
    assert body["checks"].pop("sandbox") in {"full", "reduced"}
    assert set(body["checks"].values()) == {"ok"}


def test_not_ready_is_a_problem_that_names_what_fails(house: House) -> None:
    with house.platform.database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'another'"))

    body = refused(house.client.get("/health/ready"), 503, "not-ready")

    assert body["checks"]["migrations"] == "failing"
    assert body["checks"]["database"] == "ok"
    assert "another" not in str(body)


def test_not_ready_while_the_sandbox_is_weaker_than_it_must_be(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaky = Layer("calls", holds=False, reason="it was not refused")
    monkeypatch.setattr(health, "probe_apart", lambda: SandboxReport.of((leaky,)))

    body = refused(house.client.get("/health/ready"), 503, "not-ready")

    assert body["checks"]["sandbox"] == "failing"
    assert body["detail"] == "not ready: sandbox"


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_head_has_the_headers_and_no_body(shared_house: House, path: str) -> None:
    response = shared_house.client.head(path)
    assert response.status_code == 200
    assert response.data == b""
