"""An id of the store's own, which outputs remember beside the token of the attempt that wrote them.

Frozen: this file says what version 0002 is, whatever the tables become later.
"""

from __future__ import annotations

import datetime as dt
import uuid

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, and give this database its id."""
    made = op.create_table(
        "monitoring_stores",
        sa.Column("id", sa.String(255), nullable=False, comment="random; in the markers of outputs"),
        sa.Column("own", sa.Boolean(), nullable=False, comment="this store; the others are those it continues"),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("added_by", sa.String(255), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_monitoring_stores"),
        comment="Which store this is, and which lost ones it continues.",
    )
    now = dt.datetime.now(dt.UTC)
    added_at = now.replace(tzinfo=None) if op.get_bind().dialect.name == "sqlite" else now
    op.bulk_insert(made, [{"id": uuid.uuid4().hex, "own": True, "added_at": added_at, "added_by": None}])
