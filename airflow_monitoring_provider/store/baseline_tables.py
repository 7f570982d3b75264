"""Tables of baselines that have a name."""

from __future__ import annotations

import sqlalchemy as sa

from airflow_monitoring_provider.store import columns as col
from airflow_monitoring_provider.store.job_tables import job_definitions

named_baselines = sa.Table(
    "monitoring_named_baselines",
    col.metadata,
    col.name("definition_id", sa.ForeignKey(job_definitions.c.id), key=True),
    col.name("name", key=True),
    col.count("version", "of this name, from 1", key=True),
    col.json("settings", "the baseline of a definition, camelCase", null=False),
    col.prose("description"),
    col.time("created_at", null=False),
    col.name("created_by", null=True),
    comment="Every version of every baseline that was given a name; never changed.",
)

baseline_choices = sa.Table(
    "monitoring_baseline_choices",
    col.metadata,
    col.name("definition_id", sa.ForeignKey(job_definitions.c.id), key=True),
    col.name("name", comment="of a named baseline"),
    col.count("version", "null: the newest", null=True),
    col.time("chosen_at", null=False),
    col.name("chosen_by", null=True),
    comment="Definitions whose jobs are compared with a named baseline instead of their own.",
)
