"""What happens when a part that the platform stands on fails."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import select

import config.database
from auth.records import TenantRow
from config.settings import Settings
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
