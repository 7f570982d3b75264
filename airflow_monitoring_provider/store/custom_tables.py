"""Tables of the user's own metrics: what they are, and the values that are reported from outside.

Values that jobs compute are results like all others, in ``monitoring_metrics``.
"""

from __future__ import annotations

import sqlalchemy as sa

from airflow_monitoring_provider.store import columns as col
from airflow_monitoring_provider.store.job_tables import batches, deployments

custom_metrics = sa.Table(
    "monitoring_custom_metrics",
    col.metadata,
    col.name("deployment_id", sa.ForeignKey(deployments.c.id), key=True),
    col.name("id", key=True, comment="name of its results in monitoring_metrics"),
    col.name("definition_id", null=True, comment="definition that described it last; null: made by hand"),
    col.name("type", comment="sum average gauge categorical"),
    col.name("directionality", comment="higher_is_better lower_is_better"),
    col.name("source", comment="sql profile rows reported"),
    col.json("payload", "all that is said of it", null=False),
    col.time("created_at", null=False),
    col.name("created_by", null=True),
    col.time("updated_at", null=False),
    comment="Metrics of the user's own.",
)

custom_values = sa.Table(
    "monitoring_custom_values",
    col.metadata,
    col.name("deployment_id", key=True),
    col.name("metric_id", key=True),
    col.name("key", key=True, comment="the reporter's own, or the association id; a value sent twice counts once"),
    col.name("batch_id", sa.ForeignKey(batches.c.id), null=True),
    col.time("measured_at", null=False),
    col.number("value", "null for a categorical metric"),
    col.name("category", null=True),
    col.count("sample_count", "samples behind the value"),
    col.name("association_id", null=True, comment="the prediction it belongs to"),
    col.name("model_id", null=True),
    col.time("created_at", null=False),
    sa.ForeignKeyConstraint(["deployment_id", "metric_id"], [custom_metrics.c.deployment_id, custom_metrics.c.id]),
    comment="Values of the user's own metrics that were reported from outside.",
)
sa.Index(
    "ix_monitoring_custom_values_series",
    custom_values.c.deployment_id,
    custom_values.c.metric_id,
    custom_values.c.measured_at,
)
sa.Index("ix_monitoring_custom_values_batch_id", custom_values.c.batch_id)
