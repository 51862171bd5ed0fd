"""GET /models/{model}/drift, its page, and manage.py drift."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.drift.reference import reference_of
from models.manifest import REFERENCE
from service.commands.operator import Operator
from service.operations import drift as operations
from service.operations.registration import register
from tests.house import House
from tests.models.drift.threads import Threads
from tests.service.command_line import CommandLine
from tests.service.judged_models import prepared_of, with_file
from tests.service.problems import refused

ROWS = np.random.default_rng(5).normal((10.0, 20.0), 2.0, (200, 2))
DRIFT = "/models/watched/drift"


@pytest.fixture(scope="module")
def watched(shared_house: House) -> House:
    """A model whose log is kept, and whose training is on record; x1 has moved since."""
    house = shared_house
    object.__setattr__(house.platform.hosting, "trainers", Threads())
    columns = {"x0": ROWS[:, 0], "x1": ROWS[:, 1]}
    answers = ROWS @ (0.6, 1.2)
    prepared = with_file(prepared_of(house), REFERENCE, reference_of(columns, predictions=answers))
    register(house.platform, house.operator("acme"), "watched", prepared)
    house.add_version("untold")
    for model in ("watched", "untold"):
        house.ben.call("PUT", f"/models/{model}/log", json={"sample": 1.0})
        moved = (ROWS[:80] + np.array([0.0, 5.0])).tolist()
        assert house.rob.predict(moved, model=model).status_code == 200
    assert house.platform.prediction_logs.waiting.flush()
    return house


def test_drift_is_told_by_column_and_put_on_record(watched: House) -> None:
    found = watched.ada.get(DRIFT).get_json()
    assert (found["verdict"], found["rows"], found["reference_rows"]) == ("severe", 80, 200)
    verdicts = {each["name"]: each["verdict"] for each in found["features"]}
    assert verdicts == {"x0": "none", "x1": "severe"}
    assert found["left_out"] == 0
    records = watched.ada.get("/admin/audit?limit=10").get_json()
    record = next(each for each in records if each["action"] == "models.log.read")
    assert (record["subject"], record["details"]["for"]) == ("watched", "drift")


def test_page_is_given_with_nothing_allowed_on_it(watched: House) -> None:
    answer = watched.ada.get(f"{DRIFT}/report?version=1")
    assert answer.content_type == "text/html; charset=utf-8"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert answer.text.count("<figure>") == 3
    assert "Severe" in answer.text


def test_only_who_may_read_predictions_is_told(watched: House) -> None:
    for path in (DRIFT, f"{DRIFT}/report"):
        refused(watched.ben.get(path), 403, "insufficient-scope")
        refused(watched.olga.get(path), 403, "insufficient-scope")


def test_what_cannot_be_compared_is_said(watched: House) -> None:
    problem = refused(watched.ada.get("/models/untold/drift"), 409, "drift-unknown")
    assert "not on record what version 1 was trained on" in problem["detail"]
    problem = refused(watched.ada.get(f"{DRIFT}?since=99999999999"), 409, "drift-unknown")
    assert "nothing of version 1 was logged" in problem["detail"]
    refused(watched.ada.get("/models/linear/drift"), 409, "drift-unknown")
    refused(watched.ada.get(f"{DRIFT}?version=7"), 404, "not-found")


def test_one_tenant_looks_at_one_log_at_once(watched: House) -> None:
    end = operations.PLACES.open(watched.operator("acme").tenant_id)
    refused(watched.ada.get(DRIFT), 503, "busy")
    end()
    assert watched.ada.get(DRIFT).status_code == 200


def test_command_line(watched: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Operator, "platform", watched.platform)
    monkeypatch.setattr(Operator, "__exit__", lambda *_: None)
    line, page = CommandLine(watched.folder), tmp_path / "drift.html"
    found = line.json("drift", "watched", "-t", "acme", "--report", str(page))
    assert (found["verdict"], found["report"]) == ("severe", str(page))
    assert page.read_bytes().startswith(b"<!doctype html>")
    assert page.stat().st_mode & 0o777 == 0o600
    assert "exists" in line.refusal("drift", "watched", "-t", "acme", "--report", str(page))
    said = line.text("drift", "watched", "-t", "acme", "--since", "2020-01-01")
    assert said.startswith("Severe: 2 of 3 columns are away from the training data.\n")
    told = operations.show_drift(watched.platform, watched.operator("acme"), "watched")
    odd = replace(told, words="a\x1b]0;owned\x07")
    monkeypatch.setattr(operations, "show_drift", lambda *_, **__: odd)
    assert line.text("drift", "watched", "-t", "acme").startswith("a\\x1b]0;owned\\x07\n")
