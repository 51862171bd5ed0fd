"""A change of one tenant is noticed by no other."""

from __future__ import annotations

import time
from pathlib import Path

from config.settings import load_settings
from service.operations import keys, plans
from tests.auth.clock import Clock
from tests.house import House, opened
from tests.service.problems import refused


def test_a_logout_leaves_the_callers_of_other_tenants_known(house: House) -> None:
    for actor in (house.ada, house.gail):
        assert actor.predict([5, 10]).status_code == 200
    callers = house.platform.caches.callers
    assert callers.get(house.ada.token)
    assert callers.get(house.gail.token)

    house.ada.post("/auth/logout")

    assert callers.get(house.ada.token) is None
    assert callers.get(house.gail.token)


def test_rotating_the_keys_concerns_everyone(house: House) -> None:
    house.gail.predict([5, 10])
    keys.rotate(house.platform, house.operator())

    assert house.platform.caches.callers.get(house.gail.token) is None
    assert house.gail.predict([5, 10]).status_code == 200


def test_callers_known_before_a_change_are_not_counted_by_address(demo_instance: Path) -> None:
    with opened(load_settings(demo_instance, address_requests_per_minute=4)) as house:
        house.gail.predict([5, 10])
        for _ in range(6):
            plans.set_limits(
                house.platform, house.operator("globex"), values={"rows_per_minute": 500}
            )
            assert house.gail.predict([5, 10]).status_code == 200


def test_a_token_once_known_counts_by_address_when_it_is_refused(demo_instance: Path) -> None:
    with opened(load_settings(demo_instance, address_requests_per_minute=8)) as house:
        house.rob.get("/models")
        house.rob.post("/auth/logout")

        statuses = [house.rob.get("/models").status_code for _ in range(9)]

        assert set(statuses[:2]) == {401}
        assert statuses[-1] == 429


def test_a_caller_is_not_known_for_longer_than_the_session_lasts(demo_instance: Path) -> None:
    clock = Clock(time.time())
    with opened(load_settings(demo_instance, refresh_seconds=300), clock) as house:
        assert house.rob.get("/models").status_code == 200
        clock.advance(299)
        assert house.rob.get("/models").status_code == 200
        clock.advance(1)

        refused(house.rob.get("/models"), 401, "invalid-token")
