"""What a worker does beside answering."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from auth.records import SessionRow
from config.settings import load_settings
from models.hosting import frames
from models.hosting.channel import Expected
from service.operations import audit, keys, maintenance
from service.upkeep import Upkeep
from tests.auth.clock import Clock
from tests.house import House, opened
from tests.journeys.served import free_port, until

DAY = 86_400.0


def actions(house: House) -> list[tuple[str, str]]:
    page = audit.list_records(house.platform, house.operator(), every_tenant=True)
    return [(record.action, record.subject) for record in page.items]


def test_a_lost_counter_store_is_put_on_record(demo_instance: Path) -> None:
    nowhere = f"redis://127.0.0.1:{free_port()}"
    with opened(load_settings(demo_instance, counters_url=nowhere)) as house:
        upkeep = Upkeep(house.platform)
        upkeep.start()
        try:
            until(lambda: ("limits.mode", "local") in actions(house))
        finally:
            upkeep.stop()

        assert actions(house).count(("limits.mode", "local")) == 1


def test_usage_is_flushed_when_a_worker_ends(house: House) -> None:
    upkeep = Upkeep(house.platform)
    upkeep.start()
    house.ada.predict([[5, 10], [1, 2]])
    upkeep.stop()

    with house.platform.database.read() as session:
        day = time.strftime("%Y-%m-%d", time.gmtime())
        tenant = house.operator("acme").tenant_id
        assert house.platform.usage.rows_on(session, tenant, day) == 2


def test_of_two_workers_one_tidies(house: House) -> None:
    first, second = Upkeep(house.platform), Upkeep(house.platform)

    assert first._leads()
    assert not second._leads()
    assert first._leads()


def test_what_has_expired_is_forgotten(demo_instance: Path) -> None:
    clock = Clock(time.time())
    with opened(load_settings(demo_instance), clock) as house:
        house.ada.login()
        old = keys.rotate(house.platform, house.operator()).old
        clock.advance(31 * DAY)

        maintenance.tidy(house.platform)

        states = {key.kid: key.state for key in keys.list_keys(house.platform, house.operator())}
        assert states[old] == "gone"
        with house.platform.database.read() as session:
            assert session.scalar(select(func.count()).select_from(SessionRow)) == 0


@pytest.mark.parametrize(("days", "renewed"), [(10, False), (80, True)])
def test_a_certificate_is_renewed_when_it_is_due_and_put_on_record(
    demo_instance: Path, days: int, renewed: bool
) -> None:
    clock = Clock(time.time() + days * DAY)
    with opened(load_settings(demo_instance), clock) as house:
        assert maintenance.renew_certificate(house.platform) == renewed
        assert any(action == "certs.renew" for action, _ in actions(house)) == renewed


def test_what_runs_in_hosts_is_shown(house: House) -> None:
    client = house.platform.hosting.hosts["sklearn"]
    deadline = time.monotonic() + 60

    def shown() -> str:
        maintenance.follow_hosts(house.platform)
        return house.platform.telemetry.exposition().decode()

    client.call(
        "tnt_shown",
        lambda call: frames.holds(call, bytes(32), deadline=deadline),
        Expected(),
        seconds=60,
        deadline=deadline,
    )

    until(lambda: 'sallyport_hosts{flavour="sklearn"} 0.0' not in shown())
    assert 'sallyport_hosts_events{event="started",flavour="sklearn"}' in shown()

    client.forget("tnt_shown")
