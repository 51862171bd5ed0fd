"""Trainings that are run again and again: when they are due, and how they end."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from auth.scope import Scope
from config.settings import load_settings
from models.errors import DriftUnknown, ScheduleRefused, TrainingFailed
from models.manifest import EVALUATION
from models.training.spec import Spec, read_spec
from service.bootstrap import Platform
from service.commands import schedules as commands
from service.commands.schedules import UNITS
from service.operations import local_trainings, schedules, tenants
from service.operations.drift import DriftReport
from service.operations.schedules import Run, Trained
from service.operations.version_files import read_file
from service.pidfile import SCHEDULES_DUE
from tests.auth.clock import Clock
from tests.house import House, opened
from tests.service.command_line import CommandLine

DAY = 86_400.0
SPEC = read_spec({"model": "linear", "target": "y", "data": {"path": "table.csv"}})
FOLDER = Path("/specs")
NO_DRIFT = DriftReport(
    model="linear",
    version=1,
    verdict="none",
    words="",
    since=None,
    until=None,
    rows=100,
    reference_rows=100,
    left_out=0,
    features=(),
    predictions=None,
)


@pytest.fixture(scope="module")
def clock() -> Clock:
    """The platform's time."""
    return Clock()


@pytest.fixture(scope="module")
def scheduling(
    demo_template: Path, tmp_path_factory: pytest.TempPathFactory, clock: Clock
) -> Iterator[House]:
    """One installation for all tests, each of which begins without a schedule."""
    folder = tmp_path_factory.mktemp("scheduling") / "instance"
    shutil.copytree(demo_template, folder, symlinks=True)
    with opened(load_settings(folder), clock) as house:
        yield house


@pytest.fixture
def acme(scheduling: House) -> House:
    """Acme, whose one model nobody trains by itself yet."""
    platform, scope = scheduling.platform, scheduling.operator("acme")
    with platform.database.write() as session:
        platform.schedules.delete_tenant(session, scope)
    (platform.settings.state / SCHEDULES_DUE).unlink(missing_ok=True)
    return scheduling


def weekly(house: House, **terms: Any) -> None:
    """Have the model trained every week."""
    terms = {"every_seconds": 7 * DAY} | terms
    schedules.set_schedule(house.platform, house.operator("acme"), SPEC, FOLDER, **terms)


def succeed(_platform: Platform, scope: Scope, spec: Spec, folder: Path) -> Trained:
    """A training that registers a version."""
    assert (scope.tenant, spec, folder) == ("acme", SPEC, FOLDER)
    return Trained(2, "version 2; champion points at it")


def fail(*_given: Any) -> Trained:
    """A training that comes to nothing."""
    raise TrainingFailed("there is no table")


def ran(house: House, train: schedules.Train = succeed) -> list[Run]:
    """What is due now, run."""
    return list(schedules.run_due(house.platform, train))


def shown(house: House) -> schedules.ScheduleView:
    """The one schedule."""
    (view,) = schedules.list_schedules(house.platform, house.operator("acme"))
    return view


def test_a_schedule_is_run_when_it_is_due_and_then_again(acme: House, clock: Clock) -> None:
    weekly(acme)
    begun = clock()
    assert ran(acme) == []
    clock.advance(7 * DAY)
    assert ran(acme) == [Run("acme", "linear", "trained", 2, "version 2; champion points at it")]
    assert ran(acme) == []
    view = shown(acme)
    assert (view.last_outcome, view.last_version, view.next_at) == ("trained", 2, begun + 14 * DAY)
    clock.advance(30 * DAY)  # nobody was there: once, not four times
    assert [run.outcome for run in ran(acme)] == ["trained"]
    assert shown(acme).next_at == begun + 42 * DAY


def test_failures_are_counted_tried_again_ever_later_and_end_nothing(
    acme: House, clock: Clock
) -> None:
    weekly(acme)
    clock.advance(7 * DAY)
    waits = []
    for failures in range(1, 13):
        assert [run.outcome for run in ran(acme, fail)] == ["failed"]
        view = shown(acme)
        assert view.failures == failures
        assert view.last_note == "the training failed: there is no table"
        waits.append(view.next_at - clock())
        clock.advance(waits[-1])
    assert waits[:3] == [900.0, 1800.0, 3600.0]
    assert waits[-1] == 7 * DAY
    assert [run.outcome for run in ran(acme)] == ["trained"]
    assert shown(acme).failures == 0


def test_fault_of_one_does_not_keep_the_next_from_its_turn(acme: House, clock: Clock) -> None:
    weekly(acme)
    other = replace(SPEC, model="other")
    schedules.set_schedule(
        acme.platform, acme.operator("acme"), other, FOLDER, every_seconds=7 * DAY
    )
    clock.advance(7 * DAY)

    def break_first(_platform: Platform, _scope: Scope, spec: Spec, _folder: Path) -> Trained:
        if spec.model == "linear":
            raise ZeroDivisionError
        return Trained(1, "")

    assert {run.model: run.outcome for run in ran(acme, break_first)} == {
        "linear": "failed",
        "other": "trained",
    }


def test_two_that_look_at_once_do_not_train_twice(acme: House, clock: Clock) -> None:
    weekly(acme)
    clock.advance(7 * DAY)
    trained: list[str] = []

    def look_again(*_given: Any) -> Trained:
        trained.append("once")
        assert ran(acme, look_again) == []
        return Trained(2, "")

    assert len(ran(acme, look_again)) == len(trained) == 1


def test_what_another_has_run_since_it_was_seen_is_left(acme: House, clock: Clock) -> None:
    weekly(acme)
    clock.advance(7 * DAY)
    with acme.platform.database.read() as session:
        (seen,) = acme.platform.schedules.due(session)
    assert len(ran(acme)) == 1
    with acme.platform.database.write() as session:
        assert not acme.platform.schedules.take(session, seen, holder="late", seconds=60)


def test_interrupted_run_is_due_again_at_once(acme: House, clock: Clock) -> None:
    weekly(acme)
    clock.advance(7 * DAY)

    def interrupt(*_given: Any) -> Trained:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ran(acme, interrupt)
    assert [run.outcome for run in ran(acme)] == ["trained"]


def test_holder_that_vanished_is_followed_when_its_lease_is_over(acme: House, clock: Clock) -> None:
    weekly(acme)
    clock.advance(7 * DAY)
    with acme.platform.database.write() as session:
        (seen,) = acme.platform.schedules.due(session)
        assert acme.platform.schedules.take(session, seen, holder="gone", seconds=60)
        assert not acme.platform.schedules.take(session, seen, holder="late", seconds=60)
    assert ran(acme) == []
    clock.advance(61)
    assert len(ran(acme)) == 1


@pytest.mark.parametrize(
    ("found", "outcome"),
    [("none", "skipped"), ("moderate", "skipped"), ("severe", "trained"), (None, "trained")],
)
def test_it_is_trained_only_when_the_log_has_drifted_or_that_is_not_known(
    acme: House,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    found: str | None,
    outcome: str,
) -> None:
    asked = []

    def drift(_platform: Platform, _scope: Scope, _name: str, *, period: Any) -> DriftReport:
        asked.append(period.since)
        if found is None:
            raise DriftUnknown("linear", "nothing was logged", "log it")
        return replace(NO_DRIFT, verdict=found)

    monkeypatch.setattr(schedules, "show_drift", drift)
    weekly(acme, when_drift="severe")
    clock.advance(7 * DAY)
    assert [run.outcome for run in ran(acme)] == [outcome]
    assert asked == [clock() - 7 * DAY]
    assert shown(acme).failures == 0


def test_suspended_tenant_is_not_trained_for(acme: House, clock: Clock) -> None:
    weekly(acme)
    clock.advance(7 * DAY)
    tenants.suspend_tenant(acme.platform, acme.operator(), "acme")
    assert [run.outcome for run in ran(acme)] == ["skipped"]
    tenants.resume_tenant(acme.platform, acme.operator(), "acme")


def test_outcome_is_on_record(acme: House, clock: Clock) -> None:
    weekly(acme)
    clock.advance(7 * DAY)
    ran(acme, fail)
    acme.ada.tokens.clear()
    records = acme.ada.get("/admin/audit?limit=5").get_json()
    record = next(each for each in records if each["action"] == "training.schedule.run")
    assert (record["outcome"], record["details"]["outcome"]) == ("refused", "failed")


def test_mark_is_left_only_when_something_is_due(acme: House, clock: Clock) -> None:
    mark = acme.platform.settings.state / SCHEDULES_DUE
    schedules.announce_due(acme.platform)
    weekly(acme)
    schedules.announce_due(acme.platform)
    assert not mark.exists()
    clock.advance(7 * DAY)
    schedules.announce_due(acme.platform)
    assert mark.exists()


def test_schedule_that_could_never_train_is_refused(acme: House) -> None:
    scope = acme.operator("acme")
    without = read_spec({"model": "linear", "target": "y"})
    with pytest.raises(ScheduleRefused, match="where the table is"):
        schedules.set_schedule(acme.platform, scope, without, FOLDER, every_seconds=DAY)
    with pytest.raises(ScheduleRefused, match="from a minute to a year"):
        weekly(acme, every_seconds=1.0)


@pytest.mark.parametrize(
    ("attempts", "register", "goes_on"), [(1, True, True), (2, True, False), (1, False, False)]
)
def test_what_was_broken_off_is_gone_on_with_unless_that_comes_to_nothing(
    acme: House, monkeypatch: pytest.MonkeyPatch, attempts: int, register: bool, goes_on: bool
) -> None:
    order = SimpleNamespace(register=register)
    before = SimpleNamespace(id="before", attempts=attempts, training=order)
    ended = SimpleNamespace(problem="", version=2, log=[SimpleNamespace(note="version 2")])
    carried: list[str] = []

    def carry_out(_platform: object, _scope: object, job_id: str, _watching: object) -> object:
        carried.append(job_id)
        return SimpleNamespace(job=ended)

    monkeypatch.setattr(local_trainings, "unfinished", lambda *_: before)
    monkeypatch.setattr(local_trainings, "begin", lambda *_, **__: SimpleNamespace(id="anew"))
    monkeypatch.setattr(local_trainings, "carry_out", carry_out)
    made = commands.train(acme.platform, acme.operator("acme"), SPEC, FOLDER)
    assert made == Trained(2, "version 2")
    assert carried == ["before" if goes_on else "anew"]


def test_command_line(acme: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line, tenant, spec = CommandLine(acme.folder), ("-t", "acme"), tmp_path / "spec.toml"
    spec.write_text('model = "linear"\ntarget = "y"\n[data]\npath = "none.csv"\n')
    words = ("schedules", "set", "linear", str(spec), *tenant, "--every")
    made = line.json(*words, "7d", "--when-drift", "severe")
    assert (made["every_seconds"], made["folder"]) == (7 * DAY, str(tmp_path))
    assert "no interval" in line.refusal(*words, "often")
    wrong = ("schedules", "set", "other", str(spec), *tenant, "--every", "7d")
    assert "is of the model 'linear'" in line.refusal(*wrong)
    assert line.json("schedules", "run") == []
    monkeypatch.setattr("models.schedules.LEAST_SECONDS", 0.0)
    monkeypatch.setitem(UNITS, "m", 1e-6)
    line.json(*words, "1m")
    said = line.run("schedules", "run")
    assert said.exit_code == 1
    assert "none.csv" in said.stdout
    assert line.json("schedules", "list", *tenant)[0]["failures"] == 1
    assert line.json("schedules", "remove", "linear", *tenant)["model"] == "linear"
    assert "no schedule" in line.refusal("schedules", "remove", "linear", *tenant)


@pytest.mark.drill
def test_scheduled_training_runs_its_spec_for_real_and_reads_its_table_anew(
    acme: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.schedules.LEAST_SECONDS", 0.0)
    monkeypatch.setitem(UNITS, "m", 1e-6)
    line, tenant, spec = CommandLine(acme.folder), ("-t", "acme"), tmp_path / "spec.toml"
    spec.write_text(
        'model = "retrained"\ntarget = "y"\ntask = "regression"\npromote = true\n'
        '[data]\npath = "table.csv"\n[validation]\nfolds = 2\n'
        '[compare]\nalgorithms = ["linear"]\n[tune]\nmethod = "none"\n'
        '[parallel]\nbackend = "sequential"\n'
    )
    rows = 60
    (tmp_path / "table.csv").write_text(table_of(rows))
    line.json("schedules", "set", "retrained", str(spec), *tenant, "--every", "1m")
    (first,) = line.json("schedules", "run")
    (tmp_path / "table.csv").write_text(table_of(rows + 20))  # a day later there are more
    (second,) = line.json("schedules", "run")
    assert [first["version"], second["version"]] == [1, 2]
    described = line.json("models", "show", "retrained", *tenant)
    assert described["champion"] == 2
    platform, scope = acme.platform, acme.operator("acme")
    with platform.database.read() as session:
        found = [platform.registry.find(session, scope, "retrained", n).kept() for n in (1, 2)]
    said = [orjson.loads(read_file(platform, each, EVALUATION) or b"") for each in found]
    assert [each["data"]["rows"] for each in said] == [rows, rows + 20]
    assert said[0]["spec"] == said[1]["spec"]


def table_of(rows: int) -> str:
    """A table from which y can be told by a line, but for a little."""
    lines = (f"{at},{at % 7},{2 * at + at % 7 + 0.1 * (at % 3)}" for at in range(rows))
    return "a,b,y\n" + "\n".join(lines) + "\n"
