"""Tables of what running code reports into a batch: profiles of its predictions, and how its service did."""

from __future__ import annotations

import sqlalchemy as sa

from airflow_monitoring_provider.store import columns as col
from airflow_monitoring_provider.store.job_tables import batches, job_definitions, jobs

batch_reports = sa.Table(
    "monitoring_batch_reports",
    col.metadata,
    col.name("batch_id", sa.ForeignKey(batches.c.id), key=True),
    col.name("key", key=True, comment="the reporter's own, so that a report sent twice counts once"),
    col.name("deployment_id"),
    col.name("definition_id", sa.ForeignKey(job_definitions.c.id), comment="says what the columns are"),
    col.name("model_id", null=True),
    col.count("rows"),
    col.count("scored_rows"),
    col.time("earliest", "first timestamp among the rows"),
    col.time("latest"),
    col.name("content_hash"),
    col.count("format_version", "version of the profile's bytes"),
    col.blob("profile", "serialised profile; merge or compare it with the library"),
    col.time("created_at", null=False),
    comment="Predictions that running code reported into a batch, as profiles.",
)

report_logs = sa.Table(
    "monitoring_report_logs",
    col.metadata,
    col.name("batch_id", key=True),
    col.name("key", key=True),
    col.name("deployment_id"),
    col.prose("path", "below the store's storage root", null=False),
    col.count("rows"),
    col.count("bytes"),
    col.name("sha256"),
    col.count("revision", "of the report's profile: one more each time its accuracy is restated"),
    col.flag("due", "actuals came that its accuracy is not made of yet"),
    col.time("updated_at", null=False),
    sa.ForeignKeyConstraint(["batch_id", "key"], [batch_reports.c.batch_id, batch_reports.c.key]),
    comment="Manifest of the predictions of reports, for late actuals: a file that is not listed here is garbage.",
)
sa.Index("ix_monitoring_report_logs_deployment_id", report_logs.c.deployment_id)

report_uses = sa.Table(
    "monitoring_report_uses",
    col.metadata,
    col.name("batch_id", key=True),
    col.name("key", key=True),
    col.name("actuals_job_id", sa.ForeignKey(jobs.c.id), key=True, comment="whose actuals label the report"),
    sa.ForeignKeyConstraint(["batch_id", "key"], [batch_reports.c.batch_id, batch_reports.c.key]),
    comment="Which jobs brought the actuals that a report's accuracy is made of.",
)
sa.Index("ix_monitoring_report_uses_actuals_job_id", report_uses.c.actuals_job_id)

batch_stats = sa.Table(
    "monitoring_batch_stats",
    col.metadata,
    col.name("batch_id", sa.ForeignKey(batches.c.id), key=True),
    col.name("key", key=True, comment="the reporter's own, so that a report sent twice counts once"),
    col.name("deployment_id"),
    col.name("model_id", null=True),
    col.count("predictions"),
    col.count("requests"),
    col.number("execution_time_ms", "of all these requests together, in the model"),
    col.number("response_time_ms", "of all these requests together, as their callers saw it"),
    col.count("user_errors", "requests that were refused (4xx)"),
    col.count("server_errors", "requests that broke (5xx)"),
    col.time("created_at", null=False),
    comment="How the service did that made a batch's predictions, as running code reported it.",
)
