"""What clients of other servers' protocols, and careful clients of ours, ask a database to keep."""

from __future__ import annotations

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add tables and columns."""


def downgrade() -> None:
    """Leave an earlier release what it knows."""
