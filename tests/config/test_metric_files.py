"""What processes counted is summed exactly, however they ended, in a folder that stays small."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from config import metric_files

COUNT = """
import os, signal, sys
from config.telemetry import Telemetry
telemetry = Telemetry()
telemetry.logins.labels("admitted").inc(2)
telemetry.wait_seconds.labels("web", "quick").observe(0.05)
telemetry.processes.labels("web").set(1)
tally = telemetry.predictions(
    endpoint="predict.predict", method="POST", status="200", dialect="native", engine="linear"
)
tally.add(rows=5, total=0.5, spent=[0.25] * 6)
os.kill(os.getpid(), signal.SIGKILL)
"""
SHOW = """
from config.telemetry import Telemetry
telemetry = Telemetry()
telemetry.processes.labels("web").set(1)
print(telemetry.exposition().decode())
"""


def run(script: str, folder: Path, *, check: bool = True) -> str:
    return subprocess.run(
        [sys.executable, "-c", script],
        env={"PROMETHEUS_MULTIPROC_DIR": str(folder), "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        check=check,
    ).stdout


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of three processes that were killed."""
    folder = tmp_path_factory.mktemp("metrics")
    for _ in range(3):
        run(COUNT, folder, check=False)
    return folder


@pytest.fixture
def left(killed: Path, tmp_path: Path) -> Path:
    """A copy of them."""
    for file in killed.glob("*.db"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def assert_exact(shown: str) -> None:
    assert 'sallyport_logins_total{outcome="admitted"} 6.0' in shown
    assert 'sallyport_queue_wait_seconds_count{lane="quick",program="web"} 3.0' in shown
    assert 'le="0.01",program="web"} 0.0' in shown
    assert 'le="0.1",program="web"} 3.0' in shown
    assert 'sallyport_predicted_rows_total{dialect="native",engine="linear"} 15.0' in shown
    assert 'sallyport_stage_seconds_sum{dialect="native",stage="encode"} 0.75' in shown


def test_what_killed_processes_counted_still_counts_and_what_they_were_does_not(
    left: Path,
) -> None:
    shown = run(SHOW, left)

    assert_exact(shown)
    assert 'sallyport_processes{program="web"} 1.0' in shown


def test_files_of_ended_processes_become_one(left: Path) -> None:
    for _ in range(3):
        assert_exact(run(SHOW, left))
    metric_files.tidy(left)

    assert sorted(file.name for file in left.iterdir()) == [
        "counter_gone.db",
        "histogram_gone.db",
        "lock",
    ]
    assert_exact(metric_files.summed(left).decode())


@pytest.mark.parametrize("step", ["before it is listed", "when it is listed", "when it stands"])
def test_adding_up_that_is_killed_counts_nothing_twice(
    left: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    class Killed(Exception):
        pass

    def killed(*_arguments: object) -> None:
        raise Killed

    def stand(folder: Path, kind: str) -> None:
        if (folder / f"{kind}.listed").exists():
            (folder / f"{kind}.new").rename(folder / f"{kind}_gone.db")
            raise Killed

    with monkeypatch.context() as patched:
        if step == "before it is listed":
            patched.setattr(json, "dumps", killed)
        elif step == "when it is listed":
            patched.setattr(metric_files, "_finish", lambda folder, kind: _if_listed(folder, kind))
        else:
            patched.setattr(metric_files, "_finish", stand)
        with pytest.raises((Killed, InterruptedError)):
            metric_files.tidy(left)

    assert_exact(metric_files.summed(left).decode())
    assert_exact(metric_files.summed(left).decode())


def _if_listed(folder: Path, kind: str) -> None:
    if (folder / f"{kind}.listed").exists():
        raise InterruptedError


def test_a_process_that_ends_while_it_makes_its_files_hides_no_others(left: Path) -> None:
    (left / "counter_999999999.db").touch()
    (left / f"counter_{os.getpid()}.db").touch()

    assert_exact(metric_files.summed(left).decode())


def test_a_new_run_starts_from_nothing(left: Path) -> None:
    metric_files.tidy(left)
    metric_files.prepare_folder(left)

    assert list(left.iterdir()) == []
