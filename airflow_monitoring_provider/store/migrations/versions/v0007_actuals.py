"""Late actuals: the files that brought them, the jobs that they label, and which of these are to be restated.

Frozen: this file says what version 0007 is, whatever the tables become later.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the three tables."""
    op.create_table(
        "monitoring_actual_files",
        sa.Column("job_id", sa.String(255), nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("deployment_id", sa.String(255), nullable=False),
        sa.Column("batch_id", sa.String(255), nullable=False),
        sa.Column("token", sa.BigInteger(), autoincrement=False, nullable=False, comment="attempt that wrote the file"),
        sa.Column("path", sa.Text(), nullable=False, comment="below the store's storage root"),
        sa.Column("rows", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("bytes", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sha256", sa.String(255), nullable=False),
        sa.Column("applied", sa.Boolean(), nullable=False, comment="every batch it touches has been restated"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["monitoring_jobs.id"], name="fk_monitoring_actual_files_job_id"),
        sa.PrimaryKeyConstraint("job_id", "position", name="pk_monitoring_actual_files"),
        comment="Manifest of the late actuals: a file that is not listed here is garbage.",
    )
    op.create_index("ix_monitoring_actual_files_deployment_id", "monitoring_actual_files", ["deployment_id"])
    op.create_table(
        "monitoring_restatements",
        sa.Column("job_id", sa.String(255), nullable=False, comment="whose predictions are labelled"),
        sa.Column("due", sa.Boolean(), nullable=False, comment="actuals or predictions changed since"),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["monitoring_jobs.id"], name="fk_monitoring_restatements_job_id"),
        sa.PrimaryKeyConstraint("job_id", name="pk_monitoring_restatements"),
        comment="Jobs whose accuracy was restated with late actuals, or is to be.",
    )
    op.create_table(
        "monitoring_actual_uses",
        sa.Column("job_id", sa.String(255), nullable=False, comment="whose predictions are labelled"),
        sa.Column("actuals_job_id", sa.String(255), nullable=False, comment="whose actuals label them"),
        sa.ForeignKeyConstraint(["job_id"], ["monitoring_jobs.id"], name="fk_monitoring_actual_uses_job_id"),
        sa.ForeignKeyConstraint(
            ["actuals_job_id"], ["monitoring_jobs.id"], name="fk_monitoring_actual_uses_actuals_job_id"
        ),
        sa.PrimaryKeyConstraint("job_id", "actuals_job_id", name="pk_monitoring_actual_uses"),
        comment="Which jobs brought the actuals that a job's accuracy is made of.",
    )
    op.create_index("ix_monitoring_actual_uses_actuals_job_id", "monitoring_actual_uses", ["actuals_job_id"])
