"""Tables of jobs that several tasks run together."""

from __future__ import annotations

import sqlalchemy as sa

from airflow_monitoring_provider.store import columns as col
from airflow_monitoring_provider.store.job_tables import jobs

part_plans = sa.Table(
    "monitoring_part_plans",
    col.metadata,
    col.name("job_id", sa.ForeignKey(jobs.c.id), key=True),
    col.count("token", "attempt that cut the window", key=True),
    col.count("held_by", "token it holds now"),
    col.count("parts"),
    col.blob("plan", "zlib of JSON: columns, profile plan, parts"),
    col.blob("reference", "serialised profile to compare with"),
    col.time("created_at", null=False),
    comment="How the window of a job was cut, emptied once the job is committed.",
)

parts = sa.Table(
    "monitoring_parts",
    col.metadata,
    col.name("job_id", sa.ForeignKey(jobs.c.id), key=True),
    col.count("token", key=True),
    col.count("part", "from 0, in the order of the rows", key=True),
    col.name("state", comment="waiting running staged failed"),
    col.prose("reason", "why it failed"),
    col.count("scored_rows", "so far"),
    col.count("failed_rows", "so far"),
    col.prose("path", "of the staged file, below the storage root"),
    col.count("bytes", null=True),
    col.count("index_bytes", null=True),
    col.name("sha256", null=True, comment="of the staged file's index"),
    col.time("progress_at", "last sign of life", null=False),
    comment="The parts of running jobs that several tasks run together; gone once the job is committed.",
)
