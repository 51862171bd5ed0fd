"""Trainings that are asked for: a spec and a table, received, sealed and put in line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from auth.permissions import Permission, format_scope
from auth.rows import lock_tenant
from auth.scope import Scope
from config.sealing import Sealer
from models.job_queue import Jobs
from models.jobs import DATA, Job, TrainingOrder, new_job_id
from models.training.spec import Parallel, Spec
from models.uploads import PartWriter, StoredPart, UploadPlace
from service.bootstrap import Platform
from service.errors import InputMalformed, RateLimited
from service.operations.recording import recorded
from service.operations.registration import require_room
from service.operations.uploads import RETRY_SECONDS, leaving_room

OPEN: Final = "training_jobs"
SECONDS: Final = "training_seconds"
NAME: Final = "table"  # what the table is called where its name is not known
PIECE_BYTES: Final = 1024 * 1024
# What runs in the sandbox runs there alone.
ALONE: Final = Parallel(backend="sequential", workers=1)


def admit(platform: Platform, scope: Scope) -> None:
    """Refuse a training that could not be put in line, before any of it is read."""
    with platform.database.read() as session:
        _refuse_many(platform, scope, platform.trainings.open_of(session, scope))
        require_room(platform, session, scope)


def most_seconds(platform: Platform, scope: Scope) -> float:
    """How long one training of the tenant may take."""
    limit = platform.limits_of(scope.tenant_id).of(SECONDS)
    return float(min(limit, platform.settings.training_seconds))


@dataclass(slots=True)
class Reception:
    """A table on its way into the store; one that is not accepted leaves nothing there."""

    platform: Platform
    scope: Scope
    place: UploadPlace
    sealer: Sealer
    _writer: PartWriter | None = None
    _part: StoredPart | None = None

    def begin(self) -> None:
        """Begin the table."""
        self._writer = PartWriter(self.platform.uploads, self.place, DATA, self.sealer)

    def write(self, data: bytes) -> None:
        """Append to it; raises StorageFull."""
        assert self._writer is not None, "it was begun"
        with leaving_room(self.platform.settings, len(data)):
            self._writer.write(data)

    def finish(self, content_type: str = "") -> None:
        """End it."""
        assert self._writer is not None, "it was begun"
        with leaving_room(self.platform.settings, 0):
            self._part = self._writer.finish(content_type[:128])

    def accept(self, spec: Spec) -> Job:
        """Have a worker train, in the sandbox; raises InputMalformed where that may not be."""
        seconds = most_seconds(self.platform, self.scope)
        if spec.budget_seconds > seconds:
            problem = f"at most {seconds:g}, which is how long one training may take here"
            raise InputMalformed({"/spec/budget_seconds": problem})
        order = self._order(replace(spec, parallel=ALONE), NAME, seconds=seconds)
        return self._put(self.platform.trainings, order, most=True)

    def accept_local(self, spec: Spec, name: str, *, seconds: float, register: bool) -> Job:
        """Note a training of the operator's own process, so that it can be gone on with."""
        order = self._order(spec, name, seconds=seconds, register=register)
        return self._put(self.platform.local_trainings, order, most=False)

    def abandon(self) -> None:
        """Keep nothing of what arrived."""
        self.platform.uploads.delete(self.place)

    def _order(
        self, spec: Spec, name: str, *, seconds: float, register: bool = True
    ) -> TrainingOrder:
        if self._part is None or not self._part.size:
            raise InputMalformed({"/data": "no table was sent"})
        return TrainingOrder(
            model=spec.model,
            spec=spec.as_json(),
            parts={DATA: self._part},
            name=name,
            grants=format_scope(self.scope.principal.grants),
            seconds=seconds,
            promote=spec.promote,
            register=register,
        )

    def _put(self, jobs: Jobs, order: TrainingOrder, *, most: bool) -> Job:
        platform, scope, model = self.platform, self.scope, order.model
        scope.require(Permission.MODELS_WRITE, model)
        permission = Permission.TRAINING
        with recorded(platform, scope, permission, "training.start", model, model=model) as act:
            lock_tenant(act.session, scope.tenant_id)
            if most:
                _refuse_many(platform, scope, jobs.open_of(act.session, scope))
            job = jobs.add(
                act.session,
                scope,
                self.place.job_id,
                order,
                created_by=str(scope.principal),
                principal_id=scope.principal.id,
            )
            act.details |= {"job": job.id, "digest": job.digest, "size": job.size}
        return job


@contextmanager
def receiving(platform: Platform, scope: Scope) -> Iterator[Reception]:
    """Receive a table; if the block does not end with a job, nothing of it stays."""
    with platform.database.read() as session:
        sealer = Sealer((platform.tenants.data_key(session, scope),))
    place = UploadPlace(scope.tenant_id, new_job_id(platform.clock()))
    try:
        yield Reception(platform, scope, place, sealer)
    except BaseException:
        platform.uploads.delete(place)
        raise


def submit(platform: Platform, scope: Scope, spec: Spec, data: Iterable[bytes]) -> Job:
    """Have a worker train on a table that is at hand."""
    scope.require(Permission.TRAINING, spec.model)
    admit(platform, scope)
    with receiving(platform, scope) as reception:
        _store(reception, data)
        return reception.accept(spec)


def note_local(
    platform: Platform,
    scope: Scope,
    spec: Spec,
    data: Iterable[bytes],
    name: str,
    *,
    seconds: float,
    register: bool,
) -> Job:
    """Note a training of the operator's own process on a table that is at hand."""
    scope.require(Permission.TRAINING, spec.model)
    with receiving(platform, scope) as reception:
        _store(reception, data)
        return reception.accept_local(spec, name, seconds=seconds, register=register)


def _store(reception: Reception, data: Iterable[bytes]) -> None:
    reception.begin()
    for piece in data:
        reception.write(piece)
    reception.finish()


def _refuse_many(platform: Platform, scope: Scope, open_now: int) -> None:
    if open_now >= platform.limits_of(scope.tenant_id).of(OPEN):
        raise RateLimited(OPEN, RETRY_SECONDS)
