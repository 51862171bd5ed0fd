"""manage.py models import, and manage.py jobs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from config.settings import load_settings
from service.operations import jobs
from tests.house import opened
from tests.service.command_line import CommandLine
from tests.service.uploading import joblib_file, kept, skops_file, upload

IMPORT = ("models", "import", "--tenant", "acme", "line")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "line.skops"
    path.write_bytes(skops_file(2.0))
    return path


def test_file_is_imported_with_rows_and_answers_and_aliases_follow(
    manage: CommandLine, file: Path, tmp_path: Path
) -> None:
    rows, answers = tmp_path / "rows.csv", tmp_path / "answers.json"
    rows.write_text("x\n1\n2\n")
    answers.write_text("[2.0, 4.0]")
    digest = hashlib.sha256(skops_file(2.0)).hexdigest()
    given = ("--rows", str(rows), "--expect", str(answers), "--sha256", digest)

    made = manage.json(*IMPORT, str(file), *given, "--format", "skops", "--alias", "blue")

    assert (made["model"], made["version"], made["source_digest"]) == ("line", 1, digest)
    assert made["outcome"] == "version 1; blue points at it"
    again = manage.json(*IMPORT, str(file), "--promote", "--note", "the same again")
    assert again["outcome"] == "version 2; champion points at it"
    assert manage.json("models", "show", "line", "--tenant", "acme")["champion"] == 2


def test_file_that_runs_code_is_imported_in_the_sandbox(
    manage: CommandLine, tmp_path: Path
) -> None:
    plain, told = tmp_path / "line.bin", tmp_path / "line.pkl"
    for path in (plain, told):
        path.write_bytes(joblib_file())
    assert manage.json(*IMPORT, str(plain), "--format", "pickle")["version"] == 1
    assert manage.json(*IMPORT, str(told))["version"] == 2
    assert "its content is joblib, which was not asked for" in manage.refusal(*IMPORT, str(plain))


def test_answers_that_the_model_does_not_give_refuse_it(
    manage: CommandLine, file: Path, tmp_path: Path
) -> None:
    rows, answers = tmp_path / "rows.json", tmp_path / "answers.json"
    rows.write_text("[[1.0]]")
    answers.write_text("[3.0]")
    line = manage.refusal(*IMPORT, str(file), "--rows", str(rows), "--expect", str(answers))
    assert "answer" in line
    assert manage.json("models", "list", "--tenant", "acme")[0]["name"] == "linear"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--sha256", "0" * 64), "SHA-256"),
        (("--sha256", "abc"), "64 hexadecimal digits"),
        (("--format", "onnx"), "skops"),
        (("--expect", "/etc/hostname"), "--rows"),
        (("--alias", "7"), "alias"),
    ],
)
def test_import_that_cannot_be_is_refused_in_one_line(
    manage: CommandLine, file: Path, options: tuple[str, ...], said: str
) -> None:
    assert said in manage.refusal(*IMPORT, str(file), *options)


def test_jobs_are_listed_shown_and_cancelled(manage: CommandLine) -> None:
    with opened(load_settings(manage.instance)) as house:
        job_id = upload(house.ben).get_json()["id"]
        acme = ("--tenant", "acme")

        listed = manage.json("jobs", "list", *acme)
        assert [(job["id"], job["state"]) for job in listed] == [(job_id, "received")]
        assert job_id in manage.text("jobs", "list", *acme)
        assert "user:ben@acme" in manage.text("jobs", "show", job_id, *acme)
        assert manage.json("jobs", "show", job_id, *acme)["log"][0]["stage"] == "received"
        assert "no job" in manage.refusal("jobs", "show", job_id, "--tenant", "globex")
        assert "no job" in manage.refusal("jobs", "cancel", job_id, "--tenant", "globex")
        assert manage.json("jobs", "cancel", job_id, *acme)["state"] == "cancelled"
        assert kept(house) == set()
        assert jobs.show_job(house.platform, house.operator("acme"), job_id).state == "cancelled"


def test_model_is_shown_with_how_its_route_divides_the_calls(
    manage: CommandLine, file: Path
) -> None:
    manage.json(*IMPORT, str(file))
    manage.json(*IMPORT, str(file), "--alias", "canary")
    shown = ("models", "show", "line", "--tenant", "acme")
    assert manage.json(*shown)["route"] is None

    split = ("--split", "champion=95", "--split", "canary=5")
    manage.json("routes", "set", "line", "--tenant", "acme", *split)

    assert manage.json(*shown)["route"]["split"][1] == {"version": "canary", "weight": 5}
    assert "champion=95, canary=5" in manage.text(*shown)
