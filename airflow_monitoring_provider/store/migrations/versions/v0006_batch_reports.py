"""What running code reports into batches: profiles of its predictions, and how its service did.

Frozen: this file says what version 0006 is, whatever the tables become later.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

KEY = "the reporter's own, so that a report sent twice counts once"


def upgrade() -> None:
    """Make both tables."""
    name, time = sa.String(255), sa.DateTime(timezone=True)

    def count(column: str, comment: str | None = None) -> sa.Column[int]:
        return sa.Column(column, sa.BigInteger(), autoincrement=False, nullable=False, comment=comment)

    op.create_table(
        "monitoring_batch_reports",
        sa.Column("batch_id", name, nullable=False),
        sa.Column("key", name, nullable=False, comment=KEY),
        sa.Column("deployment_id", name, nullable=False),
        sa.Column("definition_id", name, nullable=False, comment="says what the columns are"),
        sa.Column("model_id", name, nullable=True),
        count("rows"),
        count("scored_rows"),
        sa.Column("earliest", time, nullable=True, comment="first timestamp among the rows"),
        sa.Column("latest", time, nullable=True),
        sa.Column("content_hash", name, nullable=False),
        count("format_version", "version of the profile's bytes"),
        sa.Column(
            "profile",
            sa.LargeBinary(),
            nullable=False,
            comment="serialised profile; merge or compare it with the library",
        ),
        sa.Column("created_at", time, nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["monitoring_batches.id"], name="fk_monitoring_batch_reports_batch_id"),
        sa.ForeignKeyConstraint(
            ["definition_id"], ["monitoring_job_definitions.id"], name="fk_monitoring_batch_reports_definition_id"
        ),
        sa.PrimaryKeyConstraint("batch_id", "key", name="pk_monitoring_batch_reports"),
        comment="Predictions that running code reported into a batch, as profiles.",
    )
    op.create_table(
        "monitoring_batch_stats",
        sa.Column("batch_id", name, nullable=False),
        sa.Column("key", name, nullable=False, comment=KEY),
        sa.Column("deployment_id", name, nullable=False),
        sa.Column("model_id", name, nullable=True),
        count("predictions"),
        count("requests"),
        sa.Column(
            "execution_time_ms", sa.Double(), nullable=True, comment="of all these requests together, in the model"
        ),
        sa.Column(
            "response_time_ms",
            sa.Double(),
            nullable=True,
            comment="of all these requests together, as their callers saw it",
        ),
        count("user_errors", "requests that were refused (4xx)"),
        count("server_errors", "requests that broke (5xx)"),
        sa.Column("created_at", time, nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["monitoring_batches.id"], name="fk_monitoring_batch_stats_batch_id"),
        sa.PrimaryKeyConstraint("batch_id", "key", name="pk_monitoring_batch_stats"),
        comment="How the service did that made a batch's predictions, as running code reported it.",
    )
