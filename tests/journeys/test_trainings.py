"""A table becomes a served model over HTTPS, followed live, though its worker is killed."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
from sqlalchemy import select

from config.database import Database
from config.settings import load_settings
from models.records import JobRow
from tests.journeys.platform import Running, bearer, running, until

PATH: Final = "/training/jobs"
ENDED: Final = ("ready", "refused", "failed", "cancelled")
SPEC: Final = """
model = "answers"
target = "answer"
seed = 1
[validation]
folds = 3
[compare]
algorithms = ["tree", "random_forest"]
[tune]
method = "none"
"""
PATIENCE: Final = 120.0
Event = tuple[str, int, dict[str, Any]]


def table() -> bytes:
    """Whoever is red or large says yes."""
    rows = (
        f"{size},{colour},{'yes' if size > 12 or colour == 'red' else 'no'}"
        for size in range(25)
        for colour in ("red", "green", "blue")
    )
    return "\n".join(("size,colour,answer", *rows)).encode()


class Follower:
    """Follows a training as a browser does: when a stream ends, it comes again."""

    def __init__(self, platform: Running, token: str, job_id: str) -> None:
        self.events: list[Event] = []
        self.streams = 0
        self.over = 0
        self._platform = platform
        self._headers = bearer(token)
        self._address = f"{PATH}/{job_id}/events"
        self._last = 0
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def heard(self, kind: str) -> list[dict[str, Any]]:
        """What was said in events of a kind."""
        return [said for told, _, said in list(self.events) if told == kind]

    def end(self) -> None:
        """Wait until there is nothing more to hear."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def _follow(self) -> None:
        while True:
            try:
                for event in self._stream():
                    self.events.append(event)
                    self._last = event[1]
            except httpx.TransportError:
                continue  # its worker was killed
            if self.over == 204:
                return

    def _stream(self) -> Iterator[Event]:
        headers = self._headers | {"Last-Event-ID": str(self._last)}
        with (
            self._platform.client() as client,
            client.stream("GET", self._address, headers=headers) as response,
        ):
            self.streams, self.over = self.streams + 1, response.status_code
            fields: dict[str, str] = {}
            for line in response.iter_lines():
                name, _, value = line.partition(": ")
                fields[name] = value
                if not line and "event" in fields:
                    yield fields["event"], int(fields["id"]), json.loads(fields["data"])
                if not line:
                    fields = {}


def holder_of(instance: Path, job_id: str) -> psutil.Process:
    """The worker that trains."""
    database = Database(load_settings(instance).database)
    try:
        with database.read() as session:
            held = session.scalar(select(JobRow.holder).where(JobRow.id == job_id))
    finally:
        database.close()
    return psutil.Process(int(str(held).split(":")[-2]))


def test_a_table_becomes_a_served_model_though_its_worker_is_killed(demo_instance: Path) -> None:
    with running(demo_instance) as platform:
        until(lambda: len(platform.workers()) == 2)
        token = str(platform.login("ben")["access_token"])
        with platform.client() as client:
            form = {"data": ("t.csv", table()), "spec": ("s.toml", SPEC.encode())}
            answer = client.post(PATH, files=form, headers=bearer(token))
        assert answer.status_code == 202, answer.text
        job_id = answer.json()["id"]
        follower = Follower(platform, token, job_id)
        until(lambda: {"note": "begun"}.items() <= any_said(follower), seconds=PATIENCE)

        os.kill(holder_of(demo_instance, job_id).pid, signal.SIGKILL)
        until(lambda: any(s["state"] in ENDED for s in follower.heard("state")), seconds=PATIENCE)
        follower.end()

        with platform.client() as client:
            job = client.get(f"{PATH}/{job_id}", headers=bearer(token)).json()
            assert job["state"] == "ready", job
            records = [{"size": 3, "colour": "red"}, {"size": 3, "colour": "blue"}]
            asked = {"model": "answers", "records": records}
            predicted = client.post("/predict", json=asked, headers=bearer(token)).json()
            assert predicted["prediction"] == ["yes", "no"]
            page = client.get(f"{PATH}/{job_id}/report", headers=bearer(token))
            assert "sandbox" in page.headers["Content-Security-Policy"]
            assert "Random forest" in page.text
            evaluation = client.get("/models/answers/versions/1/evaluation", headers=bearer(token))
            assert len(evaluation.json()["leaderboard"]) == 3
    notes = [entry["note"] for entry in job["log"] if entry["stage"] == "training"]
    began = [note for note in notes if note == "begun" or "earlier attempt" in note]
    assert len(began) == 2, "another worker went on"
    assert follower.streams >= 1
    numbers = [number for kind, number, _ in follower.events if kind == "log"]
    assert numbers == sorted(set(numbers)), "nothing twice"
    assert [said["note"] for said in follower.heard("log")] == [
        entry["note"] for entry in job["log"]
    ], "nothing missed"
    assert {said["phase"] for said in follower.heard("progress")} & {"comparing", "reporting"}


def any_said(follower: Follower) -> Any:
    """The first line of the log of the work, as far as it has come."""
    lines = [said for said in follower.heard("log") if said["stage"] == "training"]
    return lines[0].items() if lines else {}.items()
