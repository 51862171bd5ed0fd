"""A change of one tenant is seen by every worker, and noticed by no other tenant."""

from __future__ import annotations

from service.app import create_app
from service.bootstrap import assemble
from service.operations import keys
from tests.house import Actor, House


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


def test_a_logout_on_one_worker_holds_on_another(house: House) -> None:
    second = assemble(house.platform.settings)
    elsewhere = Actor(create_app(second.settings, second).test_client(), "acme", "ada", "")
    elsewhere.tokens = {"access_token": house.ada.token}
    assert elsewhere.predict([5, 10]).status_code == 200

    house.ada.post("/auth/logout")

    assert elsewhere.predict([5, 10]).status_code == 401
    second.close()
