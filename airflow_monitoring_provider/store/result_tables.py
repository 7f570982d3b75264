"""Tables of what committed jobs found: snapshots, profiles, metrics, prediction files, baselines."""

from __future__ import annotations

import sqlalchemy as sa

from airflow_monitoring_provider.store import columns as col
from airflow_monitoring_provider.store.job_tables import job_definitions, jobs

ALL_ROWS = ""
"""The ``segment_id`` of results and profiles of all rows."""

MADE_BY_EVALUATION = 1_000_000_000
"""From this ``position`` on a job's results are of values that its evaluation made of the others."""

snapshots = sa.Table(
    "monitoring_snapshots",
    col.metadata,
    col.name("job_id", sa.ForeignKey(jobs.c.id), key=True),
    col.count("revision", "equals monitoring_jobs.snapshot_revision"),
    col.count("token", "attempt that committed it"),
    col.count("definition_revision"),
    col.name("model_id", null=True),
    col.name("model_version", null=True),
    col.name("environment"),
    col.name("content_hash", comment="SHA-256 of the profile's exact parts"),
    col.name("plan_hash"),
    col.count("format_version", "version of the profile's bytes"),
    col.count("rows", "rows read"),
    col.count("scored_rows"),
    col.count("failed_rows"),
    col.count("skipped_rows"),
    col.count("null_timestamps", "rows that belong to no window"),
    col.json("status_counts", "row status -> rows", null=False),
    col.time("earliest", "first timestamp among the rows"),
    col.time("latest"),
    col.count("baseline_version", "baseline the results compare with; null: compared with none yet", null=True),
    col.json("details", null=False),
    col.time("committed_at", null=False),
    col.name(
        "baseline_key",
        null=True,
        comment="of that version in monitoring_baselines; null: the first window, or none yet",
    ),
    comment="One committed snapshot per job: the facts that charts and lists need.",
)

profiles = sa.Table(
    "monitoring_profiles",
    col.metadata,
    col.name("job_id", sa.ForeignKey(jobs.c.id), key=True),
    col.name("segment_id", key=True, comment="empty: all rows"),
    col.name("content_hash"),
    col.count("format_version"),
    col.blob("profile", "serialised profile; merge or compare it with the library"),
    comment="The profiles of committed jobs.",
)

metrics = sa.Table(
    "monitoring_metrics",
    col.metadata,
    col.name("job_id", sa.ForeignKey(jobs.c.id), key=True),
    col.count("position", "order of the results within the job", key=True),
    col.name("definition_id"),
    col.name("deployment_id"),
    col.time("window_start", "as in monitoring_jobs; the time axis of charts", null=False),
    col.time("window_end", null=False),
    col.name("window_kind"),
    col.name("model_id", null=True),
    col.name("environment"),
    col.count("snapshot_revision"),
    col.name("name", comment="metric, e.g. psi"),
    col.name("kind", comment="data_drift concept_drift model_performance system_performance data_quality"),
    col.name("column_name", null=True, comment="null: the whole batch"),
    col.prose("segment_id", "empty: all rows", null=False),
    col.name("direction", comment="which way is worse"),
    col.number("value", "null where reason says why"),
    col.name("reason", null=True, comment="why there is no value, or why it needs care"),
    col.count("n", "baseline rows behind the value", null=True),
    col.count("m", "current rows behind the value", null=True),
    col.number("p_value"),
    col.number("adjusted_p_value", "after the correction for many columns"),
    col.number("critical_value", "where chance alone would put the value"),
    col.flag("is_primary", "decides its column's verdict"),
    col.number("missing_reference", "share of missing values in the baseline"),
    col.number("missing_current", "share of missing values in the rows"),
    col.number("low", "95 % interval"),
    col.number("high", "95 % interval"),
    col.prose("binning"),
    col.json("precision"),
    col.json("details", null=False),
    col.name("status", null=True, comment="irrelevant no_detection potential_detection detected; null: not evaluated"),
    col.name("status_reason", null=True),
    col.number("warning", "threshold the status was decided with"),
    col.number("critical", "threshold the status was decided with"),
    col.time("evaluated_at"),
    comment="Results in long form: one row per metric, column and segment of a committed job.",
)
sa.Index(
    "ix_monitoring_metrics_series",
    metrics.c.deployment_id,
    metrics.c.name,
    metrics.c.column_name,
    metrics.c.window_start,
)

prediction_files = sa.Table(
    "monitoring_prediction_files",
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
    col.time("created_at", null=False),
    comment="Manifest of the prediction log: a file that is not listed here is garbage.",
)
sa.Index("ix_monitoring_prediction_files_batch_id", prediction_files.c.batch_id)

retained_files = sa.Table(
    "monitoring_retained_files",
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
    col.time("created_at", null=False),
    comment="Manifest of the retained rows: a file that is not listed here is garbage.",
)
sa.Index("ix_monitoring_retained_files_batch_id", retained_files.c.batch_id)

baselines = sa.Table(
    "monitoring_baselines",
    col.metadata,
    col.name("definition_id", sa.ForeignKey(job_definitions.c.id), key=True),
    col.name("key", key=True, comment="hash of all that makes the baseline: intake, features, format"),
    col.name("kind", comment="reference or first_window"),
    col.name("state", comment="running completed failed: of the newest attempt"),
    col.count("token", "fencing token of the newest attempt"),
    col.prose("reason"),
    col.count("version", "committed version in use", null=True),
    col.name("dag_id", null=True),
    col.name("run_id", null=True),
    col.name("task_id", null=True),
    col.count("try_number", null=True),
    col.count("map_index", null=True),
    col.time("started_at", null=False),
    col.time("finished_at"),
    comment="One line of attempts per baseline; what they made is in monitoring_baseline_versions.",
)

baseline_versions = sa.Table(
    "monitoring_baseline_versions",
    col.metadata,
    col.name("definition_id", key=True),
    col.count("version", "counts all baselines of the definition", key=True),
    col.name("key"),
    col.name("kind", comment="reference or first_window"),
    col.count("token"),
    col.name("job_id", null=True, comment="job whose window became the baseline (first_window)"),
    col.time("window_start"),
    col.time("window_end"),
    col.name("content_hash"),
    col.name("plan_hash"),
    col.json("plan", "what the profile holds; frozen for every job that compares with it", null=False),
    col.count("format_version"),
    col.count("rows"),
    col.blob("profile"),
    col.json("details", null=False),
    col.time("created_at", null=False),
    sa.ForeignKeyConstraint(["definition_id", "key"], [baselines.c.definition_id, baselines.c.key]),
    comment="Every baseline that was ever committed; never changed.",
)
