"""What happens when a part that the platform stands on fails."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

import config.database
from auth.records import TenantRow
from config.settings import Settings
from models.errors import PredictionFailed
from models.versions import Version
from service.operations import tenants
from tests.house import House, opened
from tests.service.problems import refused


@pytest.fixture
def hurried(house_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """An installation that waits for a locked database for a moment only."""
    monkeypatch.setattr(config.database, "BUSY_SECONDS", 0.2)
    with opened(house_settings) as house:
        yield house


@contextmanager
def locked(house: House) -> Iterator[None]:
    """Somebody else writes, and does not come to an end."""
    other = sqlite3.connect(house.folder / "sallyport.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


def test_while_the_database_is_locked_known_callers_predict_and_changes_wait(
    hurried: House,
) -> None:
    token = hurried.ada.token
    assert hurried.ada.predict([5, 10]).status_code == 200

    with locked(hurried):
        assert hurried.ada.predict([5, 10]).status_code == 200
        refused(hurried.gail.login(), 503, "unavailable")
        refused(hurried.ada.post("/auth/logout"), 503, "unavailable")

    assert hurried.gail.login().status_code == 200
    assert hurried.ada.post("/auth/logout").status_code == 204
    assert (
        hurried.client.get("/models", headers={"Authorization": f"Bearer {token}"}).status_code
        == 401
    )


def test_a_corrupt_artefact_is_not_served_and_hurts_no_other_model(house: House) -> None:
    acme = house.operator("acme").tenant_id
    for artefact in (house.folder / "artefacts" / acme).iterdir():
        artefact.write_bytes(artefact.read_bytes()[:-1] + b"\0")

    broken = house.ada.predict([5, 10])

    assert broken.status_code == 503
    assert "artefact" not in broken.text
    assert house.gail.predict([5, 10]).status_code == 200


def test_a_deleted_tenants_key_leaves_the_files_of_the_database(house: House) -> None:
    with house.platform.database.read() as session:
        query = select(TenantRow.data_key).where(TenantRow.name == "globex")
        sealed = session.scalars(query).one()

    tenants.delete_tenant(house.platform, house.operator(), "globex")

    for file in house.folder.glob("sallyport.db*"):
        assert sealed not in file.read_bytes()


def test_what_callers_bring_about_is_no_error_and_its_log_names_no_model(house: House) -> None:
    assert house.ben.post("/v2/repository/models/linear/unload").status_code == 200

    with capture_logs() as lines:
        refused(house.rob.predict([5, 10]), 503, "model-unloaded")

    assert {line["log_level"] for line in lines} <= {"info", "debug"}
    [said] = [line for line in lines if line["event"] == "refused"]
    assert said == {"event": "refused", "log_level": "info", "problem": "model-unloaded"}


def test_what_a_library_says_of_the_rows_is_neither_told_nor_logged(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(version: Version, *_: Any, **__: Any) -> NoReturn:
        raise PredictionFailed(version.model, version.number, "cannot convert '4711'")

    monkeypatch.setattr(house.platform.executor, "answer", fail)
    with capture_logs() as lines:
        body = refused(house.rob.predict([5, 10]), 500, "prediction-failed")

    assert "4711" not in str(body)
    assert "4711" not in str(lines)
    assert {line["log_level"] for line in lines} <= {"info", "debug"}
