"""The work on a job, whatever its kind: leased, renewed, ended once, or left to somebody else.

What a job does is done once: a version and the job's knowledge of it commit together, and what
follows, its promotion, is taken up where it was left.
"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import ClassVar, Final

import structlog
from prometheus_client import Counter
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from auth.errors import AuthError
from auth.permissions import Permission, narrow, parse_scope
from auth.scope import Scope, own_scope
from config.sealing import Sealer
from models.errors import (
    HostsUnavailable,
    IntakeFailed,
    IntakeRefused,
    LeaseLost,
    StoreUnavailable,
    UploadLost,
)
from models.job_queue import Jobs
from models.jobs import Job, State
from models.uploads import StoredPart
from models.versions import Version
from service.bootstrap import Platform
from service.errors import QuotaReached
from service.operations.imports import aliases_wished, point
from service.operations.recording import Act

LEASE_SECONDS: Final = 30.0
BACK_OFF_SECONDS: Final = 5.0

UNFORESEEN: Final = "something went wrong here; the log has the job's identifier"

log = structlog.get_logger("sallyport.intakes")


class JobCancelled(Exception):
    """Raised in a job's work when its uploader has cancelled it."""


class WorkerStops(Exception):
    """Raised in a job's work when the worker is to end: another takes the job up at once."""


class AccountGone(Exception):
    """Raised when the account that uploaded a file may not act any more."""

    def __init__(self) -> None:
        super().__init__("the account that uploaded it may not act any more")


# What ends a job for good because of what was uploaded, and what only puts it off.
REFUSALS: Final[tuple[type[Exception], ...]] = (
    IntakeRefused,
    UploadLost,
    AccountGone,
    AuthError,
    QuotaReached,
)
SETBACKS: Final = (HostsUnavailable, StoreUnavailable, OperationalError)


@dataclass(slots=True)
class Errand(ABC):
    """One job while this process works on it."""

    platform: Platform
    job: Job
    stopping: threading.Event
    _cancelled: bool = False
    _lost: bool = False
    _barred: Exception | None = None
    _seen: int = 0

    action: ClassVar[str]  # what its end is called on the record
    recorded: ClassVar[frozenset[State]] = frozenset({State.REFUSED, State.FAILED})
    needed: ClassVar[tuple[Permission, ...]]  # of the model, by who uploaded
    renew_seconds: ClassVar[float] = 5.0
    # What ends its process twice would do so for ever; so would what ends workers.
    most_crashes: ClassVar[float] = 2
    most_attempts: ClassVar[float] = 4
    ends: ClassVar[tuple[type[Exception], ...]] = REFUSALS
    failures: ClassVar[tuple[type[Exception], ...]] = (IntakeFailed, UploadLost)

    @property
    @abstractmethod
    def jobs(self) -> Jobs:
        """The queue that the job is of."""

    @property
    @abstractmethod
    def ended(self) -> Counter:
        """What counts jobs that ended, by their state."""

    @abstractmethod
    def make(self, scope: Scope) -> Version | None:
        """Do what the job asks for; the version that it has become, if it was to become one."""

    @property
    @abstractmethod
    def wanted(self) -> tuple[tuple[str, ...], str]:
        """The aliases that the version is to have, and why."""

    def run(self) -> None:
        """Bring the job to its end, or leave it to somebody else."""
        try:
            with self._renewed():
                self._work()
        except LeaseLost:
            log.info("the job was taken over", job=self.job.id)
        except Exception as error:
            if not isinstance(error, (JobCancelled, WorkerStops, *self.ends, *SETBACKS)):
                log.exception("unforeseen error in a job", job=self.job.id)
                self._end(State.FAILED, UNFORESEEN)
            else:
                self._settle(error)

    def scope(self) -> Scope:
        """What the uploader may do now, and might do then; raises AccountGone."""
        with self.platform.database.read() as session:
            principal = self.platform.principals.of(session, self.job.principal_id)
        if principal is None or principal.tenant_id != self.job.tenant_id:
            raise AccountGone
        grants = narrow(principal.grants, parse_scope(self.job.options["grants"]))
        scope = own_scope(replace(principal, grants=grants))
        for permission in self.needed:
            scope.require(permission, self.job.model)
        return scope

    def goes_on(self) -> None:
        """Raise what ends the work, if anything does."""
        if self._lost:
            raise LeaseLost(self.job.id)
        if self._cancelled:
            raise JobCancelled
        if self._barred is not None:
            raise self._barred
        if self.stopping.is_set():
            raise WorkerStops

    def is_registered(self) -> Callable[[Act, Version], None]:
        """What notes, in the transaction of a registration, that the job has become a version."""

        def note(act: Act, version: Version) -> None:
            self.jobs.registered(act.session, self.job, version.number)
            act.details["job"] = self.job.id

        return note

    @contextmanager
    def files(self, parts: Mapping[str, StoredPart]) -> Iterator[Mapping[str, int]]:
        """The upload's parts as descriptors of memory: no plaintext is ever on a disk."""
        sealer = self.sealer()
        files: dict[str, int] = {}
        try:
            for name, stored in parts.items():
                files[name] = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
                for piece in self.platform.uploads.read(self.job.place, name, stored, sealer):
                    self.goes_on()
                    _write(files[name], piece)
            yield files
        finally:
            for descriptor in files.values():
                os.close(descriptor)

    def sealer(self) -> Sealer:
        """What seals and opens what is kept for the job."""
        with self.platform.database.read() as session:
            return Sealer((self.platform.tenants.data_key(session, self.job),))

    def _work(self) -> None:
        if self.job.attempts > self.most_attempts:
            self._end(State.FAILED, f"{self.most_attempts} workers ended while they worked on it")
            return
        if self.job.cancelling:
            raise JobCancelled
        scope = self.scope()
        number = self.job.version
        if number is None:
            made = self.make(scope)
            if made is None:
                self._end(State.READY, "not registered, as was asked for")
                return
            number = made.number
        self._end(State.READY, self._promote(scope, number), version=number)

    def _promote(self, scope: Scope, number: int) -> str:
        """Move the aliases that were asked for; what became of it, for the log."""
        wanted, reason = self.wanted
        return point(self.platform, scope, self.job.model, number, wanted, reason=reason)

    def _settle(self, error: Exception) -> None:
        fails = isinstance(error, self.failures)
        crashes = fails and self.crashes(error) and self.job.attempts < self.most_crashes
        try:
            if isinstance(error, JobCancelled):
                self._end(State.CANCELLED, "cancelled")
            elif isinstance(error, WorkerStops):
                self._give_back("the worker ended", seconds=0.0, counts=False)
            elif crashes or isinstance(error, SETBACKS):
                self._give_back(str(error), seconds=BACK_OFF_SECONDS, counts=crashes)
            else:
                self._end(State.FAILED if fails else State.REFUSED, str(error))
        except LeaseLost:
            log.info("the job was taken over", job=self.job.id)

    @staticmethod
    def crashes(error: Exception) -> bool:
        """Whether a failure may not be one the next time."""
        return isinstance(error, IntakeFailed)

    def _end(self, state: State, note: str, *, version: int | None = None) -> None:
        audit = self.platform.audit
        with self.platform.database.write() as session:
            self.ending(session, state)
            self.jobs.end(session, self.job, state, note, version=version)
            if state in self.recorded:
                audit.append(
                    session,
                    actor=self.job.created_by,
                    tenant_id=self.job.tenant_id,
                    action=self.action,
                    subject=self.job.model,
                    outcome="refused" if state in (State.REFUSED, State.FAILED) else "done",
                    details={"job": self.job.id, "state": str(state), "reason": note[:255]},
                )
        self.ended.labels(str(state)).inc()
        try:
            self.platform.uploads.delete(self.job.place)
        except StoreUnavailable as error:
            log.warning("an upload was left in the store", job=self.job.id, reason=error.problem)

    def ending(self, session: Session, state: State) -> None:  # noqa: B027 - an intake adds nothing
        """Forget, in the transaction that ends the job, what was kept to go on with it."""

    def renewing(self, session: Session) -> None:  # noqa: B027 - nor here
        """Write down what there is to tell, in the transaction that renews the lease."""

    def _check_standing(self) -> None:
        """Notice a change that took from the uploader what the job needs."""
        newest = self.platform.epoch.newest(self.job.tenant_id)
        if newest == self._seen:
            return
        self._seen = newest
        try:
            self.scope()
        except (AccountGone, AuthError) as error:
            self._barred = error

    def _give_back(self, note: str, *, seconds: float, counts: bool) -> None:
        with self.platform.database.write() as session:
            self.renewing(session)
            self.jobs.give_back(session, self.job, note, seconds=seconds, counts=counts)

    @contextmanager
    def _renewed(self) -> Iterator[None]:
        """Renew the lease while the block runs, and notice when it should not go on."""
        done = threading.Event()

        def renew() -> None:
            while not done.wait(self.renew_seconds):
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
                goes_on = self.jobs.renew(session, self.job, seconds=LEASE_SECONDS)
                self.renewing(session)
            self._cancelled = not goes_on
            self._check_standing()
        except LeaseLost:
            self._lost = True
        except OperationalError:
            log.warning("a lease could not be renewed", job=self.job.id)


def wishes_of(
    *, promote: bool, alias: str | None, note: str, by: str
) -> tuple[tuple[str, ...], str]:
    """The aliases to point at a job's version, and why."""
    return aliases_wished(promote=promote, alias=alias), note or f"uploaded by {by}"


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
