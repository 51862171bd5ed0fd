"""Gates over HTTP and on the command line, and every way by which one could be passed by."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from auth.scope import Scope
from models.errors import GateRefused
from service.bootstrap import Platform
from service.errors import PreconditionFailed
from service.operations import aliases, gates, imports, routing
from service.operations import models as models_operations
from service.operations.recording import Act
from service.operations.registration import register
from tests.house import House
from tests.service import training
from tests.service.command_line import CommandLine
from tests.service.judged_models import prepared_of, trained
from tests.service.problems import refused
from tests.service.training import Trainer, trainer
from tests.service.uploading import upload, work

__all__ = ["trainer"]

NAMES = (f"model-{at}" for at in count(1))
STRICT = {"rules": [{"metric": "rmse", "at_most": 1.0}]}
GOOD, BAD = (0.5, 0.4, 0.6), (3.0, 2.0, 4.0)
REASON = "rmse on held-out rows is 3, where 1 is the most"


@dataclass(frozen=True)
class Model:
    """One of Acme's models, and what is done with it."""

    house: House
    name: str

    def path(self, part: str = "") -> str:
        """An address of the model's."""
        return f"/models/{self.name}{part}"

    def gate(self, *rules: dict[str, Any]) -> None:
        """Have Ada set a gate."""
        answer = self.house.ada.call("PUT", self.path("/gate"), json={"rules": list(rules)})
        assert answer.status_code == 200, answer.get_json()

    def trained(self, **metrics: Any) -> int:
        """Register a version with an evaluation; its number."""
        return trained(self.house, self.name, **metrics)

    def promote(self, number: int, **members: Any) -> TestResponse:
        """Have Ben move the champion, or Ada if she is to override."""
        actor = self.house.ada if members else self.house.ben
        path = self.path("/aliases/champion")
        return actor.call("PUT", path, json={"version": number} | members)

    def reasons(self, number: int) -> list[str]:
        """Why a version may not be champion."""
        reasons: list[str] = refused(self.promote(number), 409, "gate-refused")["reasons"]
        return reasons

    @property
    def champion(self) -> int | None:
        """The number of the version that answers, as the model itself says."""
        number: int | None = self.house.ben.get(self.path()).get_json().get("champion")
        return number

    def record(self) -> dict[str, Any]:
        """The latest record of a promotion, refused or done."""
        records = self.house.ada.get("/admin/audit?limit=20").get_json()
        return next(
            each
            for each in records
            if (each["action"], each["subject"]) == ("models.promote", self.name)
        )


@pytest.fixture
def model(shared_house: House) -> Model:
    """A model with one version, which is champion, and no gate."""
    name = next(NAMES)
    shared_house.add_version(name)
    return Model(shared_house, name)


@pytest.fixture
def gated(model: Model) -> Model:
    """It asks for an error of at most 1, which its champion never had to have."""
    model.gate(*STRICT["rules"])
    return model


@pytest.fixture
def fresh(shared_house: House) -> Model:
    """A model of which there is nothing but its gate."""
    model = Model(shared_house, next(NAMES))
    model.gate(*STRICT["rules"])
    return model


def test_gate_is_set_shown_and_removed(model: Model) -> None:
    ada, gate = model.house.ada, model.path("/gate")
    refused(ada.get(gate), 404, "not-found")
    model.gate(*STRICT["rules"])
    shown = model.house.rob.get(gate)
    assert shown.get_json()["rules"] == STRICT["rules"]

    stale = ada.call("PUT", gate, json=STRICT, headers={"If-None-Match": "*"})
    refused(stale, 412, "precondition-failed")
    known = {"If-Match": shown.headers["ETag"]}
    assert ada.call("PUT", gate, json=STRICT, headers=known).status_code == 200
    refused(ada.call("DELETE", gate, headers=known), 412, "precondition-failed")
    assert ada.call("DELETE", gate).status_code == 204
    refused(ada.call("DELETE", gate), 404, "not-found")


def test_only_who_may_change_the_gate_sets_or_passes_it(gated: Model) -> None:
    number = gated.trained(rmse=BAD)
    champion = gated.path("/aliases/champion")
    for method, path, body in (
        ("PUT", gated.path("/gate"), STRICT),
        ("DELETE", gated.path("/gate"), None),
        ("PUT", champion, {"version": number, "override": "I say so"}),
    ):
        refused(gated.house.ben.call(method, path, json=body), 403, "insufficient-scope")
    assert gated.champion == 1


def test_promotion_is_refused_with_every_reason_at_once(model: Model) -> None:
    model.gate(
        {"metric": "rmse", "at_most": 1.0},
        {"metric": "mae", "at_most": 9.0},
        {"metric": "r2", "at_least": 0.5},
    )
    reasons = model.reasons(model.trained(rmse=BAD, mae=(2.0, 1.0, 3.0), r2=(0.2, 0.1, 0.3)))
    assert reasons == [REASON, "r2 on held-out rows is 0.2, where 0.5 is the least"]
    assert model.champion == 1
    record = model.record()
    assert record["outcome"] == "refused"
    assert record["details"]["gate"]["reasons"] == reasons


def test_version_that_passes_is_promoted_and_the_record_says_by_which_facts(gated: Model) -> None:
    assert gated.promote(gated.trained(rmse=GOOD)).status_code == 200
    gate = gated.record()["details"]["gate"]
    assert gate["passes"] is True
    assert gate["rules"] == STRICT["rules"]
    assert gate["facts"] == ["rmse on held-out rows is 0.5, where 1 is the most"]


def test_admin_overrides_on_record(gated: Model) -> None:
    answer = gated.promote(gated.trained(rmse=BAD), override="the sensor was replaced")
    assert answer.status_code == 200
    assert gated.champion == 2
    gate = gated.record()["details"]["gate"]
    assert gate["override"] == "the sensor was replaced"
    assert gate["reasons"] == [REASON]


def test_verdict_is_told_without_moving_anything(gated: Model) -> None:
    number = gated.trained(rmse=BAD)
    verdict = gated.house.ben.get(gated.path(f"/versions/{number}/gate")).get_json()
    assert (verdict["version"], verdict["passes"]) == (number, False)
    assert verdict["rules"][0]["rule"] == STRICT["rules"][0]
    without = gated.house.ben.get(gated.path("/versions/1/gate")).get_json()
    assert "no evaluation is on record for version 1" in without["reasons"][0]
    assert gated.champion == 1


def test_new_champion_does_not_fall_behind_the_old_one(model: Model) -> None:
    model.gate({"metric": "rmse", "not_below_champion": "interval"})
    first = model.trained(rmse=(2.0, 1.5, 2.5))
    assert model.promote(first, override="to begin with").status_code == 200
    assert "above 2.5" in model.reasons(model.trained(rmse=(2.6, 2.0, 3.0)))[0]
    elsewhere = model.trained(digest="c" * 64, rmse=(3.0, 3.0, 3.0))
    assert "judged on other data" in model.reasons(elsewhere)[0]
    assert model.promote(model.trained(rmse=(2.4, 2.0, 3.0))).status_code == 200


def test_serving_time_is_measured_where_it_would_be_served(model: Model) -> None:
    model.gate({"serving_p99_ms": 60_000}, {"parity": "exact"}, {"engine": "compiled"})
    model.house.add_version(model.name)
    verdict = model.house.ben.get(model.path("/versions/2/gate")).get_json()
    found = verdict["rules"][0]["found"][0]
    assert found.startswith("99 % of 300 calls with a single row took at most")
    assert verdict["passes"] is True
    model.gate({"serving_p99_ms": 1e-6})
    assert "where 1e-06 ms are allowed" in model.reasons(2)[0]


# Every way to answer by default that is not a promotion.


def test_alias_that_a_route_divides_calls_by_is_behind_the_gate(gated: Model) -> None:
    ben, canary, route = gated.house.ben, gated.path("/aliases/canary"), gated.path("/route")
    good, bad = gated.trained(rmse=GOOD), gated.trained(rmse=BAD)
    split = {"split": [{"version": "champion", "weight": 1}, {"version": "canary", "weight": 1}]}
    assert ben.call("PUT", canary, json={"version": bad}).status_code == 200  # of no call yet
    refused(ben.call("PUT", route, json=split), 409, "gate-refused")
    assert ben.call("PUT", canary, json={"version": good}).status_code == 200
    assert ben.call("PUT", route, json=split).status_code == 200
    refused(ben.call("PUT", canary, json={"version": bad}), 409, "gate-refused")
    refused(ben.post(f"{canary}/rollback"), 409, "gate-refused")


def test_route_divides_calls_only_between_what_passes(gated: Model) -> None:
    ben, route, bad = gated.house.ben, gated.path("/route"), gated.trained(rmse=BAD)
    for weight in (0, 1):
        arms = [{"version": bad, "weight": weight}, {"version": 1, "weight": 1}]
        refused(ben.call("PUT", route, json={"split": arms}), 409, "gate-refused")
    shadow = {"split": [{"version": 1, "weight": 1}], "shadow": {"version": bad}}
    assert ben.call("PUT", route, json=shadow).status_code == 200


def test_alias_that_moves_while_a_route_is_judged_is_not_divided_by(
    gated: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    ben, canary, bad = gated.house.ben, gated.path("/aliases/canary"), gated.trained(rmse=BAD)
    assert ben.call("PUT", canary, json={"version": 1}).status_code == 200
    confirm = routing._confirm

    def moved(platform: Platform, act: Act, scope: Scope, name: str, admitted: Any) -> None:
        platform.registry.aliases.set(act.session, scope, name, "canary", bad, by="ben")
        confirm(platform, act, scope, name, admitted)

    monkeypatch.setattr(routing, "_confirm", moved)
    split = {"split": [{"version": "canary", "weight": 1}]}
    answer = ben.call("PUT", gated.path("/route"), json=split)
    refused(answer, 412, "precondition-failed")


def test_version_that_is_activated_while_a_route_is_judged_is_not_divided_by(
    gated: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retired it is nothing that the gate could look at, and active when the route is made."""
    ben, bad, judged = gated.house.ben, gated.trained(rmse=BAD), routing._admitted
    version = gated.path(f"/versions/{bad}")
    assert ben.call("PATCH", version, json={"state": "retired"}).status_code == 200

    def activated(*given: Any) -> Any:
        admitted = judged(*given)
        assert ben.call("PATCH", version, json={"state": "active"}).status_code == 200
        return admitted

    split = {"split": [{"version": bad, "weight": 1}]}
    refused(ben.call("PUT", gated.path("/route"), json=split), 400, "invalid-input")
    monkeypatch.setattr(routing, "_admitted", activated)
    answer = ben.call("PUT", gated.path("/route"), json=split)
    refused(answer, 412, "precondition-failed")


def test_registration_makes_no_champion(gated: Model) -> None:
    gated.house.add_version(gated.name, promote=True)
    assert gated.champion == 1


def test_upload_that_wishes_to_be_champion_is_kept_and_told_why_not(gated: Model) -> None:
    house = gated.house
    job = upload(house.ben, path=gated.path("/versions?promote=true")).get_json()
    assert work(house) == 1
    told = house.ben.get(f"/jobs/{job['id']}").get_json()
    assert told["state"] == "ready"
    assert "champion was not moved" in told["log"][-1]["note"]
    assert "no evaluation is on record for version 2" in told["log"][-1]["note"]
    assert gated.champion == 1


def test_first_version_is_kept_but_answers_nobody_by_default(fresh: Model) -> None:
    house, name = fresh.house, fresh.name
    bad = fresh.trained(rmse=BAD)
    scope = house.operator("acme")
    told = imports.point(house.platform, scope, name, bad, (), reason="")
    assert told.startswith("version 1; champion was not moved: ")
    assert fresh.champion is None
    refused(house.rob.predict([5, 10], model=name), 404, "not-found")
    assert house.rob.predict([5, 10], model=name, version=bad).status_code == 200
    listed = house.ben.get("/models?limit=1000").get_json()
    assert {"name": name, "default": False, "versions": [bad]} in listed

    passing = fresh.trained(rmse=GOOD)
    told = imports.point(house.platform, scope, name, passing, (), reason="")
    assert told == f"version {passing}; champion points at it"
    assert house.rob.predict([5, 10], model=name).get_json()["version"] == passing


def test_training_that_wishes_to_be_champion_is_kept_and_told_why_not(
    house: House, trainer: Trainer
) -> None:
    model = Model(house, training.SPEC["model"])
    model.gate(*STRICT["rules"])
    job = training.posted(house, spec=training.SPEC | {"promote": True})
    assert training.work_on_next(house)
    told = training.shown(house, job)
    assert (told["state"], told["version"]) == ("ready", 1)
    assert "champion was not moved" in told["log"][-1]["note"]
    assert model.champion is None
    assert trainer.asked["spec"]["promote"] is True


def test_first_version_may_be_let_past_the_gate(fresh: Model) -> None:
    assert fresh.promote(fresh.trained(rmse=BAD), override="nothing better yet").status_code == 200
    assert fresh.champion == 1


def test_model_without_champion_is_never_the_default(house: House) -> None:
    model = Model(house, "linear")
    model.gate(*STRICT["rules"])
    version = house.add_version("other")
    assert house.ben.call("DELETE", "/models/linear?confirm=linear").status_code == 204
    prepared = prepared_of(house, "other")
    register(house.platform, house.operator("acme"), "linear", prepared)  # an older row, by name
    assert model.champion is None  # so that a gate outlives its model
    answer = house.rob.post("/predict", json={"features": [5, 10]}).get_json()
    assert (answer["model"], answer["version"]) == ("other", version.number)
    index = house.ben.post("/v2/repository/index").get_json()
    assert {"name": "linear", "version": "2", "state": "READY"} in index


def test_making_a_model_the_default_moves_no_champion(gated: Model) -> None:
    number, scope = gated.trained(rmse=BAD), gated.house.operator("acme")
    with pytest.raises(GateRefused):
        models_operations.set_default(gated.house.platform, scope, gated.name, number)
    assert gated.champion == 1


def test_loading_a_model_moves_no_champion(gated: Model) -> None:
    gated.trained(rmse=BAD)
    for what in ("unload", "load"):
        path = f"/v2/repository/models/{gated.name}/{what}"
        assert gated.house.ben.post(path).status_code == 200
    assert gated.champion == 1


def test_rollback_to_a_former_champion_is_always_possible(model: Model) -> None:
    assert model.promote(model.trained(rmse=GOOD)).status_code == 200
    model.gate(*STRICT["rules"])
    assert model.house.ben.post(model.path("/aliases/champion/rollback")).status_code == 200
    assert model.champion == 1


def test_gate_that_changes_while_a_version_is_judged_is_not_passed(
    gated: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, judged = gated.trained(rmse=GOOD), gates.admit

    def admit(*given: Any, **options: Any) -> Any:
        admission = judged(*given, **options)
        gated.gate({"metric": "rmse", "at_most": 0.1})
        return admission

    monkeypatch.setattr(aliases, "admit", admit)
    refused(gated.promote(number), 412, "precondition-failed")
    assert gated.champion == 1


def test_job_whose_gate_changes_while_it_is_judged_keeps_its_version(
    gated: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def confirm(*_: Any) -> None:
        raise PreconditionFailed

    number = gated.trained(rmse=GOOD)
    monkeypatch.setattr(aliases, "confirm", confirm)
    scope, platform = gated.house.operator("acme"), gated.house.platform
    told = imports.point(platform, scope, gated.name, number, ("champion",), reason="")
    assert told.startswith(f"version {number}; champion was not moved: it is not as this call")


def test_command_line(gated: Model, tmp_path: Path) -> None:
    line, tenant, name = CommandLine(gated.house.folder), ("--tenant", "acme"), gated.name
    number, rules = str(gated.trained(rmse=BAD)), tmp_path / "gate.toml"
    rules.write_text('[[rules]]\nmetric = "rmse"\nat_most = 2.0\n[[rules]]\nparity = "exact"\n')
    assert line.json("gate", "set", name, str(rules), *tenant)["model"] == name
    assert len(line.json("gate", "show", name, *tenant)["rules"]) == 2
    assert line.run("gate", "check", name, number, *tenant).exit_code == 1
    said = line.run("models", "promote", name, number, *tenant)
    assert said.exit_code == 1
    assert said.stderr.splitlines() == [
        f"Error: {name} version 2 does not pass the gate:",
        "  rmse on held-out rows is 3, where 2 is the most",
    ]
    line.text("models", "promote", name, number, *tenant, "--override", "known")
    assert gated.champion == 2
    line.text("gate", "remove", name, "--yes", *tenant)


def test_file_of_rules_that_is_none_is_refused_in_a_line(model: Model, tmp_path: Path) -> None:
    line, rules = CommandLine(model.house.folder), tmp_path / "gate.json"
    for text, said in (("{", "no JSON"), ('{"rules": [{"metric": "f2"}]}', "/rules/0/metric")):
        rules.write_text(text)
        assert said in line.refusal("gate", "set", model.name, str(rules), "--tenant", "acme")
