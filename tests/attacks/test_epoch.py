"""Changes of the control plane hold on every worker with the next request (invariant 3)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.settings import Settings, load_settings
from service.operations import accounts, keys, plans, tenants
from tests.house import UNHURRIED, House
from tests.neighbour import Job, Neighbour
from tests.service.problems import refused
from tests.service.test_revoke import token_of

BODY: Final = {"features": [5, 10]}


@pytest.fixture
def house_settings(demo_instance: Path) -> Settings:
    return load_settings(demo_instance, **UNHURRIED)


def suspend(house: House) -> None:
    tenants.suspend_tenant(house.platform, house.operator(), "acme")


def disable(house: House) -> None:
    accounts.change_user(house.platform, house.operator("acme"), "rob", state="disabled")


def reset(house: House) -> None:
    accounts.reset_password(house.platform, house.operator("acme"), "rob")


def revoke_the_key(house: House) -> None:
    kid = house.platform.signer().kid
    keys.rotate(house.platform, house.operator(), emergency=True)
    keys.revoke(house.platform, house.operator(), kid)


def resume(house: House) -> None:
    tenants.resume_tenant(house.platform, house.operator(), "acme")


def delete(house: House) -> None:
    tenants.delete_tenant(house.platform, house.operator(), "acme")


ENDS: Final = (suspend, disable, reset, revoke_the_key, delete)


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_what_ends_a_token_ends_it_on_every_worker_at_once(
    house: House, neighbour: Neighbour, end: Job
) -> None:
    here, there = house.rob, house.rob.through(neighbour.client)
    for actor in (here, there):  # remembered by both
        assert actor.predict([5, 10]).status_code == 200

    neighbour.run(end)

    refused(here.predict([5, 10]), 401, "invalid-token")
    refused(there.predict([5, 10]), 401, "invalid-token")


def test_session_that_ends_at_one_worker_is_over_at_the_other(
    house: House, neighbour: Neighbour
) -> None:
    there = house.rob.through(neighbour.client)
    assert there.get("/models").status_code == house.rob.get("/models").status_code == 200

    assert there.post("/auth/logout").status_code == 204

    refused(house.rob.get("/models"), 401, "invalid-token")


def test_revoked_service_account_is_refused_by_every_worker_at_once(
    house: House, neighbour: Neighbour
) -> None:
    robot = house.robot()
    headers = {"Authorization": f"Bearer {token_of(house, robot)}"}
    for worker in (house, neighbour):
        answer = worker.client.post("/predict", json=BODY, headers=headers)
        assert answer.status_code == 200

    house.ada.through(neighbour.client).call("DELETE", f"/admin/clients/{robot[0]}")

    for worker in (house, neighbour):
        answer = worker.client.post("/predict", json=BODY, headers=headers)
        refused(answer, 401, "invalid-token")


def test_resumed_tenant_is_admitted_by_every_worker_at_once(
    house: House, neighbour: Neighbour
) -> None:
    there = house.rob.through(neighbour.client)
    assert there.predict([5, 10]).status_code == 200
    suspend(house)
    refused(there.predict([5, 10]), 401, "invalid-token")

    neighbour.run(resume)

    assert house.rob.predict([5, 10]).status_code == 200
    assert there.predict([5, 10]).status_code == 200


def test_new_key_of_one_worker_is_good_at_the_other_at_once(
    house: House, neighbour: Neighbour
) -> None:
    assert house.rob.through(neighbour.client).get("/models").status_code == 200
    for _ in range(3):
        keys.rotate(house.platform, house.operator(), emergency=True)
        house.ben.tokens = {}
        assert house.ben.through(neighbour.client).get("/models").status_code == 200
    assert house.rob.through(neighbour.client).get("/models").status_code == 200, (
        "retired keys verify"
    )


def dismiss(house: House) -> None:
    accounts.create_user(house.platform, house.operator(), "odd", "operator")  # not the last
    accounts.change_user(house.platform, house.operator(), "olga", state="disabled")


def test_dismissed_operator_reaches_no_tenant_through_any_worker(
    house: House, neighbour: Neighbour
) -> None:
    here, there = house.olga, house.olga.through(neighbour.client)
    for actor in (here, there):
        assert actor.get("/admin/users?tenant=acme").status_code == 200

    neighbour.run(dismiss)

    for actor in (here, there):
        refused(actor.get("/admin/users?tenant=acme"), 401, "invalid-token")


def test_changed_limit_is_followed_by_every_worker_at_once(
    house: House, neighbour: Neighbour
) -> None:
    there = house.rob.through(neighbour.client)
    assert there.predict([5, 10]).status_code == 200

    values = {"requests_per_minute": 1}
    plans.set_limits(house.platform, house.operator("acme"), values=values)

    refused(there.predict([5, 10]), 429, "rate-limited")
    plans.set_limits(house.platform, house.operator("acme"), values={"requests_per_minute": None})
    assert there.predict([5, 10]).status_code == 200


def enable(house: House) -> None:
    accounts.change_user(house.platform, house.operator("acme"), "rob", state="active")


def demote(house: House) -> None:
    accounts.change_user(house.platform, house.operator("acme"), "rob", role="caller")


def promote(house: House) -> None:
    accounts.change_user(house.platform, house.operator("acme"), "rob", role="admin")


def rotate(house: House) -> None:
    keys.rotate(house.platform, house.operator(), emergency=True)


def log_in(house: House) -> str | None:
    """The access token of a new login of Rob's, if he is let in."""
    house.rob.tokens = {}
    return house.rob.login().get_json().get("access_token")  # type: ignore[no-any-return]


def ask(client: FlaskClient, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return client.get("/admin/users", headers=headers).status_code


@dataclass
class Truth:
    """What must hold after each change, kept beside the platform."""

    token: str
    is_suspended: bool = False
    is_disabled: bool = False
    is_admin: bool = False
    was_admin: bool = False  # at the login: a token never gains by what comes after
    is_ended: bool = False

    def follow(self, change: Job, result: Any) -> None:
        """Note what a change brings about."""
        match change.__name__:
            case "suspend" | "resume":
                self.is_suspended = change is suspend
            case "disable" | "enable":
                self.is_disabled = change is disable
                self.is_ended |= self.is_disabled
            case "demote" | "promote":
                self.is_admin = change is promote
            case "log_in":
                assert (result is None) == (self.is_suspended or self.is_disabled)
                if result is not None:
                    self.token, self.is_ended, self.was_admin = result, False, self.is_admin

    @property
    def status(self) -> int:
        """What the token is good for."""
        if self.is_suspended or self.is_disabled or self.is_ended:
            return 401
        return 200 if self.is_admin and self.was_admin else 403


CHANGES: Final = (suspend, resume, disable, enable, demote, promote, rotate, log_in)
STEPS: Final = st.lists(
    st.tuples(st.sampled_from(CHANGES), st.booleans(), st.booleans()), min_size=4, max_size=12
)


@pytest.mark.drill
def test_no_interleaving_of_changes_and_requests_is_answered_from_the_past(
    house: House, neighbour: Neighbour
) -> None:
    truth = Truth(house.rob.token)
    gails = (house.gail, house.gail.through(neighbour.client))
    history: list[str] = []

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(STEPS)
    def play(steps: list[tuple[Job, bool, bool]]) -> None:
        for change, is_here, here_first in steps:
            history.append(f"{change.__name__} {'here' if is_here else 'there'}")
            truth.follow(change, change(house) if is_here else neighbour.run(change))
            clients = (house.client, neighbour.client)
            for client in clients if here_first else reversed(clients):
                assert ask(client, truth.token) == truth.status, history
            for gail in gails:
                assert gail.get("/admin/users").status_code == 200, "this was not her tenant"

    play()
