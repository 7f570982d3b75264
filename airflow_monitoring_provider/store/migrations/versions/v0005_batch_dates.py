"""What time the predictions in a batch are of, where somebody said so.

Frozen: this file says what version 0005 is, whatever the tables become later.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    time = sa.DateTime(timezone=True)
    op.create_table(
        "monitoring_batch_dates",
        sa.Column("batch_id", sa.String(255), nullable=False),
        sa.Column(
            "model_id", sa.String(255), nullable=False, comment="empty: predictions whose definition names no model"
        ),
        sa.Column("start_time", time, nullable=True, comment="null: that of the earliest row"),
        sa.Column("end_time", time, nullable=True, comment="null: that of the latest row"),
        sa.Column("updated_at", time, nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["monitoring_batches.id"], name="fk_monitoring_batch_dates_batch_id"),
        sa.PrimaryKeyConstraint("batch_id", "model_id", name="pk_monitoring_batch_dates"),
        comment="What time a model's predictions in a batch are of, where somebody said so.",
    )
