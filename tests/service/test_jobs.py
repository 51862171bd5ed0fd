"""/jobs and the work on them: one worker at a time, to the end, once."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from config.settings import Settings, load_settings
from models.errors import HostsUnavailable, IntakeFailed, IntakeRefused, LeaseLost
from models.job_queue import Jobs
from models.jobs import OPEN, Job, State
from models.records import JobRow
from models.stages import Stage
from service.intake_runner import IntakeRunner
from service.operations import intakes, preparation
from service.operations import jobs as operations
from tests.house import House, opened
from tests.journeys.served import until
from tests.service.problems import refused
from tests.service.uploading import joblib_file, kept, skops_file, upload, work, work_on_next


def posted(house: House, **options: Any) -> str:
    response = upload(house.ben, **options)
    assert response.status_code == 202, response.text
    return str(response.get_json()["id"])


def shown(house: House, job_id: str) -> dict[str, Any]:
    job: dict[str, Any] = house.ben.get(f"/jobs/{job_id}").get_json()
    return job


def audited(house: House) -> list[tuple[str, str, str]]:
    records = house.ada.get("/admin/audit?limit=1000").get_json()
    return [(record["action"], record["outcome"], record["actor"]) for record in records]


def test_log_tells_every_stage_and_the_upload_is_gone(house: House) -> None:
    job_id = posted(house)
    work(house)

    job = shown(house, job_id)
    stages = [entry["stage"] for entry in job["log"]]
    assert stages[0] == "received"
    assert stages[-1] == "ready"
    assert {"verified", "inspected"} <= set(stages), job["log"]
    assert job["log"][-1]["note"] == "version 1"
    assert kept(house) == set()
    done = [record for record in audited(house) if record[0].startswith("models.")]
    assert ("models.upload", "done", "user:ben@acme") in done
    assert ("models.import", "done", "user:ben@acme") in done


def test_file_that_is_no_model_is_refused_with_the_reason(house: House) -> None:
    job_id = posted(house, content=b"no model at all")
    work(house)

    job = shown(house, job_id)
    assert job["state"] == "refused", job
    assert job["problem"]
    assert job["log"][-1]["note"] == job["problem"]
    assert kept(house) == set()
    assert house.rob.predict([1.0], model="fresh").status_code == 404
    assert ("models.import", "refused", "user:ben@acme") in audited(house)


def test_whoever_waits_gets_the_version(house: House) -> None:
    runner = IntakeRunner(house.platform)
    runner.start()
    try:
        response = upload(house.ben, headers={"Prefer": "respond-async, wait=60"})
        assert response.status_code == 201, response.text
        assert response.headers["Location"] == "/models/fresh/versions/1"
        assert response.headers["Preference-Applied"] == "wait=60"
        assert response.get_json()["version"] == 1

        response = upload(house.ben, b"no model", headers={"Prefer": "wait=60"})
        body = refused(response, 422, "model-refused")
        assert shown(house, body["job"])["problem"] == body["detail"]
    finally:
        runner.stop(seconds=30)


def test_whoever_waits_in_vain_gets_the_job(house: House) -> None:
    response = upload(house.ben, headers={"Prefer": "wait=0"})
    assert response.status_code == 202
    assert response.headers["Location"].startswith("/jobs/")


def test_waiting_job_is_cancelled_at_once(house: House) -> None:
    job_id = posted(house)

    response = house.ben.call("DELETE", f"/jobs/{job_id}")

    assert response.status_code == 202
    assert response.get_json()["state"] == "cancelled"
    assert kept(house) == set()
    assert work(house) == 0
    assert house.ben.call("DELETE", f"/jobs/{job_id}").get_json()["state"] == "cancelled"
    assert ("jobs.cancel", "done", "user:ben@acme") in audited(house)


def test_job_that_is_worked_on_is_cancelled_soon(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intakes.Errand, "renew_seconds", 0.02)
    job_id = posted(house)
    cancelled: list[dict[str, Any]] = []

    def prepare(*_: Any, goes_on: Any, **__: Any) -> None:
        cancelled.append(house.ben.call("DELETE", f"/jobs/{job_id}").get_json())
        while True:
            goes_on()

    monkeypatch.setattr(intakes, "prepare", prepare)
    work(house)

    assert cancelled[0]["state"] == "received"
    assert shown(house, job_id)["state"] == "cancelled"
    assert kept(house) == set()


def test_jobs_are_listed_a_page_at_a_time(house: House) -> None:
    made = [posted(house) for _ in range(3)]

    first = house.ben.get("/jobs?limit=2")
    second = house.ben.get(first.headers["Link"].partition("<")[2].partition(">")[0])

    assert [job["id"] for page in (first, second) for job in page.get_json()] == made[::-1]
    assert "Link" not in second.headers


def test_job_of_another_tenant_is_like_one_that_is_not(house: House) -> None:
    job_id = posted(house)
    for method in ("GET", "DELETE"):
        foreign = refused(house.gail.call(method, f"/jobs/{job_id}"), 404, "not-found")
        absent = refused(house.gail.call(method, "/jobs/job_0"), 404, "not-found")
        assert foreign["detail"].replace(job_id, "job_0") == absent["detail"]
    assert house.gail.get("/jobs").get_json() == []
    refused(house.rob.get(f"/jobs/{job_id}"), 403, "insufficient-scope")


def test_grant_for_one_model_shows_the_jobs_of_that_model_alone(house: House) -> None:
    job_id = posted(house)
    client_id, secret = house.robot("models.write:other")
    token = house.client.post(
        "/auth/token",
        data={"grant_type": "client_credentials"},
        auth=(client_id, secret),
    ).get_json()["access_token"]
    robot = replace(house.ben, tokens={"access_token": token})

    assert robot.get("/jobs").get_json() == []
    refused(robot.get(f"/jobs/{job_id}"), 404, "not-found")
    refused(robot.call("DELETE", f"/jobs/{job_id}"), 404, "not-found")
    refused(upload(robot), 403, "insufficient-scope")
    assert upload(robot, path="/models/other/versions").status_code == 202
    assert len(robot.get("/jobs").get_json()) == 1


def test_job_opens_no_file_that_its_uploader_may_not_upload_any_more(house: House) -> None:
    house.ada.call("PATCH", "/admin/users/ben", json={"role": "admin"})
    house.ben.login()
    job_id = upload(house.ben, joblib_file(), headers={"X-Model-Format": "joblib"}).get_json()["id"]
    house.ada.call("PATCH", "/admin/users/ben", json={"role": "developer"})
    work(house)

    house.ben.login()
    job = shown(house, job_id)
    assert job["state"] == "refused", job
    assert "models.pickle" in job["problem"]


def test_whoever_was_disabled_meanwhile_gets_no_version(house: House) -> None:
    job_id = posted(house)
    house.ada.call("PATCH", "/admin/users/ben", json={"state": "disabled"})
    work(house)

    job = operations.show_job(house.platform, house.operator("acme"), job_id)
    assert (job.state, job.version) == ("refused", None)
    assert "may not act" in (job.problem or "")


def test_whoever_lost_the_permission_meanwhile_gets_no_version(house: House) -> None:
    job_id = posted(house)
    house.ada.call("PATCH", "/admin/users/ben", json={"role": "caller"})
    work(house)

    job = operations.show_job(house.platform, house.operator("acme"), job_id)
    assert (job.state, job.version) == ("refused", None)


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def prepare(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(intakes, "prepare", prepare)


def later(house: House, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let the queue believe that so much time has gone by."""
    now = house.platform.clock() + seconds
    monkeypatch.setattr(house.platform.jobs, "_clock", lambda: now)


def test_model_that_ends_its_workshop_twice_has_failed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = posted(house)
    failing(monkeypatch, IntakeFailed("its process was killed by SIGSEGV"))

    assert work_on_next(house)
    assert shown(house, job_id)["state"] == "received"
    later(house, monkeypatch, intakes.BACK_OFF_SECONDS + 1)
    assert work_on_next(house)

    job = shown(house, job_id)
    assert job["state"] == "failed"
    assert "SIGSEGV" in job["problem"]
    assert kept(house) == set()


def test_job_waits_while_no_workshop_can_be_had(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = posted(house)
    failing(monkeypatch, HostsUnavailable("their parent is not there"))
    for turn in range(2 * intakes.MOST_ATTEMPTS):
        later(house, monkeypatch, (turn + 1) * (intakes.BACK_OFF_SECONDS + 1))
        assert work_on_next(house)
        assert not work_on_next(house)  # not at once
    monkeypatch.undo()
    assert shown(house, job_id)["state"] == "received"
    later(house, monkeypatch, 1000)
    work(house)
    assert shown(house, job_id)["state"] == "ready"


def test_fault_of_ours_says_nothing_of_the_inside(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = posted(house)
    failing(monkeypatch, RuntimeError("/secret/path"))
    work(house)

    job = shown(house, job_id)
    assert job["state"] == "failed"
    assert "secret" not in str(job)


def claimed(house: House) -> Job:
    with house.platform.database.write() as session:
        job = house.platform.jobs.claim(session, holder="a worker that dies", seconds=30, most=1)
    assert job is not None
    return job


def test_job_of_a_worker_that_died_is_finished_by_another(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = posted(house)
    dead = claimed(house)
    assert work(house) == 0
    later(house, monkeypatch, 31)

    with opened(house.platform.settings) as other:
        monkeypatch.setattr(other.platform.jobs, "_clock", house.platform.jobs._clock)
        assert work(other) == 1

    assert shown(house, job_id)["state"] == "ready"
    with house.platform.database.write() as session, pytest.raises(LeaseLost):
        house.platform.jobs.end(session, dead, State.FAILED, "late")


def test_job_that_ends_every_worker_is_given_up(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = posted(house)
    for turn in range(intakes.MOST_ATTEMPTS):
        claimed(house)
        later(house, monkeypatch, 31 * (turn + 1))
    work(house)

    assert shown(house, job_id)["state"] == "failed"


def test_registered_job_is_not_registered_again_by_whoever_takes_it_over(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = posted(house)
    work(house)
    second = posted(house, content=skops_file(2.0), path="/models/fresh/versions?promote=true")

    def die(*_: Any, **__: Any) -> None:
        raise LeaseLost(second)

    with monkeypatch.context() as patched:
        patched.setattr(intakes.Errand, "_promote", die)
        work_on_next(house)
    assert shown(house, second)["version"] == 2
    assert house.rob.predict([1.0], model="fresh").get_json()["version"] == 1
    later(house, monkeypatch, 31)
    work(house)

    job = shown(house, second)
    assert (job["state"], job["version"]) == ("ready", 2)
    assert "champion points at it" in job["log"][-1]["note"]
    assert house.rob.predict([1.0], model="fresh").get_json()["version"] == 2
    assert shown(house, first)["version"] == 1


def test_lost_upload_has_failed(house: House) -> None:
    job_id = posted(house)
    for path in house.platform.settings.uploads.rglob("job_*"):
        path.unlink()
    work(house)

    job = shown(house, job_id)
    assert job["state"] == "failed"
    assert "upload the model again" in job["problem"]


def test_worker_that_stops_gives_its_job_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = posted(house)
    started = threading.Event()

    def prepare(*_: Any, goes_on: Any, **__: Any) -> None:
        started.set()
        while True:
            goes_on()

    runner = IntakeRunner(house.platform)
    with monkeypatch.context() as patched:
        patched.setattr(intakes, "prepare", prepare)
        runner.start()
        until(started.is_set)
        runner.stop(seconds=30)
    assert shown(house, job_id)["state"] == "received"
    assert work(house) == 1
    assert shown(house, job_id)["state"] == "ready"


def in_hand(house: House) -> list[str]:
    """Whose jobs are worked on."""
    with house.platform.database.read() as session:
        rows = session.scalars(select(JobRow).where(JobRow.holder != ""))
        return sorted(row.tenant_id for row in rows if row.state in OPEN)


def test_one_worker_serves_a_tenant_beside_the_slow_uploads_of_another(
    demo_instance: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, held = preparation.prepare, threading.Event()

    def prepare(*arguments: Any, goes_on: Any, **options: Any) -> Any:
        while not held.is_set():
            goes_on()
            held.wait(0.01)
        return real(*arguments, goes_on=goes_on, **options)

    monkeypatch.setattr(intakes, "prepare", prepare)
    with opened(load_settings(demo_instance, workers=1)) as house:
        slow = [posted(house), posted(house)]
        runner = IntakeRunner(house.platform)
        runner.start()
        try:
            until(lambda: len(in_hand(house)) == 1)
            assert upload(house.gail).status_code == 202
            until(lambda: len(in_hand(house)) == 2)
            assert len(set(in_hand(house))) == 2
            held.set()
            until(lambda: all(shown(house, job_id)["state"] == "ready" for job_id in slow))
        finally:
            runner.stop(seconds=30)


def test_runner_outlives_a_database_that_does_not_answer(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.intake_runner.RETRY_SECONDS", 0.01)
    real, turns = Jobs.waits, iter(range(3))

    def waits(*arguments: Any, **options: Any) -> bool:
        if next(turns, None) is not None:
            raise RuntimeError("broken")
        return real(*arguments, **options)

    monkeypatch.setattr(Jobs, "waits", waits)
    runner = IntakeRunner(house.platform)
    runner.start()
    job_id = posted(house)
    until(lambda: shown(house, job_id)["state"] == "ready")
    runner.stop(seconds=30)


def test_progress_that_comes_from_a_lost_job_is_not_written(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = posted(house)

    def prepare(*_: Any, tell: Any, **__: Any) -> None:
        later(house, monkeypatch, 31)
        heir = claimed(house)
        assert heir.attempts == 2
        tell(Stage.INSPECTED, "from beyond")

    monkeypatch.setattr(intakes, "prepare", prepare)
    work_on_next(house)

    assert "from beyond" not in str(shown(house, job_id)["log"])


class TestTidying:
    @pytest.fixture
    def house_settings(self, demo_instance: Path) -> Settings:
        return load_settings(demo_instance, job_days=1)

    def test_old_jobs_and_stray_uploads_are_removed_and_open_ones_kept(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ended = posted(house)
        work(house)
        open_id, lost_id = posted(house), posted(house)
        with house.platform.database.write() as session:
            acme = house.operator("acme")
            job = house.platform.jobs.show(session, acme, lost_id)
            house.platform.jobs.cancel(session, acme, job.id)

        operations.tidy(house.platform)
        assert shown(house, ended)["state"] == "ready"
        assert kept(house) == {open_id, lost_id}

        with opened(house.platform.settings, lambda: job.created_at + 3 * 86_400) as later_on:
            operations.tidy(later_on.platform)
        assert [job["id"] for job in house.ben.get("/jobs").get_json()] == [open_id]
        assert kept(house) == {open_id}


def test_deleted_tenant_leaves_no_job_and_no_upload(house: House) -> None:
    from service.operations import tenants

    tenant_id = house.operator("acme").tenant_id
    posted(house)
    tenants.delete_tenant(house.platform, house.operator(), "acme")

    assert house.platform.uploads.jobs(tenant_id) == set()
    assert work(house) == 0


def test_refusal_of_the_intake_is_told_with_its_remedy(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = posted(house)
    failing(monkeypatch, IntakeRefused("it is too old", "save it anew"))
    work(house)

    assert shown(house, job_id)["problem"] == "it is too old; save it anew"
