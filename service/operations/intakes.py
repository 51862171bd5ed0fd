"""The work on intake jobs: claimed by one worker at a time, taken over from one that died."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import ClassVar, Final

from prometheus_client import Counter

from auth.permissions import Permission
from auth.scope import Scope
from config.holders import this_process
from models.job_queue import Jobs
from models.jobs import FILE, State
from models.stages import Prepared, Stage
from models.versions import Version
from service.bootstrap import Platform
from service.operations import errands
from service.operations.errands import BACK_OFF_SECONDS, LEASE_SECONDS
from service.operations.preparation import Source, prepare
from service.operations.registration import register
from service.operations.uploads import ANSWERS, ROWS, formats_for

__all__ = ["BACK_OFF_SECONDS", "Errand", "most_of_one_tenant", "next_errand"]

RUNNERS: Final = 2  # of each worker: even where there is one worker, two tenants are worked for
MOST_ATTEMPTS: Final = 4


def most_of_one_tenant(workers: int) -> int:
    """How many jobs of one tenant are worked on at once: one runner is left to the others."""
    return max(1, RUNNERS * workers - 1)


def next_errand(platform: Platform, stopping: threading.Event) -> Errand | None:
    """Take the next job, to be worked on until it ends; None if there is none."""
    if platform.database.glance(platform.jobs.any_open) is None:
        return None
    most = most_of_one_tenant(platform.settings.workers)
    with platform.database.read() as session:
        if not platform.jobs.waits(session, most=most):
            return None
    with platform.database.write() as session:
        job = platform.jobs.claim(session, holder=this_process(), seconds=LEASE_SECONDS, most=most)
    return None if job is None else Errand(platform, job, stopping)


@dataclass(slots=True)
class Errand(errands.Errand):
    """One intake while this process works on it."""

    action: ClassVar[str] = "models.import"
    needed: ClassVar[tuple[Permission, ...]] = (Permission.MODELS_WRITE,)
    most_attempts: ClassVar[float] = MOST_ATTEMPTS

    @property
    def jobs(self) -> Jobs:
        """The queue that the job is of."""
        return self.platform.jobs

    @property
    def ended(self) -> Counter:
        """What counts intakes that ended, by their state."""
        return self.platform.telemetry.intakes

    @property
    def wanted(self) -> tuple[tuple[str, ...], str]:
        """The aliases that the version is to have, and why."""
        order = self.job.order
        return errands.wishes_of(
            promote=order.promote, alias=order.alias, note=order.note, by=self.job.created_by
        )

    def make(self, scope: Scope) -> Version:
        """Prepare the file, and register what it has become."""
        prepared = self._prepare(scope)
        self.goes_on()
        return register(self.platform, scope, self.job.model, prepared, along=self.is_registered())

    def _prepare(self, scope: Scope) -> Prepared:
        order = self.job.order
        with self.files(order.parts) as files:
            return prepare(
                self.platform,
                Source(
                    file=files[FILE],
                    rows=files.get(ROWS),
                    answers=files.get(ANSWERS),
                    digest=self.job.digest,
                    formats=formats_for(order, scope),
                    accept_version=order.version_policy == "accept",
                ),
                tell=self._tell,
                goes_on=self.goes_on,
            )

    def _tell(self, stage: Stage, note: str) -> None:
        self.goes_on()
        if stage in (Stage.RECEIVED, Stage.READY):
            return  # the one was written when it arrived, the other waits for its registration
        with self.platform.database.write() as session:
            self.platform.jobs.tell(session, self.job, State(stage.value), note)
