"""/training/jobs and the work on them: one worker at a time, gone on with, to the end, once."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from config.settings import Settings, load_settings
from models.errors import (
    DataRefused,
    IntakeRefused,
    LeaseLost,
    SpecRefused,
    TrainerEnded,
    TrainingFailed,
)
from models.jobs import State
from models.records import TrainingResultRow
from models.training.progress import Phase, Progress, Result
from service.operations import accounts, errands, plans, tenants, training_jobs, training_orders
from service.operations import jobs as intake_jobs
from service.operations.training_jobs import TrainingErrand
from service.routes import trainings
from tests.house import Actor, House, opened
from tests.service.problems import refused
from tests.service.training import (
    COLUMN,
    PATH,
    SPEC,
    TABLE,
    Trainer,
    files,
    post,
    posted,
    shown,
    trainer,
    work_on_next,
)
from tests.service.uploading import kept, upload, work

__all__ = ["trainer"]

Said = list[tuple[str, int, Any]]


def results(house: House) -> int:
    with house.platform.database.read() as session:
        return session.scalar(select(func.count()).select_from(TrainingResultRow)) or 0


def later(house: House, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let the queue believe that so much time has gone by."""
    now = house.platform.clock() + seconds
    monkeypatch.setattr(house.platform.trainings, "_clock", lambda: now)


def raising(error: BaseException) -> Callable[..., Any]:
    def answer(*_: object) -> Any:
        raise error

    return answer


def pieces_of(response: TestResponse) -> Iterator[bytes]:
    """What is sent of an answer, as it is."""
    for piece in response.response:
        assert isinstance(piece, bytes)
        yield piece


def heard(actor: Actor, job_id: str, **headers: str) -> Said:
    """The events of a training that has ended."""
    response = actor.get(f"{PATH}/{job_id}/events", headers=headers)
    assert response.status_code == 200, response.text
    assert response.mimetype == "text/event-stream"
    events = []
    for block in response.text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "event" in lines:
            events.append((lines["event"], int(lines["id"]), json.loads(lines["data"])))
    return events


def test_a_table_becomes_a_version_with_all_that_is_told_of_it(
    house: House, trainer: Trainer
) -> None:
    response = post(house.ben, SPEC | {"budget_seconds": 60})
    assert response.status_code == 202, response.text
    job_id = response.get_json()["id"]
    assert response.headers["Location"] == f"{PATH}/{job_id}"
    assert response.get_json()["state"] == "received"
    assert work_on_next(house)

    job = shown(house, job_id)
    assert (job["state"], job["version"], job["report"]) == ("ready", 1, [])
    assert [entry["stage"] for entry in job["log"]] == [
        "received",
        *["training"] * 3,
        *["registering"] * (len(job["log"]) - 5),
        "ready",
    ]
    assert [entry["note"] for entry in job["log"][1:4]] == ["begun", "reading", "comparing"]
    assert job["progress"]["phase"] == "comparing"
    assert job["columns"] == [COLUMN]
    assert [(each["algorithm"], each["mean"]) for each in job["leaderboard"]] == [
        ("tree", 1.0),
        ("linear", 2.0),
    ]
    assert house.rob.predict([3.0], model="fresh").get_json()["prediction"] == pytest.approx([3.0])
    assert trainer.asked["spec"]["budget_seconds"] == 60
    assert trainer.asked["spec"]["parallel"] == {
        "backend": "sequential",
        "workers": 1,
        "address": "",
    }
    assert (kept(house), results(house)) == (set(), 0)


def test_a_report_is_sealed_with_its_version_and_runs_nothing(
    house: House, trainer: Trainer
) -> None:
    job_id = posted(house)
    assert house.ben.get(f"{PATH}/{job_id}/report").status_code == 404, "not yet"
    work_on_next(house)

    for path in (f"{PATH}/{job_id}", "/models/fresh/versions/1", "/models/fresh/versions/champion"):
        page = house.ben.get(f"{path}/report")
        assert page.data == files().report
        assert page.content_type == "text/html; charset=utf-8"
        policy = page.headers["Content-Security-Policy"].split("; ")
        assert "sandbox" in policy
        assert "default-src 'none'" in policy
        assert not [each for each in policy if each.startswith("script-src")]
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        evaluation = house.ben.get(f"{path}/evaluation")
        assert evaluation.get_json()["model"] == "fresh"
    manifest = house.ben.get("/models/fresh/versions/1").get_json()["manifest"]
    assert manifest["files"].keys() == {"model", "engine", "evaluation", "report", "reference"}
    assert manifest["parents"] == [shown(house, job_id)["digest"]]
    assert house.rob.get("/models/fresh/versions/1/report").status_code == 200
    assert house.rob.get(f"{PATH}/{job_id}/report").status_code == 403
    assert refused(house.ada.get("/models/linear/versions/1/report"), 404, "not-found")
    house.add_version("fresh")
    house.ben.call("PUT", "/models/fresh/aliases/champion", json={"version": 2})
    assert house.ben.call("DELETE", "/models/fresh/versions/1").status_code == 204
    assert house.ben.get(f"{PATH}/{job_id}/report").status_code == 410


def test_what_is_told_of_a_training_is_told_in_order_and_once(
    house: House, trainer: Trainer
) -> None:
    job_id = posted(house)
    work_on_next(house)

    events = heard(house.ben, job_id)

    numbers = [number for kind, number, _ in events if kind == "log"]
    assert numbers == sorted(set(numbers))
    assert events[-1][0] == "state"
    assert events[-1][2] == {"state": "ready", "version": 1}
    [progress] = [said for kind, _, said in events if kind == "progress"]
    assert (progress["done"], progress["total"]) == (2, 2)
    assert progress["leaderboard"][0]["algorithm"] == "tree"
    middle = numbers[len(numbers) // 2]
    again = heard(house.ben, job_id, **{"Last-Event-ID": str(middle)})
    assert again == [event for event in events if event[1] > middle]
    over = house.ben.get(f"{PATH}/{job_id}/events", headers={"Last-Event-ID": str(events[-1][1])})
    assert (over.status_code, over.data) == (204, b"")


def test_a_training_that_is_under_way_is_followed_live(
    house: House, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainings, "ASK_SECONDS", 0.01)
    monkeypatch.setattr(trainings, "HEARTBEAT_SECONDS", 0.02)
    monkeypatch.setattr(TrainingErrand, "renew_seconds", 0.01)
    job_id = posted(house)
    response = house.ben.get(f"{PATH}/{job_id}/events")
    stream = pieces_of(response)
    assert b"retry: 2000" in (first := next(stream))
    assert b"received" in first
    assert next(stream) == b":\n\n", "that it is there"
    said: list[bytes] = []

    def between(_goes_on: object) -> None:
        while not any(b"event: progress" in piece for piece in said):
            said.append(next(stream))

    trainer.between = between
    work_on_next(house)
    rest = b"".join(stream)

    assert b'"state":"training"' in b"".join(said)
    assert b'"state":"ready"' in rest
    assert house.platform.streams.count == 1
    response.close()
    assert house.platform.streams.count == 0


def test_streams_are_bounded_and_end(
    house: House, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainings, "STREAM_SECONDS", -1.0)
    job_id = posted(house)
    address = f"{PATH}/{job_id}/events"
    places = [house.platform.streams.open(house.operator("acme").tenant_id) for _ in range(8)]

    refused(house.ben.get(address), 503, "busy")
    places.pop()()

    response = house.ben.get(address)
    assert response.data == b"", "its time is over at once"
    response.close()
    for leave in places:
        leave()
    assert house.platform.streams.count == 0


def _disable(house: House, _monkeypatch: pytest.MonkeyPatch) -> None:
    house.ada.call("PATCH", "/admin/users/ben", json={"state": "disabled"})


def _revoke(house: House, _monkeypatch: pytest.MonkeyPatch) -> None:
    assert house.ben.post("/auth/logout").status_code == 204


def _wait(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    later = house.platform.clock() + 3600
    monkeypatch.setattr(house.platform.caches.callers, "_clock", lambda: later)
    object.__setattr__(house.platform, "clock", lambda: later)


@pytest.mark.parametrize("happens", [_disable, _revoke, _wait])
def test_who_may_not_train_any_more_hears_nothing_more(
    house: House, trainer: Trainer, monkeypatch: pytest.MonkeyPatch, happens: Callable[..., None]
) -> None:
    job_id = posted(house)
    stream = iter(house.ben.get(f"{PATH}/{job_id}/events").response)
    assert b"received" in next(stream)

    happens(house, monkeypatch)

    assert list(stream) == []


SPECS_REFUSED = [
    ({"target": "y"}, "/spec/model"),
    (SPEC | {"data": {"path": "/etc/passwd"}}, "/spec/data"),
    (SPEC | {"data": {"sql": "select 1", "database": "HOME"}}, "/spec/data"),
    (SPEC | {"parallel": {"backend": "ray"}}, "/spec/parallel/backend"),
    (SPEC | {"parallel": {"backend": "loky"}}, "/spec/parallel/backend"),
    (SPEC | {"parallel": {"workers": 4}}, "/spec/parallel/workers"),
    (SPEC | {"budget_seconds": 10**5}, "/spec/budget_seconds"),
    (SPEC | {"validation": {"folds": 1}}, "/spec/validation/folds"),
    (SPEC | {"model": "No Name"}, "/spec/model"),
    ("no = = toml", "/spec"),
    ("seed = " + "9" * 5_000, "/spec"),
    ("seed = " + "[" * 30_000, "/spec"),
    (".".join("a" * 20_000) + " = 1", "/spec"),  # would take gigabytes to read
    (b"\xff", "/spec"),
    ('{"model": "fresh", "model": "other"}', "/model"),
    ("x" * (64 * 1024 + 1), "/spec"),
]


@pytest.mark.parametrize(("spec", "where"), SPECS_REFUSED)
def test_a_spec_that_none_may_send_is_refused_with_the_place(
    shared_house: House, spec: Any, where: str
) -> None:
    body = refused(post(shared_house.ben, spec), 400, "invalid-input")
    assert [error["pointer"] for error in body["errors"]] == [where]
    assert kept(shared_house) == set()


def test_a_form_without_both_parts_is_refused(shared_house: House) -> None:
    ben = shared_house.ben
    body = refused(post(ben, table=None), 400, "invalid-input")
    assert body["errors"][0]["pointer"] == "/data"
    refused(post(ben, table=b""), 400, "invalid-input")
    for fields in ({"more": "x"}, {"spec": "{}", "more": "x"}):
        answer = ben.post(PATH, data=fields, content_type="multipart/form-data")
        refused(answer, 400, "invalid-input")
    refused(ben.post(PATH, json=SPEC), 415, "unsupported-media-type")
    assert kept(shared_house) == set()


def test_a_spec_may_be_toml_and_a_file(house: House, trainer: Trainer) -> None:
    response = post(house.ben, b'model = "fresh"\ntarget = "y"\n[columns]\nx = "numeric"\n')
    assert response.status_code == 202, response.text
    work_on_next(house)
    assert trainer.asked["spec"]["columns"] == {"x": {"kind": "numeric", "order": []}}


def test_the_same_request_trains_once(house: House, trainer: Trainer) -> None:
    first, again = (post(house.ben, headers={"Idempotency-Key": "once"}) for _ in range(2))
    assert again.get_json() == first.get_json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert work_on_next(house)
    assert not work_on_next(house)
    other = post(house.ben, SPEC | {"seed": 7}, headers={"Idempotency-Key": "once"})
    refused(other, 422, "idempotency-key-reused")


def test_training_a_model_needs_the_permission_of_that_model_and_to_write_it(
    house: House,
) -> None:
    def robot(scope: str) -> Actor:
        client_id, secret = house.robot(scope)
        form = {"grant_type": "client_credentials"}
        token = house.client.post("/auth/token", data=form, auth=(client_id, secret)).get_json()
        return Actor(house.client, "acme", client_id, "", token)

    assert post(robot("training:fresh models.write:fresh")).status_code == 202
    for scope in (
        "training:other models.write:fresh",
        "training models.write:other",
        "models.write",
    ):
        refused(post(robot(scope)), 403, "insufficient-scope")
    assert len(robot("training:other").get(PATH).get_json()) == 0
    assert len(robot("training:fresh").get(PATH).get_json()) == 1
    [job] = house.ben.get(PATH).get_json()
    assert robot("training:other").get(f"{PATH}/{job['id']}").status_code == 404


def test_open_trainings_are_limited_and_do_not_count_as_uploads(house: House) -> None:
    operator = house.operator("acme")
    plans.set_limits(house.platform, operator, values={"training_jobs": 1, "training_seconds": 99})
    posted(house)
    body = refused(post(house.ben), 429, "rate-limited")
    assert body["violated_policies"] == ["training_jobs"]
    assert upload(house.ben).status_code == 202
    assert work(house) == 1, "intakes leave trainings alone"
    assert house.ben.get("/jobs").get_json()[0]["state"] == "ready"
    assert len(house.ben.get("/jobs").get_json()) == len(house.ben.get(PATH).get_json()) == 1
    assert post(house.gail).status_code == 202
    too_long = post(house.gail, SPEC | {"budget_seconds": 3601})
    assert "at most 3600" in refused(too_long, 400, "invalid-input")["errors"][0]["detail"]


def test_of_one_tenant_one_training_is_worked_on_at_once(house: House, trainer: Trainer) -> None:
    first, second = posted(house), posted(house)
    theirs = post(house.gail).get_json()["id"]
    worked: list[str] = []

    def between(_goes_on: object) -> None:
        trainer.between = lambda _goes_on: None
        while work_on_next(house):
            pass
        worked.extend(
            job["id"]
            for actor in (house.ben, house.gail)
            for job in actor.get(PATH).get_json()
            if job["state"] == "ready"
        )

    trainer.between = between
    work_on_next(house)

    assert worked == [theirs]
    assert shown(house, first)["state"] == "ready"
    assert shown(house, second)["state"] == "received"


def test_refused_data_is_told_line_by_line(house: House, trainer: Trainer) -> None:
    lines = ("line 3: 4 cells, 2 are wanted", "column 'x': \x1b[2J")
    trainer.answer = raising(DataRefused("2 lines cannot be read", "mend them", report=lines))
    job_id = posted(house)
    work_on_next(house)

    job = shown(house, job_id)
    assert job["state"] == "refused"
    assert "2 lines cannot be read" in job["problem"]
    assert job["report"] == list(lines)
    assert (kept(house), results(house)) == (set(), 0)
    records = house.ada.get("/admin/audit?limit=100").get_json()
    told = {(record["action"], record["outcome"]) for record in records}
    assert {("training.start", "done"), ("training.end", "refused")} <= told


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (SpecRefused("target", "there is no such column"), "refused"),
        (TrainingFailed("no candidate could be fitted"), "failed"),
        (IntakeRefused("too large"), "refused"),
        (ZeroDivisionError("/secret/path"), "failed"),
    ],
)
def test_a_training_that_comes_to_nothing_says_why(
    house: House, trainer: Trainer, error: Exception, state: str
) -> None:
    trainer.answer = raising(error)
    job_id = posted(house)
    work_on_next(house)

    job = shown(house, job_id)
    assert (job["state"], job.get("version")) == (state, None)
    assert job["problem"]
    assert "secret" not in str(job)
    assert (kept(house), results(house)) == (set(), 0)


def test_a_training_goes_on_with_what_was_found_out(
    house: House, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer.answer = raising(TrainerEnded("killed by SIGKILL"))
    job_id = posted(house)
    assert work_on_next(house)

    assert shown(house, job_id)["state"] == "received"
    assert results(house) == 3
    with house.platform.database.read() as session:
        for row in session.scalars(select(TrainingResultRow)):
            assert b"rmse" not in row.sealed, "sealed"
    trainer.answer, trainer.scores = files, ()
    later(house, monkeypatch, errands.BACK_OFF_SECONDS + 1)
    assert work_on_next(house)

    expected = [
        Result(f"compare/{name}/fold-0", {"scores": {"rmse": score}})
        for name, score in (("linear", 2.0), ("tree", 1.0))
    ]
    assert sorted(trainer.known, key=lambda result: result.key)[:2] == expected
    job = shown(house, job_id)
    assert job["state"] == "ready"
    assert any("3 results of an earlier attempt" in entry["note"] for entry in job["log"])
    assert results(house) == 0


def test_a_worker_that_stops_leaves_the_training_to_another(
    house: House, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = posted(house)
    errand = training_jobs.next_errand(house.platform, stopping := threading.Event())
    assert errand is not None
    trainer.between = lambda _goes_on: stopping.set()
    errand.run()

    assert (shown(house, job_id)["state"], results(house)) == ("received", 3)
    trainer.between = lambda _goes_on: None
    with opened(house.platform.settings) as other:
        assert work_on_next(other)
    assert shown(house, job_id)["state"] == "ready"
    assert len(trainer.known) == 3


def test_a_trainer_that_ends_twice_has_failed(
    house: House, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer.answer = raising(TrainerEnded("killed by SIGKILL"))
    job_id = posted(house)
    work_on_next(house)
    later(house, monkeypatch, errands.BACK_OFF_SECONDS + 1)
    work_on_next(house)

    job = shown(house, job_id)
    assert (job["state"], results(house)) == ("failed", 0)
    assert "SIGKILL" in job["problem"]


def test_cancelling_ends_a_training_that_waits_and_one_under_way(
    house: House, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrainingErrand, "renew_seconds", 0.01)
    waiting, running = posted(house), posted(house)
    assert house.ben.call("DELETE", f"{PATH}/{waiting}").get_json()["state"] == "cancelled"

    def between(goes_on: Callable[[], None]) -> None:
        assert house.ben.call("DELETE", f"{PATH}/{running}").get_json()["state"] == "training"
        while True:
            goes_on()

    trainer.between = between
    assert work_on_next(house)

    assert shown(house, running)["state"] == "cancelled"
    assert (kept(house), results(house)) == (set(), 0)
    assert house.ben.call("DELETE", f"{PATH}/{running}").status_code == 202
    told = [record["action"] for record in house.ada.get("/admin/audit?limit=100").get_json()]
    assert told.count("training.cancel") == 2
    assert house.rob.predict([1.0], model="fresh").status_code == 404


@pytest.mark.parametrize("how", ["disabled", "suspended", "deleted"])
def test_a_training_ends_with_the_account_that_asked_for_it(
    house: House, trainer: Trainer, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(TrainingErrand, "renew_seconds", 0.01)
    posted(house)
    acme, olga = house.operator("acme"), house.operator()

    def between(goes_on: Callable[[], None]) -> None:
        if how == "disabled":
            accounts.change_user(house.platform, acme, "ben", state="disabled")
        elif how == "suspended":
            tenants.suspend_tenant(house.platform, olga, "acme")
        else:
            tenants.delete_tenant(house.platform, olga, "acme")
        while True:
            goes_on()

    trainer.between = between
    assert work_on_next(house)

    with house.platform.database.read() as session:
        jobs = house.platform.trainings.list(session, acme).items
        assert not [job for job in jobs if job.state is not State.REFUSED]
        assert len(jobs) == (0 if how == "deleted" else 1)
    assert house.platform.uploads.jobs(acme.tenant_id) == set()
    assert results(house) == 0


def test_promotion_that_was_asked_for_moves_the_champion(house: House, trainer: Trainer) -> None:
    posted(house)
    work_on_next(house)
    second = posted(house, spec=SPEC | {"promote": True, "seed": 2})
    trainer.answer = lambda: files(report=b"<!doctype html><title>second</title>")
    work_on_next(house)

    assert "champion points at it" in shown(house, second)["log"][-1]["note"]
    assert house.rob.predict([3.0], model="fresh").get_json()["version"] == 2


def test_a_version_that_is_registered_is_not_trained_again(
    house: House, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = posted(house)

    with monkeypatch.context() as patched:
        patched.setattr(TrainingErrand, "_promote", raising(LeaseLost(job_id)))
        work_on_next(house)
    assert shown(house, job_id)["version"] == 1
    trainer.answer = raising(AssertionError("it is trained already"))
    later(house, monkeypatch, errands.LEASE_SECONDS + 1)
    work_on_next(house)

    job = shown(house, job_id)
    assert (job["state"], job["version"]) == ("ready", 1)
    assert house.ben.get("/models/fresh").get_json()["versions"] == [1]


def test_files_that_are_the_same_are_no_version(house: House, trainer: Trainer) -> None:
    trainer.answer = lambda: files(reference=files().evaluation_bytes)
    job_id = posted(house)
    work_on_next(house)
    assert "the same" in shown(house, job_id)["problem"]


def test_what_is_kept_of_one_training_is_bounded(
    house: House, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_jobs, "MOST_BYTES", 200)
    trainer.answer = raising(TrainerEnded("killed"))
    posted(house)
    work_on_next(house)
    assert results(house) == 1


def test_what_a_trainer_floods_a_worker_with_is_written_down_piece_by_piece(
    house: House, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_jobs, "MOST_RESULTS", 2)
    job_id = posted(house)
    errand = training_jobs.next_errand(house.platform, threading.Event())
    assert errand is not None
    errand._known()
    for number in range(60):
        errand.told(Progress((Phase.READING, Phase.COMPARING)[number % 2], 1, 1))
    for number in range(5):
        scores = {"rmse": 1.0, "other": ["x" * 1000], "mae": True}
        errand.found(Result(f"compare/a/fold-{number}", {"scores": scores}))
    for written in (2, 4, 5):
        with house.platform.database.write() as session:
            errand.renewing(session)
        assert results(house) == written
    assert len(shown(house, job_id)["log"]) == 1 + training_jobs.MOST_NOTES
    assert errand._standings is not None
    assert errand._standings._scores == {"a": [{"rmse": 1.0}] * 5}


def test_a_tenant_is_told_of_no_training_of_another(house: House, trainer: Trainer) -> None:
    job_id = posted(house)
    work_on_next(house)
    absent = "job_" + "0" * 28
    for method, part in (
        ("GET", ""),
        ("DELETE", ""),
        ("GET", "/events"),
        ("GET", "/report"),
        ("GET", "/evaluation"),
    ):
        there = house.gail.call(method, f"{PATH}/{job_id}{part}")
        nowhere = house.gail.call(method, f"{PATH}/{absent}{part}")
        assert there.status_code == nowhere.status_code == 404
        bodies = [{**answer.get_json(), "request_id": ""} for answer in (there, nowhere)]
        assert json.dumps(bodies[0]).replace(job_id, absent) == json.dumps(bodies[1])
    assert house.gail.get(PATH).get_json() == []
    assert house.ben.get(f"/jobs/{job_id}").status_code == 404, "no intake"


class TestTidying:
    @pytest.fixture
    def house_settings(self, demo_instance: Path) -> Settings:
        return load_settings(demo_instance, job_days=1)

    def test_what_nobody_goes_on_with_is_ended_and_removed(self, house: House) -> None:
        operator = house.operator("acme")
        spec = trainings.spec_of(json.dumps(SPEC).encode())
        local = training_orders.note_local(
            house.platform, operator, spec, [TABLE], "t.csv", seconds=9, register=True
        )
        waiting = posted(house)
        assert kept(house) == {local.id, waiting}

        with opened(house.platform.settings, lambda: local.created_at + 2 * 86_400) as later_on:
            intake_jobs.tidy(later_on.platform)

        assert kept(house) == {waiting}
