"""The work on intake jobs: claimed by one worker at a time, taken over from one that died.

What a job does is done once: the version and the job's knowledge of it commit together, and what
follows, its promotion, is taken up where it was left.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

import structlog
from sqlalchemy.exc import OperationalError

from auth.errors import AuthError
from auth.permissions import Permission, narrow, parse_scope
from auth.scope import Scope, own_scope
from config.holders import this_process
from config.sealing import Sealer
from models.errors import (
    HostsUnavailable,
    IntakeFailed,
    IntakeRefused,
    LeaseLost,
    StoreUnavailable,
    UploadLost,
)
from models.jobs import FILE, Job, State
from models.stages import Prepared, Stage
from models.versions import Version
from service.bootstrap import Platform
from service.errors import QuotaReached
from service.operations.imports import aliases_wished, point
from service.operations.preparation import Source, prepare
from service.operations.recording import Act
from service.operations.registration import register
from service.operations.uploads import ANSWERS, ROWS, formats_for

LEASE_SECONDS: Final = 30.0
RENEW_SECONDS: Final = 5.0
# A model that ends its workshop twice would do so for ever; so would one that ends workers.
MOST_CRASHES: Final = 2
MOST_ATTEMPTS: Final = 4
BACK_OFF_SECONDS: Final = 5.0
RUNNERS: Final = 2  # of each worker: even where there is one worker, two tenants are worked for

log = structlog.get_logger("sallyport.intakes")


class JobCancelled(Exception):
    """Raised in a job's work when its uploader has cancelled it."""


class WorkerStops(Exception):
    """Raised in a job's work when the worker is to end: another takes the job up at once."""


class AccountGone(Exception):
    """Raised when the account that uploaded a model may not act any more."""

    def __init__(self) -> None:
        super().__init__("the account that uploaded it may not act any more")


# What ends a job for good because of what was uploaded, and what only puts it off.
REFUSALS: Final = (IntakeRefused, UploadLost, AccountGone, AuthError, QuotaReached)
SETBACKS: Final = (HostsUnavailable, StoreUnavailable, OperationalError)


def most_of_one_tenant(workers: int) -> int:
    """How many jobs of one tenant are worked on at once: one runner is left to the others."""
    return max(1, RUNNERS * workers - 1)


def next_errand(platform: Platform, stopping: threading.Event) -> Errand | None:
    """Take the next job, to be worked on until it ends; None if there is none."""
    most = most_of_one_tenant(platform.settings.workers)
    with platform.database.read() as session:
        if not platform.jobs.waits(session, most=most):
            return None
    with platform.database.write() as session:
        job = platform.jobs.claim(session, holder=this_process(), seconds=LEASE_SECONDS, most=most)
    return None if job is None else Errand(platform, job, stopping)


@dataclass(slots=True)
class Errand:
    """One job while this process works on it."""

    platform: Platform
    job: Job
    stopping: threading.Event
    _cancelled: bool = False
    _lost: bool = False

    def run(self) -> None:
        """Bring the job to its end, or leave it to somebody else."""
        try:
            with self._renewed():
                self._work()
        except LeaseLost:
            log.info("the job was taken over", job=self.job.id)
        except (JobCancelled, WorkerStops, *REFUSALS, *SETBACKS) as error:
            self._settle(error)
        except Exception:
            log.exception("unforeseen error in an intake", job=self.job.id)
            self._end(State.FAILED, "something went wrong here; the log has the job's identifier")

    def _work(self) -> None:
        if self.job.attempts > MOST_ATTEMPTS:
            self._end(State.FAILED, f"{MOST_ATTEMPTS} workers ended while they worked on it")
            return
        if self.job.cancelling:
            raise JobCancelled
        scope = self._scope()
        number = self.job.version
        if number is None:
            number = self._register(scope, self._prepare(scope)).number
        note = self._promote(scope, number)
        self._end(State.READY, note, version=number)

    def _settle(self, error: Exception) -> None:
        crashes = isinstance(error, IntakeFailed) and self.job.attempts < MOST_CRASHES
        try:
            if isinstance(error, JobCancelled):
                self._end(State.CANCELLED, "cancelled")
            elif isinstance(error, WorkerStops):
                self._give_back("the worker ended", seconds=0.0, counts=False)
            elif crashes or isinstance(error, SETBACKS):
                self._give_back(str(error), seconds=BACK_OFF_SECONDS, counts=crashes)
            elif isinstance(error, IntakeFailed | UploadLost):
                self._end(State.FAILED, str(error))
            else:
                self._end(State.REFUSED, str(error))
        except LeaseLost:
            log.info("the job was taken over", job=self.job.id)

    def _scope(self) -> Scope:
        """What the uploader may do now, and might do then; raises AccountGone."""
        with self.platform.database.read() as session:
            principal = self.platform.principals.of(session, self.job.principal_id)
        if principal is None or principal.tenant_id != self.job.tenant_id:
            raise AccountGone
        grants = narrow(principal.grants, parse_scope(self.job.order.grants))
        scope = own_scope(replace(principal, grants=grants))
        scope.require(Permission.MODELS_WRITE, self.job.model)
        return scope

    def _prepare(self, scope: Scope) -> Prepared:
        with self._files() as files:
            return prepare(
                self.platform,
                Source(
                    file=files[FILE],
                    rows=files.get(ROWS),
                    answers=files.get(ANSWERS),
                    digest=self.job.digest,
                    formats=formats_for(self.job.order, scope),
                    accept_version=self.job.order.version_policy == "accept",
                ),
                tell=self._tell,
                goes_on=self._goes_on,
            )

    @contextmanager
    def _files(self) -> Iterator[Mapping[str, int]]:
        """The upload's parts as descriptors of memory: no plaintext is ever on a disk."""
        with self.platform.database.read() as session:
            sealer = Sealer((self.platform.tenants.data_key(session, self.job),))
        files: dict[str, int] = {}
        try:
            for name, stored in self.job.order.parts.items():
                files[name] = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
                for piece in self.platform.uploads.read(self.job.place, name, stored, sealer):
                    self._goes_on()
                    _write(files[name], piece)
            yield files
        finally:
            for descriptor in files.values():
                os.close(descriptor)

    def _register(self, scope: Scope, prepared: Prepared) -> Version:
        def note(act: Act, version: Version) -> None:
            self.platform.jobs.registered(act.session, self.job, version.number)
            act.details["job"] = self.job.id

        self._goes_on()
        return register(self.platform, scope, self.job.model, prepared, along=note)

    def _promote(self, scope: Scope, number: int) -> str:
        """Move the aliases that were asked for; what became of it, for the log."""
        order = self.job.order
        wanted = aliases_wished(promote=order.promote, alias=order.alias)
        reason = order.note or f"uploaded by {self.job.created_by}"
        return point(self.platform, scope, self.job.model, number, wanted, reason=reason)

    def _tell(self, stage: Stage, note: str) -> None:
        self._goes_on()
        if stage in (Stage.RECEIVED, Stage.READY):
            return  # the one was written when it arrived, the other waits for its registration
        with self.platform.database.write() as session:
            self.platform.jobs.tell(session, self.job, State(stage.value), note)

    def _goes_on(self) -> None:
        """Raise what ends the work, if anything does."""
        if self._lost:
            raise LeaseLost(self.job.id)
        if self._cancelled:
            raise JobCancelled
        if self.stopping.is_set():
            raise WorkerStops

    def _end(self, state: State, note: str, *, version: int | None = None) -> None:
        jobs, audit = self.platform.jobs, self.platform.audit
        with self.platform.database.write() as session:
            jobs.end(session, self.job, state, note, version=version)
            if state in (State.REFUSED, State.FAILED):
                audit.append(
                    session,
                    actor=self.job.created_by,
                    tenant_id=self.job.tenant_id,
                    action="models.import",
                    subject=self.job.model,
                    outcome="refused",
                    details={"job": self.job.id, "state": str(state), "reason": note[:255]},
                )
        self.platform.telemetry.intakes.labels(str(state)).inc()
        try:
            self.platform.uploads.delete(self.job.place)
        except StoreUnavailable as error:
            log.warning("an upload was left in the store", job=self.job.id, reason=error.problem)

    def _give_back(self, note: str, *, seconds: float, counts: bool) -> None:
        with self.platform.database.write() as session:
            self.platform.jobs.give_back(session, self.job, note, seconds=seconds, counts=counts)

    @contextmanager
    def _renewed(self) -> Iterator[None]:
        """Renew the lease while the block runs, and notice when it should not go on."""
        done = threading.Event()

        def renew() -> None:
            while not done.wait(RENEW_SECONDS):
                self._renew()

        keeper = threading.Thread(target=renew, name="lease", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            done.set()
            keeper.join()

    def _renew(self) -> None:
        try:
            with self.platform.database.write() as session:
                self._cancelled = not self.platform.jobs.renew(
                    session, self.job, seconds=LEASE_SECONDS
                )
        except LeaseLost:
            self._lost = True
        except OperationalError:
            log.warning("a lease could not be renewed", job=self.job.id)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
