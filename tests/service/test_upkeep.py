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
from service import upkeep as upkeep_module
from service.operations import audit, keys, maintenance, routing
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

    assert _rows_today(house) == 2


def test_each_worker_flushes_what_was_used_of_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep_module, "EPOCH_SECONDS", 0.01)
    monkeypatch.setattr(upkeep_module, "TICKS_PER_TIDY", 10**9)
    looks: list[int] = []
    monkeypatch.setattr(maintenance, "flush_usage", lambda platform: looks.append(1))
    upkeep = Upkeep(house.platform)
    upkeep.start()
    try:
        until(lambda: bool(looks))
        house.ada.predict([[5, 10], [1, 2]])
        until(lambda: _rows_today(house) == 2)
    finally:
        upkeep.stop()

    assert len(looks) == 3, "where it tidies, at the first time, and at the end"


def test_usage_that_could_not_be_written_is_written_later(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.ada.predict([[5, 10]])
    with monkeypatch.context() as patched:
        patched.setattr(house.platform.usage, "flush_some", _fails)
        with pytest.raises(InterruptedError):
            maintenance.flush_recent_usage(house.platform)
    assert _rows_today(house) == 0

    maintenance.flush_recent_usage(house.platform)

    assert _rows_today(house) == 1


def _fails(*_: object) -> None:
    raise InterruptedError


def _rows_today(house: House) -> int:
    with house.platform.database.read() as session:
        day = time.strftime("%Y-%m-%d", time.gmtime())
        tenant = house.operator("acme").tenant_id
        return house.platform.usage.rows_on(session, tenant, day)


def test_routes_are_looked_at_while_one_has_bounds_and_after_each_change(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    has_bounds = False

    def look(_platform: object) -> bool:
        looks.append(1)
        return has_bounds

    monkeypatch.setattr(routing, "keep_bounds", look)
    upkeep = Upkeep(house.platform)

    def looks_of(times: int) -> int:
        before = len(looks)
        for _ in range(times):
            upkeep._keep_bounds(house.platform)
        return len(looks) - before

    assert [looks_of(3), looks_of(3)] == [1, 0]
    has_bounds = True
    keys.rotate(house.platform, house.operator())
    assert [looks_of(3), looks_of(3)] == [3, 3]


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
