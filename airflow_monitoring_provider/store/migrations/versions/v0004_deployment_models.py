"""Which model a deployment had in use, and when; the one in use now is taken over as the first.

Frozen: this file says what version 0004 is, whatever the tables become later.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, and begin each deployment's history."""
    time = sa.DateTime(timezone=True)
    made = op.create_table(
        "monitoring_deployment_models",
        sa.Column("deployment_id", sa.String(255), nullable=False),
        sa.Column(
            "number",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="from 1, in the order in which the models were put in use",
        ),
        sa.Column("model_id", sa.String(255), nullable=False),
        sa.Column("model_version", sa.String(255), nullable=True),
        sa.Column(
            "start_time", time, nullable=False, comment="inclusive; may be moved to where historical data begins"
        ),
        sa.Column("end_time", time, nullable=True, comment="exclusive; null: still in use"),
        sa.Column("created_at", time, nullable=False),
        sa.Column("updated_at", time, nullable=False),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["monitoring_deployments.id"], name="fk_monitoring_deployment_models_deployment_id"
        ),
        sa.PrimaryKeyConstraint("deployment_id", "number", name="pk_monitoring_deployment_models"),
        comment="Which model a deployment had in use, and when.",
    )
    known = sa.table(
        "monitoring_deployments",
        sa.column("id", sa.String),
        sa.column("model_id", sa.String),
        sa.column("model_version", sa.String),
        sa.column("created_at", time),
    )
    since = known.c.created_at
    rows = sa.select(known.c.id, sa.literal(1), known.c.model_id, known.c.model_version, since, since, since)
    columns = ["deployment_id", "number", "model_id", "model_version", "start_time", "created_at", "updated_at"]
    op.execute(made.insert().from_select(columns, rows.where(known.c.model_id.is_not(None))))
