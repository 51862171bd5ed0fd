"""Trainings of the operator's own command: in a process of its own, which nothing confines.

What is found out is kept as of any training, so that one that was broken off can be gone on with.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson

from auth.scope import Scope
from config.holders import this_process
from models.errors import JobHeld, TrainingFailed
from models.job_queue import Jobs
from models.jobs import Job, State
from models.trainers import Trainers
from models.trainers.files import TrainedFiles
from models.trainers.local import LocalTrainers
from models.training.progress import Progress, Result
from models.training.spec import MOST_SECONDS, Spec
from service.bootstrap import Platform
from service.operations import training_orders
from service.operations.errands import LEASE_SECONDS
from service.operations.standings import STUDY, columns_of
from service.operations.training_jobs import TrainingErrand


@dataclass(frozen=True, slots=True)
class Watching:
    """Whom a command tells: how far it is, with the best so far, and what columns are."""

    told: Callable[[Progress, str], None]
    studied: Callable[[list[dict[str, Any]]], None]


@dataclass(frozen=True, slots=True)
class Ended:
    """A training that has ended, and its files if it came to some."""

    job: Job
    trained: TrainedFiles | None


@dataclass(slots=True)
class LocalErrand(TrainingErrand):
    """One training while the command of an operator works on it.

    When its process ends, what was found out stays: the operator sees why, and goes on or not.
    """

    most_crashes: ClassVar[float] = math.inf
    most_attempts: ClassVar[float] = math.inf

    operator: Scope | None = None
    watching: Watching | None = None

    @property
    def jobs(self) -> Jobs:
        """The queue that the job is of."""
        return self.platform.local_trainings

    @property
    def trainers(self) -> Trainers:
        """What starts the process that trains."""
        return LocalTrainers()

    def scope(self) -> Scope:
        """The operator's."""
        assert self.operator is not None, "an operator has begun it"
        return self.operator

    def told(self, progress: Progress) -> None:
        """Note how far the training is, and show it."""
        TrainingErrand.told(self, progress)
        if self.watching is not None:
            self.watching.told(progress, self.leading)

    def found(self, result: Result) -> None:
        """Note a result, and show what it says of columns."""
        TrainingErrand.found(self, result)
        if self.watching is not None and result.key == STUDY:
            self.watching.studied(columns_of(result.value.get("columns")))

    def leave(self) -> None:
        """Leave it to whoever goes on with it."""
        self._give_back("broken off", seconds=0.0, counts=False)


def begin(
    platform: Platform,
    scope: Scope,
    spec: Spec,
    data: Iterable[bytes],
    name: str,
    *,
    register: bool,
) -> Job:
    """Note a training, with its table: from here on it can be gone on with."""
    return training_orders.note_local(
        platform, scope, spec, data, name, seconds=MOST_SECONDS, register=register
    )


def unfinished(platform: Platform, scope: Scope, spec: Spec) -> Job | None:
    """The latest training of the same spec that was broken off, if there is one."""
    with platform.database.read() as session:
        idle = platform.local_trainings.idle(session, scope)
    same = [job for job in idle if job.training.spec == _plain(spec)]
    return same[-1] if same else None


def carry_out(platform: Platform, scope: Scope, job_id: str, watching: Watching) -> Ended:
    """Train to the end; raises JobNotFound, or JobHeld if somebody works on it, or it has ended.

    An interrupt leaves the training for somebody to go on with.
    """
    jobs = platform.local_trainings
    with platform.database.write() as session:
        held = jobs.take(session, scope, job_id, holder=this_process(), seconds=LEASE_SECONDS)
    if held is None:
        raise JobHeld(job_id)
    errand = LocalErrand(platform, held, threading.Event(), operator=scope, watching=watching)
    try:
        errand.run()
    except KeyboardInterrupt:
        errand.leave()
        raise
    with platform.database.read() as session:
        job = jobs.show(session, scope, job_id)
    if not job.has_ended:
        raise TrainingFailed(f"{job.log[-1].note}; {how_to_go_on(scope, job_id)}")
    return Ended(job, errand.trained if job.state is State.READY else None)


def how_to_go_on(scope: Scope, job_id: str) -> str:
    """What an operator does with a training that was broken off."""
    return f"go on with it: manage.py train --tenant {scope.tenant} --resume {job_id}"


def _plain(spec: Spec) -> object:
    """A spec as it is read back from where it was noted."""
    return orjson.loads(orjson.dumps(spec.as_json()))
