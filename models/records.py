"""The tables of what predicts: models, their immutable versions, and what becomes of them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from config.database import Base


class ModelRow(Base):
    """A name under which a tenant serves versions; its champion answers when none is named.

    Without a champion and versions it is a model that was deleted: the row keeps its numbers from
    being reused.
    """

    __tablename__ = "models"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(String(40), index=True)
    name: Mapped[str] = mapped_column(String(64))
    is_default: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[float] = mapped_column(Double)
    unloaded_at: Mapped[float | None] = mapped_column(Double)  # since when it answers nobody


class VersionRow(Base):
    """One immutable version: the signed manifest, and the key that its artefacts are sealed with.

    A deleted version has no key any more; its row stays, for the record and for its number.
    """

    __tablename__ = "model_versions"
    __table_args__ = (UniqueConstraint("model_id", "number"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    model_id: Mapped[str] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"), index=True)
    tenant_id: Mapped[str] = mapped_column(String(40), index=True)
    number: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[str] = mapped_column(String(64))
    manifest: Mapped[str] = mapped_column(Text)  # canonical JSON
    signature: Mapped[str] = mapped_column(String(64))  # HMAC-SHA-256 under the artefact key
    sealed_key: Mapped[bytes | None] = mapped_column(LargeBinary)  # under the tenant's data key
    state: Mapped[str] = mapped_column(String(16), default="active")  # active | retired | deleted
    pinned: Mapped[bool] = mapped_column(default=False)
    created_by: Mapped[str] = mapped_column(String(160))
    created_at: Mapped[float] = mapped_column(Double)


class AliasRow(Base):
    """A movable name for a version, such as `champion`."""

    __tablename__ = "model_aliases"

    model_id: Mapped[str] = mapped_column(
        ForeignKey("models.id", ondelete="CASCADE"), primary_key=True
    )
    alias: Mapped[str] = mapped_column(String(64), primary_key=True)
    version_id: Mapped[str] = mapped_column(ForeignKey("model_versions.id", ondelete="CASCADE"))


class AliasMoveRow(Base):
    """One move of an alias, so that it can be moved back; numbers are absent at either end."""

    __tablename__ = "model_alias_moves"
    __table_args__ = (Index("ix_model_alias_moves_model_id_alias", "model_id", "alias"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    model_id: Mapped[str] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"))
    alias: Mapped[str] = mapped_column(String(64))
    from_number: Mapped[int | None] = mapped_column(BigInteger)
    to_number: Mapped[int | None] = mapped_column(BigInteger)
    moved_by: Mapped[str] = mapped_column(String(160))
    moved_at: Mapped[float] = mapped_column(Double)
    reason: Mapped[str] = mapped_column(String(200))
    is_rollback: Mapped[bool] = mapped_column(default=False)
    is_undone: Mapped[bool] = mapped_column(default=False)  # a later rollback took it back


class JobRow(Base):
    """One upload: what was asked for, how far it has come, and who works on it until when.

    Every change that is told of has the next `revision`.
    """

    __tablename__ = "model_jobs"
    __table_args__ = (
        Index("ix_model_jobs_tenant_id_created_at", "tenant_id", "created_at"),
        Index("ix_model_jobs_state_lease_until", "state", "lease_until"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(String(40))
    model: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))
    format: Mapped[str] = mapped_column(String(16))
    options: Mapped[str] = mapped_column(Text)  # JSON
    log: Mapped[str] = mapped_column(Text)  # JSON: the stages so far
    source_digest: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)
    created_by: Mapped[str] = mapped_column(String(160))
    principal_id: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[float] = mapped_column(Double)
    updated_at: Mapped[float] = mapped_column(Double)
    holder: Mapped[str] = mapped_column(String(160))  # whose the lease is
    lease_until: Mapped[float] = mapped_column(Double)
    attempts: Mapped[int] = mapped_column(BigInteger)
    version_number: Mapped[int | None] = mapped_column(BigInteger)
    problem: Mapped[str] = mapped_column(Text)
    cancel: Mapped[bool]
    kind: Mapped[str] = mapped_column(String(16), server_default="intake")  # who works on it
    progress: Mapped[str] = mapped_column(Text, server_default="")  # JSON, of a training
    revision: Mapped[int] = mapped_column(BigInteger, server_default="0")


class TrainingResultRow(Base):
    """One result that a training has won, kept until its job ends: the next attempt goes on."""

    __tablename__ = "training_results"

    job_id: Mapped[str] = mapped_column(
        ForeignKey("model_jobs.id", ondelete="CASCADE"), primary_key=True
    )
    key_digest: Mapped[str] = mapped_column(String(64), primary_key=True)  # SHA-256 of its key
    tenant_id: Mapped[str] = mapped_column(String(40))
    sealed: Mapped[bytes] = mapped_column(LargeBinary)  # under the tenant's data key


class IncidentRow(Base):
    """One time that a version failed where it was run: a crash, a deadline, an open circuit."""

    __tablename__ = "model_incidents"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    tenant_id: Mapped[str] = mapped_column(String(40), index=True)
    version_id: Mapped[str] = mapped_column(
        ForeignKey("model_versions.id", ondelete="CASCADE"), index=True
    )
    at: Mapped[float] = mapped_column(Double)
    kind: Mapped[str] = mapped_column(String(32))
    detail: Mapped[str] = mapped_column(Text)


class RouteRow(Base):
    """How calls of a model that name no version are divided between its versions."""

    __tablename__ = "model_routes"

    model_id: Mapped[str] = mapped_column(
        ForeignKey("models.id", ondelete="CASCADE"), primary_key=True
    )
    definition: Mapped[str] = mapped_column(Text)  # JSON
    revision: Mapped[int] = mapped_column(BigInteger)  # Unix milliseconds
    note: Mapped[str] = mapped_column(Text)  # why a version was taken out, if one was
    created_by: Mapped[str] = mapped_column(String(160))
    created_at: Mapped[float] = mapped_column(Double)


class RouteReportRow(Base):
    """What one worker counted of one version of a route in ten seconds."""

    __tablename__ = "model_route_reports"
    __table_args__ = (Index("ix_model_route_reports_model_id_window", "model_id", "window"),)

    model_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    revision: Mapped[int] = mapped_column(BigInteger, primary_key=True)  # of the route
    version_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    role: Mapped[str] = mapped_column(String(8), primary_key=True)  # live | shadow
    window: Mapped[int] = mapped_column(BigInteger, primary_key=True)  # Unix time of its beginning
    holder: Mapped[str] = mapped_column(String(160), primary_key=True)
    requests: Mapped[int] = mapped_column(BigInteger)
    errors: Mapped[int] = mapped_column(BigInteger)
    seconds: Mapped[float] = mapped_column(Double)
    buckets: Mapped[str] = mapped_column(Text)  # JSON: counts of answers by their time
    rows_compared: Mapped[int] = mapped_column(BigInteger)
    rows_agreeing: Mapped[int] = mapped_column(BigInteger)
    dropped: Mapped[int] = mapped_column(BigInteger)


class PredictionLogRow(Base):
    """What is logged of a model's predictions, and the key that all of it is sealed with.

    A log that is deleted has no row any more, and so no key.
    """

    __tablename__ = "prediction_logs"

    model_id: Mapped[str] = mapped_column(
        ForeignKey("models.id", ondelete="CASCADE"), primary_key=True
    )
    id: Mapped[str] = mapped_column(String(40))  # of this log: one made anew is another
    tenant_id: Mapped[str] = mapped_column(String(40))
    enabled: Mapped[bool]
    sample: Mapped[float] = mapped_column(Double)
    inputs: Mapped[bool]
    columns: Mapped[str] = mapped_column(Text)  # JSON: the names kept, or null for every one
    retention_days: Mapped[int] = mapped_column(BigInteger)
    rows_per_day: Mapped[int] = mapped_column(BigInteger)
    bytes_per_day: Mapped[int] = mapped_column(BigInteger)
    sealed_key: Mapped[bytes] = mapped_column(LargeBinary)  # under the tenant's data key
    created_by: Mapped[str] = mapped_column(String(160))
    created_at: Mapped[float] = mapped_column(Double)


class LogSegmentRow(Base):
    """One file of a prediction log: what is in it, and until when it is kept."""

    __tablename__ = "prediction_log_segments"
    __table_args__ = (
        Index("ix_prediction_log_segments_model_id_id", "model_id", "id"),
        Index("ix_prediction_log_segments_model_id_day", "model_id", "day"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)  # they sort by their making
    model_id: Mapped[str] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"))
    log_id: Mapped[str] = mapped_column(String(40))
    tenant_id: Mapped[str] = mapped_column(String(40), index=True)
    version: Mapped[int] = mapped_column(BigInteger)
    method: Mapped[str] = mapped_column(String(32))
    day: Mapped[str] = mapped_column(String(10))  # UTC, of its making
    rows: Mapped[int] = mapped_column(BigInteger)
    bytes: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[str] = mapped_column(String(64))  # SHA-256 of the Parquet file
    first_at: Mapped[float] = mapped_column(Double)
    last_at: Mapped[float] = mapped_column(Double)
    created_at: Mapped[float] = mapped_column(Double)
    expires_at: Mapped[float] = mapped_column(Double, index=True)


class GateRow(Base):
    """What a version of a model has to be before it may answer calls that name no version.

    By the model's name, for it outlives the model: whoever deletes one and registers another under
    its name meets the same gate.
    """

    __tablename__ = "model_gates"

    tenant_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    model: Mapped[str] = mapped_column(String(64), primary_key=True)
    rules: Mapped[str] = mapped_column(Text)  # JSON
    revision: Mapped[int] = mapped_column(BigInteger)  # Unix milliseconds
    created_by: Mapped[str] = mapped_column(String(160))
    created_at: Mapped[float] = mapped_column(Double)


class ScheduleRow(Base):
    """A training that is run again and again: when, of what, and how the last ones ended."""

    __tablename__ = "training_schedules"

    tenant_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    model: Mapped[str] = mapped_column(String(64), primary_key=True)
    spec: Mapped[str] = mapped_column(Text)  # JSON
    folder: Mapped[str] = mapped_column(Text)  # what the paths of the spec are relative to
    every_seconds: Mapped[float] = mapped_column(Double)
    when_drift: Mapped[str] = mapped_column(String(16))  # moderate | severe, or nothing
    next_at: Mapped[float] = mapped_column(Double, index=True)
    last_at: Mapped[float | None] = mapped_column(Double)
    last_outcome: Mapped[str] = mapped_column(String(16))  # trained | skipped | failed, or nothing
    last_note: Mapped[str] = mapped_column(Text)
    last_version: Mapped[int | None] = mapped_column(BigInteger)
    failures: Mapped[int] = mapped_column(BigInteger)  # since it last ended well
    holder: Mapped[str] = mapped_column(String(160))  # whose the lease is
    lease_until: Mapped[float] = mapped_column(Double)
    created_by: Mapped[str] = mapped_column(String(160))
    created_at: Mapped[float] = mapped_column(Double)
