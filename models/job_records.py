"""The table of intake jobs: uploaded files on their way to becoming versions."""

from __future__ import annotations

from sqlalchemy import BigInteger, Double, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from config.database import Base


class JobRow(Base):
    """One upload: what was asked for, how far it has come, and who works on it until when."""

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
    place: Mapped[str] = mapped_column(String(64))  # the uploads folder that holds the file
    holder: Mapped[str] = mapped_column(String(160))  # whose the lease is
    lease_until: Mapped[float] = mapped_column(Double)
    attempts: Mapped[int] = mapped_column(BigInteger)
    version_number: Mapped[int | None] = mapped_column(BigInteger)
    problem: Mapped[str] = mapped_column(Text)
    cancel: Mapped[bool]
