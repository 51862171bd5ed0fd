"""manage.py train: a spec and a table on the operator's own disk become a version."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest
from sqlalchemy import func, select

from config.settings import load_settings
from models.errors import DataRefused, TrainerEnded, TrainingFailed
from models.records import TrainingResultRow
from models.trainers.local import LocalTrainers
from service.bootstrap import Platform, assemble
from service.operations import local_trainings, training_jobs
from tests.house import opened
from tests.journeys.platform import ROOT, until
from tests.service.command_line import CommandLine
from tests.service.patient_trainer import MODULE
from tests.service.training import TABLE, Trainer, files, trainer

__all__ = ["trainer"]

SPEC = """
model = "fresh"
target = "y"
task = "regression"
[data]
path = "table.csv"
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A spec with its table beside it."""
    (tmp_path / "table.csv").write_bytes(TABLE)
    path = tmp_path / "fresh.toml"
    path.write_text(SPEC)
    return path


@pytest.fixture
def platform(manage: CommandLine) -> Iterator[Platform]:
    """What the command works on."""
    platform = assemble(load_settings(manage.instance))
    yield platform
    platform.close()


def results(platform: Platform) -> int:
    with platform.database.read() as session:
        return session.scalar(select(func.count()).select_from(TrainingResultRow)) or 0


def raising(error: BaseException) -> Callable[..., Any]:
    def answer(*_: object) -> Any:
        raise error

    return answer


def reading(seen: list[bytes]) -> Callable[..., Any]:
    """A stand-in that notes the table's bytes."""
    real = Trainer()

    def train(_trainers: object, spec: Any, name: str, data: int, **options: Any) -> Any:
        seen.append(os.pread(data, 10**6, 0))
        return real(_trainers, spec, name, data, **options)

    return train


def test_the_winner_is_registered_and_all_of_it_told(
    manage: CommandLine, spec: Path, trainer: Trainer
) -> None:
    result = manage.run("train", str(spec), "-t", "acme", "--budget", "30", "--json")

    assert result.exit_code == 0, result.output
    made = json.loads(result.stdout)
    assert (made["model"], made["version"], made["outcome"]) == ("fresh", 1, "version 1")
    assert made["leaderboard"] == [{"rank": 1}]
    assert made["job"].startswith("job_")
    assert {"champion", "holdout"} <= made.keys()
    report = spec.with_name("fresh-report.html")
    assert made["report"] == str(report)
    assert report.read_bytes() == files().report
    assert report.stat().st_mode & 0o777 == 0o600, "it tells what is in the table"
    assert Path(made["evaluation"]).read_bytes() == files().evaluation_bytes
    assert trainer.asked["spec"]["budget_seconds"] == 30
    assert trainer.asked["name"] == "table.csv"
    assert trainer.asked["spec"]["parallel"]["backend"] == "loky", "as the operator wants it"
    assert "comparing 2/2: tree (best: tree 1)" in result.stderr.splitlines()
    shown = manage.json("models", "versions", "fresh", "--tenant", "acme")
    assert [version["version"] for version in shown] == [1]


def test_columns_and_the_leaderboard_are_shown_to_people(
    manage: CommandLine, spec: Path, trainer: Trainer
) -> None:
    shown = manage.run("train", str(spec), "-t", "acme", FORCE_COLOR="1")
    assert ["x", "numeric", "0", "2", "numbers"] in [
        line.split() for line in shown.stdout.splitlines()
    ]
    assert "comparing 2/2: tree" in shown.stderr
    assert "\x1b[" in shown.stderr, "a bar"
    assert "numbers" not in manage.text("train", str(spec), "-t", "acme", "--json")


def test_what_is_to_be_decided_about_the_data_is_told(
    manage: CommandLine, spec: Path, trainer: Trainer
) -> None:
    finding = {"where": "x", "what": "it repeats", "remedy": "call it drop", "severity": "warning"}
    findings = [finding, finding | {"severity": "note", "where": "y"}]
    trainer.answer = lambda: files(
        evaluation={**files().evaluation, "data": {"findings": findings}}
    )

    lines = manage.text("train", str(spec), "-t", "acme").splitlines()
    assert [line for line in lines if "repeats" in line] == ["warning: x: it repeats; call it drop"]


def test_without_registration_there_is_the_report_alone(
    manage: CommandLine, spec: Path, trainer: Trainer, tmp_path: Path
) -> None:
    report = tmp_path / "elsewhere.html"
    words = ("train", str(spec), "-t", "acme", "--no-register", "--report", str(report))
    made = manage.json(*words)
    assert "beside it" in manage.refusal(*words[:-1], str(report.with_suffix(".json")))

    assert made["version"] is None
    assert report.exists()
    assert report.with_suffix(".json").exists()
    assert manage.json("models", "list", "--tenant", "acme")[0]["name"] != "fresh"


def test_promotion_moves_the_champion(manage: CommandLine, spec: Path, trainer: Trainer) -> None:
    manage.json("train", str(spec), "-t", "acme")
    trainer.answer = lambda: files(report=b"<!doctype html><title>second</title>")
    made = manage.json("train", str(spec), "-t", "acme", "--promote")
    assert "champion points at it" in made["outcome"]


def test_the_rows_of_a_query_are_trained_on(
    manage: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []
    monkeypatch.setattr(training_jobs, "run_training", reading(seen))
    with sqlite3.connect(tmp_path / "own.db") as database:
        database.execute("create table t (x real, y real)")
        database.execute("insert into t values (1.5, 2.5)")
    spec = tmp_path / "fresh.toml"
    data = 'sql = "select x, y from t"\ndatabase = "OWN_DATABASE"'
    spec.write_text(SPEC.replace('path = "table.csv"', data))

    refusal = manage.refusal("train", str(spec), "-t", "acme")
    assert "OWN_DATABASE is not set" in refusal
    manage.json("train", str(spec), "-t", "acme", OWN_DATABASE=f"sqlite:///{tmp_path}/own.db")

    assert pa.ipc.open_stream(seen[0]).read_all().to_pylist() == [{"x": 1.5, "y": 2.5}]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (DataRefused("it has no rows", report=("line 2: nothing",)), "the data: it has no rows"),
        (TrainingFailed("nothing could be fitted"), "the training failed: nothing could be fitted"),
    ],
)
def test_what_comes_to_nothing_is_said_in_lines(
    manage: CommandLine, spec: Path, trainer: Trainer, error: Exception, said: str
) -> None:
    trainer.answer = raising(error)
    result = manage.run("train", str(spec), "-t", "acme")

    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert lines[-1] == f"Error: {said}"
    assert ("line 2: nothing" in lines) == isinstance(error, DataRefused)
    assert not spec.with_name("fresh-report.html").exists()


def test_a_spec_is_refused_with_the_place(manage: CommandLine, spec: Path) -> None:
    spec.write_text(SPEC.replace("target", "targt"))
    assert "target" in manage.refusal("train", str(spec), "-t", "acme")
    spec.write_text(SPEC.replace('path = "table.csv"', ""))
    assert "--data" in manage.refusal("train", str(spec), "-t", "acme")
    assert "SPEC" in manage.refusal("train", "-t", "acme")
    assert "there is no job" in manage.refusal("train", "-t", "acme", "--resume", "job_0")
    words = ("train", "-t", "acme", "--resume", "job_0", "--promote")
    assert "as it was begun" in manage.refusal(*words)


def test_a_broken_off_training_is_gone_on_with(
    manage: CommandLine, spec: Path, trainer: Trainer, platform: Platform
) -> None:
    trainer.answer = raising(TrainerEnded("killed by SIGKILL"))
    line = manage.run("train", str(spec), "-t", "acme").stderr.splitlines()[-1]
    assert "killed by SIGKILL" in line
    job = line.rpartition(" ")[2]
    assert f"manage.py train --tenant acme --resume {job}" in line
    assert results(platform) == 3
    trainer.answer = raising(KeyboardInterrupt())
    interrupted = manage.run("train", "-t", "acme", "--resume", job)
    assert interrupted.exit_code != 0
    assert f"--tenant acme --resume {job}" in interrupted.stderr
    trainer.answer, trainer.scores = files, ()
    (spec.parent / "table.csv").unlink()  # it was noted with the training

    made = manage.json("train", "-t", "acme", "--resume", job, "--report", f"{spec.parent}/r.html")

    assert (made["job"], made["version"]) == (job, 1)
    assert len(trainer.known) == 3
    assert results(platform) == 0
    assert platform.uploads.jobs(made_tenant(platform)) == set()
    assert "has ended" in manage.refusal("train", "-t", "acme", "--resume", job)


def made_tenant(platform: Platform) -> str:
    with platform.database.read() as session:
        return platform.tenants.find(session, "acme").id


def test_a_killed_command_leaves_what_it_found_out(
    manage: CommandLine, spec: Path, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [sys.executable, "-m", MODULE, str(manage.instance), "train", str(spec), "-t", "acme"]
    with subprocess.Popen(words, cwd=ROOT, stderr=subprocess.DEVNULL) as command:
        until(lambda: results(platform) == 1)
        trainers = psutil.Process(command.pid).children()
        command.send_signal(signal.SIGKILL)
    until(lambda: not any(process.is_running() for process in trainers))
    with monkeypatch.context() as patched:
        patched.setattr(training_jobs, "run_training", raising(TrainingFailed("at once")))
        before = manage.run("train", str(spec), "-t", "acme").stderr
    job = before.split()[0]
    assert f"was broken off; go on with it: manage.py train --tenant acme --resume {job}" in before
    monkeypatch.setattr(local_trainings, "LocalTrainers", lambda: LocalTrainers(MODULE))

    made = manage.json("train", str(spec), "-t", "acme", "--resume", job)

    assert (made["job"], made["version"]) == (job, 1)
    assert json.loads(Path(made["evaluation"]).read_text())["seed"] == 25, "by its own result"


def test_a_table_is_compared_and_the_best_served_by_name(
    manage: CommandLine, tmp_path: Path
) -> None:
    """Nothing stands in for anything."""
    rows = [
        f"{x},{colour},{'yes' if x > 5 or colour == 'red' else 'no'}"
        for x in range(1, 11)
        for colour in ("red", "green", "blue")
    ]
    (tmp_path / "t.csv").write_text("\n".join(("size,colour,answer", *rows)))
    spec = tmp_path / "answers.toml"
    spec.write_text(
        'model = "answers"\ntarget = "answer"\n[validation]\nfolds = 2\n'
        '[compare]\nalgorithms = ["tree"]\n[tune]\nmethod = "none"\n'
        '[parallel]\nbackend = "sequential"\n'
    )

    text = manage.text("train", str(spec), "-t", "acme", "--data", str(tmp_path / "t.csv"))

    kinds = [line.split()[:2] for line in text.splitlines()]
    assert ["size", "numeric"] in kinds
    assert ["colour", "categorical"] in kinds
    assert "balanced_accuracy" in text
    page = (tmp_path / "answers-report.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    with opened(load_settings(manage.instance)) as house:
        records = [{"size": 2, "colour": "red"}, {"size": 2, "colour": "blue"}]
        asked = {"model": "answers", "records": records}
        answer = house.rob.post("/predict", json=asked).get_json()
        assert answer["prediction"] == ["yes", "no"]
        served = house.ben.get("/models/answers/versions/1/report")
        assert served.text == page
