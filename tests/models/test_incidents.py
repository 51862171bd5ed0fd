"""A version that ends its host again and again is broken, until somebody says otherwise."""

from __future__ import annotations

import pytest

from config.database import Database
from models.register.incidents import (
    BROKEN,
    CRASHED,
    MOST_CRASHES,
    WINDOW_SECONDS,
    DatabaseIncidents,
)
from models.versions import Version
from tests.models.conftest import Register, Tenant


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def incidents(database: Database, clock: Clock) -> DatabaseIncidents:
    return DatabaseIncidents(database, clock=clock)


@pytest.fixture
def versions(register: Register, acme: Tenant) -> tuple[Version, Version]:
    return register(acme, "one"), register(acme, "two")


def test_the_third_crash_within_the_window_breaks_a_version(
    incidents: DatabaseIncidents, versions: tuple[Version, Version]
) -> None:
    version, other = versions
    for number in range(MOST_CRASHES):
        assert incidents.open(version) is None
        incidents.record(version, f"crash {number}")

    assert incidents.open(version) == ("it ended its process 3 times in 10 min, last: crash 2")
    assert incidents.open(other) is None


def test_crashes_that_lie_far_apart_break_nothing(
    incidents: DatabaseIncidents, versions: tuple[Version, Version], clock: Clock
) -> None:
    for _ in range(3 * MOST_CRASHES):
        incidents.record(versions[0], "crash")
        clock.now += WINDOW_SECONDS / (MOST_CRASHES - 1) + 1

    assert incidents.open(versions[0]) is None


def test_a_broken_version_stays_broken_until_it_is_reset(
    incidents: DatabaseIncidents,
    versions: tuple[Version, Version],
    database: Database,
    clock: Clock,
) -> None:
    version = versions[0]
    for _ in range(MOST_CRASHES):
        incidents.record(version, "crash")
    clock.now += 100 * WINDOW_SECONDS
    assert incidents.open(version) is not None

    with database.write() as session:
        assert incidents.reset(session, version)
        assert not incidents.reset(session, version)

    assert incidents.open(version) is None
    incidents.record(version, "crash")
    assert incidents.open(version) is None


def test_breaking_is_told_once_in_its_transaction(
    database: Database, versions: tuple[Version, Version]
) -> None:
    told: list[str] = []
    incidents = DatabaseIncidents(
        database, on_break=lambda _session, version: told.append(version.id)
    )

    for _ in range(MOST_CRASHES + 2):
        incidents.record(versions[0], "crash")

    assert told == [versions[0].id]


def test_incidents_are_listed_the_newest_first(
    incidents: DatabaseIncidents,
    versions: tuple[Version, Version],
    database: Database,
    clock: Clock,
) -> None:
    for number in range(MOST_CRASHES):
        incidents.record(versions[0], f"crash {number}")
        clock.now += 1

    with database.read() as session:
        listed = incidents.list(session, versions[0])

    assert [incident.kind for incident in listed] == [BROKEN, CRASHED, CRASHED, CRASHED]
    assert [incident.detail for incident in listed[1:]] == ["crash 2", "crash 1", "crash 0"]


def test_a_long_reason_is_cut(
    incidents: DatabaseIncidents, versions: tuple[Version, Version], database: Database
) -> None:
    incidents.record(versions[0], "x" * 10_000)

    with database.read() as session:
        (incident,) = incidents.list(session, versions[0])

    assert len(incident.detail) == 500


def test_a_version_that_is_gone_has_no_incidents(
    incidents: DatabaseIncidents, versions: tuple[Version, Version]
) -> None:
    gone = Version("ver_gone", versions[0].manifest)

    incidents.record(gone, "crash")

    assert incidents.open(gone) is None
