"""Trainings: jobs of another kind, with progress that is followed and results that are kept."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns and a table."""
    for column in (
        sa.Column("kind", sa.String(length=16), nullable=False, server_default="intake"),
        sa.Column("progress", sa.Text(), nullable=False, server_default=""),
        sa.Column("revision", sa.BigInteger(), nullable=False, server_default="0"),
    ):
        op.add_column("model_jobs", column)
    op.create_table(
        "training_results",
        sa.Column("job_id", sa.String(length=40), nullable=False),
        sa.Column("key_digest", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["model_jobs.id"],
            name=op.f("fk_training_results_job_id_model_jobs"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("job_id", "key_digest", name=op.f("pk_training_results")),
    )


def downgrade() -> None:
    """Leave an earlier release what it knows."""
