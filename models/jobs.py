"""A job: what was uploaded, what was asked for, how far it has come and how it ended.

An intake makes a version of a model file, a training of a table. Each kind has its own queue.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final, Literal, cast

import orjson

from models.records import JobRow
from models.uploads import StoredPart, UploadPlace

MOST_ENTRIES: Final = 200
MOST_NOTE: Final = 2000
PREFIX: Final = "job_"
TIME_DIGITS: Final = 12
FILE: Final = "file"  # the part of an upload that is the model itself
DATA: Final = "data"  # the part that is the table to train on

# A local training is one of the operator's command: no worker takes it.
Kind = Literal["intake", "training", "local"]


class State(StrEnum):
    """How far a job has come, or how it ended."""

    RECEIVED = "received"
    VERIFIED = "verified"
    INSPECTED = "inspected"
    COMPILED = "compiled"
    COMPARED = "compared"
    TRAINING = "training"
    REGISTERING = "registering"
    READY = "ready"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED: Final = (State.READY, State.REFUSED, State.FAILED, State.CANCELLED)
OPEN_INTAKES: Final = (
    State.RECEIVED,
    State.VERIFIED,
    State.INSPECTED,
    State.COMPILED,
    State.COMPARED,
)
OPEN_TRAININGS: Final = (State.RECEIVED, State.TRAINING, State.REGISTERING)
OPEN: Final = (*OPEN_INTAKES, State.TRAINING, State.REGISTERING)


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What an uploader asks for: the model, how to read the file, and what to do afterwards.

    `format` is empty where the first bytes of the file are to tell. `grants` are what the
    uploader might do at the time, as a scope string: the job may do no more.
    """

    model: str
    format: str
    parts: Mapping[str, StoredPart]
    grants: str
    promote: bool = False
    alias: str | None = None
    note: str = ""
    version_policy: str = "refuse"

    def as_json(self) -> dict[str, Any]:
        """The order as plain JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Order:
        """Read what `as_json` wrote."""
        parts = {name: StoredPart(**part) for name, part in value["parts"].items()}
        return cls(**{**value, "parts": parts})

    @property
    def digest(self) -> str:
        """The SHA-256 of the model file."""
        return self.parts[FILE].digest


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingOrder:
    """What is to be trained on the uploaded table called `name`, by which spec.

    It may take so many `seconds` in all. Of one that is not to `register`, only its report is
    wanted.
    """

    model: str
    spec: Mapping[str, Any]
    parts: Mapping[str, StoredPart]
    name: str
    grants: str
    seconds: float
    promote: bool = False
    register: bool = True
    format: str = ""

    def as_json(self) -> dict[str, Any]:
        """The order as plain JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TrainingOrder:
        """Read what `as_json` wrote."""
        parts = {name: StoredPart(**part) for name, part in value["parts"].items()}
        return cls(**{**value, "parts": parts})

    @property
    def digest(self) -> str:
        """The SHA-256 of the table."""
        return self.parts[DATA].digest


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a job's log; its `number` is that of the change which wrote it."""

    at: float
    stage: str
    note: str
    number: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One intake of an uploaded file, or one training; `options` are its order as JSON has it.

    `progress` is what a training says of itself, with the number of the change that wrote it.
    """

    id: str
    tenant_id: str
    model: str
    kind: Kind
    state: State
    options: Mapping[str, Any]
    log: tuple[Entry, ...]
    digest: str
    size: int
    created_by: str
    principal_id: str
    created_at: float
    updated_at: float
    attempts: int
    version: int | None
    problem: str
    cancelling: bool
    revision: int
    progress: Mapping[str, Any]

    @property
    def order(self) -> Order:
        """What is asked of an intake."""
        return Order.from_json(self.options)

    @property
    def training(self) -> TrainingOrder:
        """What is asked of a training."""
        return TrainingOrder.from_json(self.options)

    @property
    def place(self) -> UploadPlace:
        """Where its upload is."""
        return UploadPlace(self.tenant_id, self.id)

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state not in OPEN


@dataclass(frozen=True, slots=True)
class JobPage:
    """Some of a listing, newest first; `next` continues it."""

    items: tuple[Job, ...]
    next: str | None


def new_job_id(now: float) -> str:
    """An identifier that sorts by time."""
    return f"{PREFIX}{int(now * 1000):0{TIME_DIGITS}x}{secrets.token_hex(8)}"


def made_at(job_id: str) -> float:
    """When an identifier was made; 0 for one that was not made here."""
    try:
        return int(job_id.removeprefix(PREFIX)[:TIME_DIGITS], 16) / 1000
    except ValueError:
        return 0.0


def write_log(row: JobRow, at: float, stage: State, note: str) -> None:
    """Add a line to a job's log; the oldest make room."""
    row.revision = (row.revision or 0) + 1
    entries = orjson.loads(row.log)
    entries.append(asdict(Entry(at, stage, note[:MOST_NOTE], row.revision)))
    row.log = orjson.dumps(entries[-MOST_ENTRIES:]).decode()
    row.updated_at = at


def write_progress(row: JobRow, at: float, said: Mapping[str, Any]) -> None:
    """Write down how far a training is, in place of what was said before."""
    row.revision += 1
    row.progress = orjson.dumps({**said, "number": row.revision}).decode()
    row.updated_at = at


def write_end(row: JobRow, at: float, state: State, note: str) -> None:
    """Write down how a job ended; unless it is ready, the note is why."""
    row.state = state
    if state is not State.READY:
        row.problem = note[:MOST_NOTE]
    row.lease_until = 0.0
    write_log(row, at, state, note)


def read_job(row: JobRow) -> Job:
    """The job in a row."""
    return Job(
        id=row.id,
        tenant_id=row.tenant_id,
        model=row.model,
        kind=cast(Kind, row.kind),
        state=State(row.state),
        options=orjson.loads(row.options),
        log=tuple(Entry(**entry) for entry in orjson.loads(row.log)),
        digest=row.source_digest,
        size=row.size,
        created_by=row.created_by,
        principal_id=row.principal_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
        attempts=row.attempts,
        version=row.version_number,
        problem=row.problem,
        cancelling=row.cancel,
        revision=row.revision,
        progress=orjson.loads(row.progress or "{}"),
    )
