"""The work on trainings: trained in the sandbox, taken in as any upload is, and registered.

What a training has found out is kept as it comes: whoever takes the job up goes on from there.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final

from prometheus_client import Counter
from sqlalchemy.orm import Session

from auth.permissions import Permission
from auth.scope import Scope
from config.holders import this_process
from config.sealing import Sealer
from models import manifest as roles
from models.errors import (
    DataRefused,
    IntakeFailed,
    SpecRefused,
    TrainerEnded,
    TrainingFailed,
    UploadLost,
)
from models.job_queue import Jobs
from models.jobs import DATA, MOST_NOTE, State, TrainingOrder
from models.manifest import StoredFile
from models.stages import Prepared, Stage
from models.trainers import Trainers
from models.trainers.files import TrainedFiles
from models.trainers.running import run_training
from models.training.progress import Phase, Progress, Result
from models.training_results import MOST_BYTES
from models.versions import Version
from service.bootstrap import Platform
from service.operations import errands
from service.operations.errands import LEASE_SECONDS
from service.operations.preparation import Source, prepare
from service.operations.registration import register
from service.operations.standings import Standings

AT_ONCE: Final = 1  # of one tenant: others have their turn between two of its trainings
LEAST_SECONDS: Final = 60.0  # for whoever goes on with a training whose time is nearly over
FORMATS: Final = frozenset({"skops"})
# What is stored of a training beside its model, and what each file is.
TOLD: Final = {roles.EVALUATION: "json", roles.REPORT: "html", roles.REFERENCE: "json"}
MOST_LINES: Final = 200
# Of one transaction, which every other writer waits for: what is more is for the next.
MOST_NOTES: Final = 20
MOST_RESULTS: Final = 250


def next_errand(platform: Platform, stopping: threading.Event) -> TrainingErrand | None:
    """Take the next training, to be worked on until it ends; None if there is none."""
    jobs = platform.trainings
    if platform.database.glance(jobs.any_open) is None:
        return None
    with platform.database.read() as session:
        if not jobs.waits(session, most=AT_ONCE):
            return None
    with platform.database.write() as session:
        job = jobs.claim(session, holder=this_process(), seconds=LEASE_SECONDS, most=AT_ONCE)
    return None if job is None else TrainingErrand(platform, job, stopping)


@dataclass(slots=True)
class Said:
    """What a training has said since it was last written down."""

    progress: Progress | None = None
    notes: list[str] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)


@dataclass(slots=True)
class TrainingErrand(errands.Errand):
    """One training while this process works on it."""

    action: ClassVar[str] = "training.end"
    needed: ClassVar[tuple[Permission, ...]] = (Permission.TRAINING, Permission.MODELS_WRITE)
    renew_seconds: ClassVar[float] = 1.0  # as live as its progress is to who follows it
    most_attempts: ClassVar[float] = 6
    recorded: ClassVar[frozenset[State]] = frozenset(State)
    ends: ClassVar[tuple[type[Exception], ...]] = (
        *errands.REFUSALS,
        SpecRefused,
        DataRefused,
        TrainingFailed,
    )
    failures: ClassVar[tuple[type[Exception], ...]] = (TrainingFailed, IntakeFailed, UploadLost)

    trained: TrainedFiles | None = None
    report: tuple[str, ...] = ()  # on data that was refused
    _saying: threading.Lock = field(default_factory=threading.Lock)
    _said: Said = field(default_factory=Said)
    _phase: Phase | None = None
    _standings: Standings | None = None
    _shown: Progress | None = None
    _sealer: Sealer | None = None
    _kept_bytes: int = 0
    _began: float = 0.0

    @property
    def jobs(self) -> Jobs:
        """The queue that the job is of."""
        return self.platform.trainings

    @property
    def trainers(self) -> Trainers:
        """What starts the process that trains."""
        return self.platform.hosting.trainers

    @property
    def ended(self) -> Counter:
        """What counts trainings that ended, by their state."""
        return self.platform.telemetry.trainings

    @property
    def wanted(self) -> tuple[tuple[str, ...], str]:
        """The aliases that the version is to have, and why."""
        return errands.wishes_of(
            promote=self.order.promote,
            alias=None,
            note=f"trained by {self.job.created_by}",
            by=self.job.created_by,
        )

    @property
    def order(self) -> TrainingOrder:
        """What is asked for."""
        return self.job.training

    @property
    def leading(self) -> str:
        """What leads so far, for people; empty while nothing does."""
        with self._saying:
            best = self._standings.best() if self._standings is not None else []
        return f"{best[0]['algorithm']} {best[0]['mean']:.4g}" if best else ""

    def make(self, scope: Scope) -> Version | None:
        """Train, and register the model; None if only its report is wanted."""
        self.trained = trained = self._train()
        if not self.order.register:
            return None
        self.goes_on()
        prepared = with_told(self._prepare(trained), trained, self.job.digest)
        self.goes_on()
        return register(self.platform, scope, self.job.model, prepared, along=self.is_registered())

    def told(self, progress: Progress) -> None:
        """Note how far the training is."""
        with self._saying:
            if progress.phase is not self._phase:
                self._phase = progress.phase
                if len(self._said.notes) < MOST_NOTES:  # an honest one has few phases
                    self._said.notes.append(str(progress.phase))
            self._said.progress = self._shown = progress

    def found(self, result: Result) -> None:
        """Note a result, for whoever may have to go on with this."""
        with self._saying:
            self._said.results.append(result)
            if self._standings is not None:
                self._standings.add(result)

    def renewing(self, session: Session) -> None:
        """Write down how far it is and what was found out since the last time."""
        said = self._take()
        if said.results and self._sealer is not None:
            kept, room = self.platform.training_results, MOST_BYTES - self._kept_bytes
            self._kept_bytes += kept.keep(session, self.job, said.results, self._sealer, room=room)
        for note in said.notes:
            self.jobs.tell(session, self.job, State.TRAINING, note)
        if said.progress is not None:
            self.jobs.progressed(session, self.job, self._as_json(said.progress))

    def ending(self, session: Session, state: State) -> None:
        """Forget what was kept to go on; keep what was wrong with the data."""
        self._said.results.clear()
        self.renewing(session)
        self.platform.training_results.forget(session, self.job.id)
        if self.report:
            shown = {} if self._shown is None else self._as_json(self._shown)
            lines = [line[:MOST_NOTE] for line in self.report[:MOST_LINES]]
            self.jobs.progressed(session, self.job, shown | {"report": lines})

    @staticmethod
    def crashes(error: Exception) -> bool:
        """Whether a failure may not be one the next time."""
        return isinstance(error, TrainerEnded | IntakeFailed)

    def _train(self) -> TrainedFiles:
        known = self._known()
        self._began = self.platform.clock()
        note = f"{len(known)} results of an earlier attempt are known" if known else "begun"
        self._log(State.TRAINING, note)
        settings, order = self.platform.settings, self.order
        with self.files(order.parts) as files:
            try:
                return run_training(
                    self.trainers,
                    order.spec,
                    order.name,
                    files[DATA],
                    known=known,
                    on_progress=self.told,
                    on_result=self.found,
                    goes_on=self.goes_on,
                    seconds=max(LEAST_SECONDS, order.seconds - self._spent_before),
                    most_model_bytes=settings.max_model_bytes,
                )
            except DataRefused as refused:
                self.report = refused.report
                raise

    def _known(self) -> list[Result]:
        self._standings = Standings(self.order.spec)
        with self.platform.database.read() as session:
            self._sealer = Sealer((self.platform.tenants.data_key(session, self.job),))
            kept = self.platform.training_results
            self._kept_bytes = kept.size_of(session, self.job)
            known = list(kept.known(session, self.job, self._sealer))
        for result in known:
            self._standings.add(result)
        return known

    def _prepare(self, trained: TrainedFiles) -> Prepared:
        def tell(stage: Stage, note: str) -> None:
            self.goes_on()
            self._log(State.REGISTERING, f"{stage}: {note}")

        return prepare(
            self.platform,
            Source(
                file=trained.model,
                rows=trained.rows,
                answers=trained.answers,
                digest=None,
                formats=FORMATS,
                accept_version=False,
            ),
            tell=tell,
            goes_on=self.goes_on,
        )

    def _log(self, state: State, note: str) -> None:
        with self.platform.database.write() as session:
            self.renewing(session)  # what was said before stands before it
            self.jobs.tell(session, self.job, state, note)

    def _take(self) -> Said:
        with self._saying:
            said, results = self._said, self._said.results
            self._said = Said(results=results[MOST_RESULTS:])
        return replace(said, results=results[:MOST_RESULTS])

    @property
    def _spent_before(self) -> float:
        return float(self.job.progress.get("seconds", 0.0))

    def _as_json(self, progress: Progress) -> dict[str, Any]:
        """What is shown of a training that is under way, and how long it has taken in all."""
        with self._saying:
            standings = self._standings.best() if self._standings is not None else []
            columns = self._standings.columns if self._standings is not None else []
        return {
            "phase": str(progress.phase),
            "done": progress.done,
            "total": progress.total,
            "note": progress.note,
            "seconds": self._spent_before + self.platform.clock() - self._began,
            "leaderboard": standings,
            "columns": columns,
        }


def with_told(prepared: Prepared, trained: TrainedFiles, digest: str) -> Prepared:
    """A version with all that is told of its training beside it, signed and sealed as it is.

    `digest` is that of the table, which the model was made from.
    """
    blobs = {
        roles.EVALUATION: trained.evaluation_bytes,
        roles.REPORT: trained.report,
        roles.REFERENCE: trained.reference,
    }
    files: Mapping[str, StoredFile] = {
        role: StoredFile(hashlib.sha256(blob).hexdigest(), len(blob), TOLD[role])
        for role, blob in blobs.items()
    }
    contents = prepared.contents
    every = {**contents.files, **files}
    if len({file.digest for file in every.values()}) < len(every):
        raise TrainingFailed("two of its files are the same")  # stored under one address
    parents = (*contents.parents, digest)
    return Prepared(replace(contents, files=every, parents=parents), {**prepared.blobs, **blobs})
