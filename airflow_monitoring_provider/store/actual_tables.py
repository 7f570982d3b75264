"""Tables of actuals that come later than their predictions, and of the jobs whose accuracy they restate."""

from __future__ import annotations

import sqlalchemy as sa

from airflow_monitoring_provider.store import columns as col
from airflow_monitoring_provider.store.job_tables import job_definitions, jobs

actual_files = sa.Table(
    "monitoring_actual_files",
    col.metadata,
    col.name("job_id", sa.ForeignKey(jobs.c.id), key=True),
    col.count("position", key=True),
    col.name("deployment_id"),
    col.name("batch_id"),
    col.count("token", "attempt that wrote the file"),
    col.prose("path", "below the store's storage root", null=False),
    col.count("rows"),
    col.count("bytes"),
    col.name("sha256"),
    col.flag("applied", "every batch it touches has been restated"),
    col.time("created_at", null=False),
    comment="Manifest of the late actuals: a file that is not listed here is garbage.",
)
sa.Index("ix_monitoring_actual_files_deployment_id", actual_files.c.deployment_id)

restatements = sa.Table(
    "monitoring_restatements",
    col.metadata,
    col.name("job_id", sa.ForeignKey(jobs.c.id), key=True, comment="whose predictions are labelled"),
    col.flag("due", "actuals or predictions changed since"),
    col.time("updated_at", null=False),
    comment="Jobs whose accuracy was restated with late actuals, or is to be.",
)

actual_uses = sa.Table(
    "monitoring_actual_uses",
    col.metadata,
    col.name("job_id", sa.ForeignKey(jobs.c.id), key=True, comment="whose predictions are labelled"),
    col.name("actuals_job_id", sa.ForeignKey(jobs.c.id), key=True, comment="whose actuals label them"),
    comment="Which jobs brought the actuals that a job's accuracy is made of.",
)
sa.Index("ix_monitoring_actual_uses_actuals_job_id", actual_uses.c.actuals_job_id)

actual_reports = sa.Table(
    "monitoring_actual_reports",
    col.metadata,
    col.name("definition_id", sa.ForeignKey(job_definitions.c.id), key=True),
    col.name("key", key=True, comment="the reporter's own, so that a report sent twice is one job"),
    col.time("at", "when it was first sent; the start of its job's window", null=False),
    sa.UniqueConstraint("definition_id", "at"),
    comment="Actuals that running code reported: which job each report is.",
)
