"""Metrics of the user's own, and the values that are reported from outside.

Frozen: this file says what version 0010 is, whatever the tables become later.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from airflow_monitoring_provider.store.types import Json

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make both tables."""
    name, time = sa.String(255), sa.DateTime(timezone=True)
    op.create_table(
        "monitoring_custom_metrics",
        sa.Column("deployment_id", name, nullable=False),
        sa.Column("id", name, nullable=False, comment="name of its results in monitoring_metrics"),
        sa.Column(
            "definition_id", name, nullable=True, comment="definition that described it last; null: made by hand"
        ),
        sa.Column("type", name, nullable=False, comment="sum average gauge categorical"),
        sa.Column("directionality", name, nullable=False, comment="higher_is_better lower_is_better"),
        sa.Column("source", name, nullable=False, comment="sql profile rows reported"),
        sa.Column("payload", Json, nullable=False, comment="all that is said of it"),
        sa.Column("created_at", time, nullable=False),
        sa.Column("created_by", name, nullable=True),
        sa.Column("updated_at", time, nullable=False),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["monitoring_deployments.id"], name="fk_monitoring_custom_metrics_deployment_id"
        ),
        sa.PrimaryKeyConstraint("deployment_id", "id", name="pk_monitoring_custom_metrics"),
        comment="Metrics of the user's own.",
    )
    op.create_table(
        "monitoring_custom_values",
        sa.Column("deployment_id", name, nullable=False),
        sa.Column("metric_id", name, nullable=False),
        sa.Column(
            "key",
            name,
            nullable=False,
            comment="the reporter's own, or the association id; a value sent twice counts once",
        ),
        sa.Column("batch_id", name, nullable=True),
        sa.Column("measured_at", time, nullable=False),
        sa.Column("value", sa.Double(), nullable=True, comment="null for a categorical metric"),
        sa.Column("category", name, nullable=True),
        sa.Column(
            "sample_count", sa.BigInteger(), autoincrement=False, nullable=False, comment="samples behind the value"
        ),
        sa.Column("association_id", name, nullable=True, comment="the prediction it belongs to"),
        sa.Column("model_id", name, nullable=True),
        sa.Column("created_at", time, nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["monitoring_batches.id"], name="fk_monitoring_custom_values_batch_id"),
        sa.ForeignKeyConstraint(
            ["deployment_id", "metric_id"],
            ["monitoring_custom_metrics.deployment_id", "monitoring_custom_metrics.id"],
            name="fk_monitoring_custom_values_deployment_id_metric_id",
        ),
        sa.PrimaryKeyConstraint("deployment_id", "metric_id", "key", name="pk_monitoring_custom_values"),
        comment="Values of the user's own metrics that were reported from outside.",
    )
    op.create_index(
        "ix_monitoring_custom_values_series", "monitoring_custom_values", ["deployment_id", "metric_id", "measured_at"]
    )
    op.create_index("ix_monitoring_custom_values_batch_id", "monitoring_custom_values", ["batch_id"])
