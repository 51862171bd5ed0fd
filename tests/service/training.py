"""Trainings without any library that trains: what is sent, and what stands in for a trainer."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final

import orjson
import pytest
from werkzeug.test import TestResponse

from models.trainers.files import TrainedFiles
from models.training.progress import Phase, Progress, Result
from service.operations import training_jobs
from tests.house import Actor, House
from tests.models.training.light_trainer import EVALUATION
from tests.service.uploading import skops_file

PATH: Final = "/training/jobs"
SPEC: Final = {"model": "fresh", "target": "y", "task": "regression"}
TABLE: Final = b"x,y\n1,1\n2,2\n"
COLUMN: Final = {"name": "x", "kind": "numeric", "reason": "numbers", "missing": 0, "unique": 2}


def files(**instead: Any) -> TrainedFiles:
    """What a trainer hands over: a line, with two rows that it answers."""
    evaluation = EVALUATION | {"model": "fresh"}
    given: dict[str, Any] = {
        "model": skops_file(),
        "evaluation": evaluation,
        "evaluation_bytes": orjson.dumps(evaluation),
        "report": b"<!doctype html><title>fresh</title>",
        "reference": b'{"schema":1}',
        "rows": orjson.dumps([[1.0], [2.0]]),
        "answers": orjson.dumps([1.0, 2.0]),
    }
    return TrainedFiles(**(given | instead))


def post(
    actor: Actor,
    spec: dict[str, Any] | bytes | str | None = None,
    table: bytes | None = TABLE,
    **options: Any,
) -> TestResponse:
    """Send a form: the spec as a file if it is bytes, and as a field else."""
    form: dict[str, Any] = {}
    spec = SPEC if spec is None else spec
    if isinstance(spec, bytes):
        form["spec"] = (io.BytesIO(spec), "spec.toml")
    else:
        form["spec"] = spec if isinstance(spec, str) else orjson.dumps(spec).decode()
    if table is not None:
        form["data"] = (io.BytesIO(table), "table.csv")
    return actor.post(PATH, data=form, content_type="multipart/form-data", **options)


def posted(house: House, **options: Any) -> str:
    """The training that Ben has asked for."""
    response = post(house.ben, **options)
    assert response.status_code == 202, response.text
    return str(response.get_json()["id"])


def shown(house: House, job_id: str) -> dict[str, Any]:
    """A training as Ben sees it."""
    job: dict[str, Any] = house.ben.get(f"{PATH}/{job_id}").get_json()
    return job


def work_on_next(house: House) -> bool:
    """Work on the next training until it ends; False if there is none."""
    errand = training_jobs.next_errand(house.platform, threading.Event())
    if errand is not None:
        errand.run()
    return errand is not None


class Trainer:
    """Stands in for `run_training`; what it was asked stays here."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}
        self.known: list[Result] = []
        self.answer: Callable[[], TrainedFiles] = files
        self.between: Callable[[Callable[[], None]], None] = lambda _goes_on: None
        self.scores: Iterable[tuple[str, float]] = (("linear", 2.0), ("tree", 1.0))

    def __call__(
        self, _trainers: object, spec: Any, name: str, data: int, **options: Any
    ) -> TrainedFiles:
        """Tell of some folds, and hand over what was agreed."""
        self.asked = {"spec": spec, "name": name, "seconds": options["seconds"]}
        self.known = list(options["known"])
        options["on_progress"](Progress(Phase.READING, 1, 1, "2 rows"))
        options["on_result"](Result("study", {"columns": [COLUMN, {"name": 1}]}))
        for number, (algorithm, score) in enumerate(self.scores, 1):
            result = Result(f"compare/{algorithm}/fold-0", {"scores": {"rmse": score}})
            options["on_result"](result)
            options["on_progress"](Progress(Phase.COMPARING, number, 2, algorithm))
        self.between(options["goes_on"])
        options["goes_on"]()
        return self.answer()


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Trainer:
    """Whoever trains in this test."""
    stands_in = Trainer()
    monkeypatch.setattr(training_jobs, "run_training", stands_in)
    return stands_in
