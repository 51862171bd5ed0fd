"""Following a training: what is new of it since the last time, in the order in which it came."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from auth.permissions import Permission
from auth.scope import Scope
from models.jobs import Job
from service.bootstrap import Platform
from service.operations.trainings import PROGRESS, find

SHOWN: Final = (*PROGRESS, "leaderboard")


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that was told; `number` is that of the change that it was told by."""

    kind: str
    number: int
    said: Mapping[str, Any]


class Following:
    """One who follows a training, who knows all changes up to a number.

    `standing` tells at any time who that is, and what they may do by then.
    """

    def __init__(
        self,
        platform: Platform,
        scope: Scope,
        job_id: str,
        *,
        standing: Callable[[], Scope],
        known: int = 0,
    ) -> None:
        self._platform = platform
        self._scope = scope
        self._job_id = job_id
        self._known = known
        self._state = ""
        self._standing = standing
        self._model = find(platform, scope, job_id).model
        self.has_ended = False

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to be told, now or ever."""
        job = find(self._platform, self._scope, self._job_id)
        return job.has_ended and job.revision <= self._known

    def news(self) -> list[Event]:
        """What is new; raises JobNotFound, ClientRefused, TokenRefused or PermissionMissing."""
        self._standing().require(Permission.TRAINING, self._model)
        job = find(self._platform, self._scope, self._job_id)
        self.has_ended = job.has_ended
        if job.revision <= self._known:
            return []
        events = list(self._told(job))
        self._known = job.revision
        return events

    def _told(self, job: Job) -> Iterator[Event]:
        """Lines of the log, then how far it is, then its state: that is the last of all."""
        for entry in job.log:
            if entry.number > self._known:
                said = {name: value for name, value in asdict(entry).items() if name != "number"}
                yield Event("log", entry.number, said)
        number = int(job.progress.get("number", 0))
        if number > self._known:
            shown = {name: job.progress[name] for name in SHOWN if name in job.progress}
            yield Event("progress", number, shown)
        if job.state != self._state:
            self._state = job.state
            said = {"state": job.state, "version": job.version, "problem": job.problem or None}
            told = {name: value for name, value in said.items() if value is not None}
            yield Event("state", job.revision, told)
