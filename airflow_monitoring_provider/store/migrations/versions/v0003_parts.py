"""Jobs that several tasks run together: how the window was cut, and what each part left.

Frozen: this file says what version 0003 is, whatever the tables become later.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "monitoring_part_plans",
        sa.Column("job_id", sa.String(255), nullable=False),
        sa.Column("token", sa.BigInteger(), autoincrement=False, nullable=False, comment="attempt that cut the window"),
        sa.Column("held_by", sa.BigInteger(), autoincrement=False, nullable=False, comment="token it holds now"),
        sa.Column("parts", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("plan", sa.LargeBinary(), nullable=False, comment="zlib of JSON: columns, profile plan, parts"),
        sa.Column("reference", sa.LargeBinary(), nullable=False, comment="serialised profile to compare with"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["monitoring_jobs.id"], name="fk_monitoring_part_plans_job_id"),
        sa.PrimaryKeyConstraint("job_id", "token", name="pk_monitoring_part_plans"),
        comment="How the window of a job was cut, emptied once the job is committed.",
    )
    op.create_table(
        "monitoring_parts",
        sa.Column("job_id", sa.String(255), nullable=False),
        sa.Column("token", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "part", sa.BigInteger(), autoincrement=False, nullable=False, comment="from 0, in the order of the rows"
        ),
        sa.Column("state", sa.String(255), nullable=False, comment="waiting running staged failed"),
        sa.Column("reason", sa.Text(), nullable=True, comment="why it failed"),
        sa.Column("scored_rows", sa.BigInteger(), autoincrement=False, nullable=False, comment="so far"),
        sa.Column("failed_rows", sa.BigInteger(), autoincrement=False, nullable=False, comment="so far"),
        sa.Column("path", sa.Text(), nullable=True, comment="of the staged file, below the storage root"),
        sa.Column("bytes", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("index_bytes", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("sha256", sa.String(255), nullable=True, comment="of the staged file's index"),
        sa.Column("progress_at", sa.DateTime(timezone=True), nullable=False, comment="last sign of life"),
        sa.ForeignKeyConstraint(["job_id"], ["monitoring_jobs.id"], name="fk_monitoring_parts_job_id"),
        sa.PrimaryKeyConstraint("job_id", "token", "part", name="pk_monitoring_parts"),
        comment="The parts of running jobs that several tasks run together; gone once the job is committed.",
    )
