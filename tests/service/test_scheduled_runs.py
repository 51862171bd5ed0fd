"""The supervisor's child that runs what is scheduled."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from config.settings import Settings
from service import scheduled_runs
from service.pidfile import SCHEDULES_DUE
from service.processes import reap
from service.scheduled_runs import ScheduledRuns, command_of
from tests.journeys.served import until

TELLS = "import os, sys, pathlib; pathlib.Path(sys.argv[1]).write_text(str(os.nice(0)))"
WAITS = "import sys, pathlib, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"


@pytest.fixture
def state(house_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of an installation whose supervisor looks without pause."""
    monkeypatch.setattr(scheduled_runs, "LOOK_SECONDS", 0.0)
    house_settings.state.mkdir(exist_ok=True)
    return house_settings


def runs_of(settings: Settings, program: str, told: Path) -> ScheduledRuns:
    """What runs this program."""
    return ScheduledRuns(settings, (sys.executable, "-c", program, str(told)), os.environ)


def reaped(runs: ScheduledRuns) -> Callable[[], bool]:
    """Whether there is no child any more."""

    def is_over() -> bool:
        runs.tick()
        reap([runs])
        return not runs.children

    return is_over


def test_nothing_is_started_while_nothing_is_due(state: Settings, tmp_path: Path) -> None:
    runs = runs_of(state, TELLS, tmp_path / "told")
    assert runs.tick() is not None
    assert runs.children == []


def test_what_is_due_is_run_once_and_yields(state: Settings, tmp_path: Path) -> None:
    told, mark = tmp_path / "told", state.state / SCHEDULES_DUE
    runs = runs_of(state, TELLS, told)
    mark.touch()
    runs.tick()
    (child,) = runs.children
    mark.touch()  # of what became due meanwhile: after this one
    runs.tick()
    assert runs.children == [child]
    reap([runs])
    until(lambda: told.exists() and told.read_text() != "")
    assert int(told.read_text()) > os.nice(0)
    runs.stop()
    until(reaped(runs))
    assert mark.exists()


def test_child_is_asked_to_end_and_ended_if_it_does_not(
    state: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stubborn = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAITS}"
    monkeypatch.setattr(scheduled_runs, "STOP_SECONDS", 0.0)
    for number, program in enumerate((WAITS, stubborn)):
        told = tmp_path / f"told-{number}"
        runs = runs_of(state, program, told)
        (state.state / SCHEDULES_DUE).touch()
        runs.tick()
        until(told.exists)
        runs.stop()
        until(reaped(runs))
        (state.state / SCHEDULES_DUE).touch()
        runs.tick()
        assert runs.children == []  # nothing is begun by who stops


def test_command_is_one_that_there_is(state: Settings) -> None:
    python, program, *words = command_of(state, Path(__file__).parent.parent.parent)
    assert Path(python).exists()
    assert Path(program).exists()
    assert words == ["--instance", str(state.instance), "schedules", "run"]
