"""The files of retained rows.

Frozen: this file says what version 0009 is, whatever the table becomes later.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "monitoring_retained_files",
        sa.Column("job_id", sa.String(255), nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("deployment_id", sa.String(255), nullable=False),
        sa.Column("batch_id", sa.String(255), nullable=False),
        sa.Column("token", sa.BigInteger(), autoincrement=False, nullable=False, comment="attempt that wrote the file"),
        sa.Column("path", sa.Text(), nullable=False, comment="below the store's storage root"),
        sa.Column("rows", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("bytes", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sha256", sa.String(255), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["monitoring_jobs.id"], name="fk_monitoring_retained_files_job_id"),
        sa.PrimaryKeyConstraint("job_id", "position", name="pk_monitoring_retained_files"),
        comment="Manifest of the retained rows: a file that is not listed here is garbage.",
    )
    op.create_index("ix_monitoring_retained_files_batch_id", "monitoring_retained_files", ["batch_id"])
