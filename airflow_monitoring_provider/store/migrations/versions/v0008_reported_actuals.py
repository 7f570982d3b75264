"""Late actuals and running code: the log of reported predictions, whose actuals label it, and reports of actuals.

Frozen: this file says what version 0008 is, whatever the tables become later.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

REPORT = ["monitoring_batch_reports.batch_id", "monitoring_batch_reports.key"]


def upgrade() -> None:
    """Make the three tables."""
    name, time = sa.String(255), sa.DateTime(timezone=True)

    def count(column: str, comment: str | None = None) -> sa.Column[int]:
        return sa.Column(column, sa.BigInteger(), autoincrement=False, nullable=False, comment=comment)

    op.create_table(
        "monitoring_report_logs",
        sa.Column("batch_id", name, nullable=False),
        sa.Column("key", name, nullable=False),
        sa.Column("deployment_id", name, nullable=False),
        sa.Column("path", sa.Text(), nullable=False, comment="below the store's storage root"),
        count("rows"),
        count("bytes"),
        sa.Column("sha256", name, nullable=False),
        count("revision", "of the report's profile: one more each time its accuracy is restated"),
        sa.Column("due", sa.Boolean(), nullable=False, comment="actuals came that its accuracy is not made of yet"),
        sa.Column("updated_at", time, nullable=False),
        sa.ForeignKeyConstraint(["batch_id", "key"], REPORT, name="fk_monitoring_report_logs_batch_id_key"),
        sa.PrimaryKeyConstraint("batch_id", "key", name="pk_monitoring_report_logs"),
        comment="Manifest of the predictions of reports, for late actuals: a file that is not listed here is garbage.",
    )
    op.create_index("ix_monitoring_report_logs_deployment_id", "monitoring_report_logs", ["deployment_id"])
    op.create_table(
        "monitoring_report_uses",
        sa.Column("batch_id", name, nullable=False),
        sa.Column("key", name, nullable=False),
        sa.Column("actuals_job_id", name, nullable=False, comment="whose actuals label the report"),
        sa.ForeignKeyConstraint(["batch_id", "key"], REPORT, name="fk_monitoring_report_uses_batch_id_key"),
        sa.ForeignKeyConstraint(
            ["actuals_job_id"], ["monitoring_jobs.id"], name="fk_monitoring_report_uses_actuals_job_id"
        ),
        sa.PrimaryKeyConstraint("batch_id", "key", "actuals_job_id", name="pk_monitoring_report_uses"),
        comment="Which jobs brought the actuals that a report's accuracy is made of.",
    )
    op.create_index("ix_monitoring_report_uses_actuals_job_id", "monitoring_report_uses", ["actuals_job_id"])
    op.create_table(
        "monitoring_actual_reports",
        sa.Column("definition_id", name, nullable=False),
        sa.Column("key", name, nullable=False, comment="the reporter's own, so that a report sent twice is one job"),
        sa.Column("at", time, nullable=False, comment="when it was first sent; the start of its job's window"),
        sa.ForeignKeyConstraint(
            ["definition_id"], ["monitoring_job_definitions.id"], name="fk_monitoring_actual_reports_definition_id"
        ),
        sa.PrimaryKeyConstraint("definition_id", "key", name="pk_monitoring_actual_reports"),
        sa.UniqueConstraint("definition_id", "at", name="uq_monitoring_actual_reports_definition_id_at"),
        comment="Actuals that running code reported: which job each report is.",
    )
