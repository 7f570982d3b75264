"""Baselines that have a name, which one a definition uses, and what a job was compared with.

Frozen: this file says what version 0011 is, whatever the tables become later.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the two tables and the column."""
    time = sa.DateTime(timezone=True)
    json = sa.JSON()
    op.create_table(
        "monitoring_named_baselines",
        sa.Column("definition_id", sa.String(255), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False, comment="of this name, from 1"),
        sa.Column("settings", json, nullable=False, comment="the baseline of a definition, camelCase"),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("created_at", time, nullable=False),
        sa.Column("created_by", sa.String(255), nullable=True),
        sa.ForeignKeyConstraint(
            ["definition_id"], ["monitoring_job_definitions.id"], name="fk_monitoring_named_baselines_definition_id"
        ),
        sa.PrimaryKeyConstraint("definition_id", "name", "version", name="pk_monitoring_named_baselines"),
        comment="Every version of every baseline that was given a name; never changed.",
    )
    op.create_table(
        "monitoring_baseline_choices",
        sa.Column("definition_id", sa.String(255), nullable=False),
        sa.Column("name", sa.String(255), nullable=False, comment="of a named baseline"),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=True, comment="null: the newest"),
        sa.Column("chosen_at", time, nullable=False),
        sa.Column("chosen_by", sa.String(255), nullable=True),
        sa.ForeignKeyConstraint(
            ["definition_id"], ["monitoring_job_definitions.id"], name="fk_monitoring_baseline_choices_definition_id"
        ),
        sa.PrimaryKeyConstraint("definition_id", name="pk_monitoring_baseline_choices"),
        comment="Definitions whose jobs are compared with a named baseline instead of their own.",
    )
    op.add_column(
        "monitoring_snapshots",
        sa.Column(
            "baseline_key",
            sa.String(255),
            nullable=True,
            comment="of that version in monitoring_baselines; null: the first window, or none yet",
        ),
    )
