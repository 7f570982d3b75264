"""Tables of what watches the results and tells people: monitors, their states, alerts, integrations."""

from __future__ import annotations

import sqlalchemy as sa

from airflow_monitoring_provider.store import columns as col
from airflow_monitoring_provider.store.job_tables import deployments, job_definitions, jobs

monitors = sa.Table(
    "monitoring_monitors",
    col.metadata,
    col.monitor("id", key=True),
    col.name("deployment_id", sa.ForeignKey(deployments.c.id)),
    col.name("definition_id", sa.ForeignKey(job_definitions.c.id), null=True, comment="null: all of the deployment"),
    col.name("origin", comment="definition: made of a definition's thresholds; or api"),
    col.prose("name", null=False),
    col.prose("notes"),
    col.name("metric"),
    col.name("column_name", null=True, comment="null: the whole batch"),
    col.prose("segment_id", "empty: all rows", null=False),
    col.number("warning"),
    col.number("critical"),
    col.flag("enabled"),
    col.time("muted_until"),
    col.json("settings", "operators, windows, filters, downtime, contacts", null=False),
    col.time("created_at", null=False),
    col.name("created_by", null=True),
    col.time("updated_at", null=False),
    col.time("deleted_at"),
    comment="What is watched, and from where on it is worth an alert.",
)
sa.Index("ix_monitoring_monitors_deployment_id", monitors.c.deployment_id)
sa.Index("ix_monitoring_monitors_definition_id", monitors.c.definition_id)

monitor_states = sa.Table(
    "monitoring_monitor_states",
    col.metadata,
    col.monitor("monitor_id", sa.ForeignKey(monitors.c.id), key=True),
    col.name("status", comment="irrelevant no_detection potential_detection detected"),
    col.name("previous_status", null=True),
    col.name("reason", null=True),
    col.number("value"),
    col.time("since", "window in which the status began", null=False),
    col.time("window_start", "newest window that was evaluated; an older one never overwrites the state", null=False),
    col.name("job_id", sa.ForeignKey(jobs.c.id)),
    col.count("snapshot_revision"),
    col.json("details", null=False),
    col.time("updated_at", null=False),
    comment="Where each monitor stands.",
)

alerts = sa.Table(
    "monitoring_alerts",
    col.metadata,
    col.name("key", key=True, comment="stable: the same event has the same key however often it is evaluated"),
    col.name("deployment_id", sa.ForeignKey(deployments.c.id)),
    col.name("definition_id"),
    col.name("job_id", sa.ForeignKey(jobs.c.id)),
    col.monitor("monitor_id", null=True),
    col.name("status", comment="status that caused it"),
    col.prose("title", null=False),
    col.json("payload", null=False),
    col.name("state", comment="pending or delivered"),
    col.count("attempts", "deliveries tried"),
    col.prose("last_error"),
    col.time("created_at", null=False),
    col.time("delivered_at"),
    comment="Outbox: written with the evaluation, delivered at least once with the same key.",
)
sa.Index("ix_monitoring_alerts_state_created_at", alerts.c.state, alerts.c.created_at)
sa.Index("ix_monitoring_alerts_job_id", alerts.c.job_id)

integrations = sa.Table(
    "monitoring_integrations",
    col.metadata,
    col.name("id", key=True),
    col.name("name"),
    col.name("provider", comment="email, slack, webhook, ..."),
    col.name("conn_id", null=True, comment="Airflow connection that holds the address and the secret"),
    col.json("settings", "channel, severity; never a secret", null=False),
    col.time("created_at", null=False),
    col.name("created_by", null=True),
    col.time("updated_at", null=False),
    col.time("deleted_at"),
    comment="Where alerts can go.",
)
