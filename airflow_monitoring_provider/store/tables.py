"""The tables: documented, and meant to be queried by others (Grafana, SQL).

Readers may rely on this: rows of ``monitoring_snapshots``, ``monitoring_profiles`` and ``monitoring_metrics`` exist
for committed jobs only and change in one transaction; ``monitoring_jobs`` shows the newest attempt, which may be
running. All timestamps are instants; SQLite holds them as UTC text. What a column means is in its comment, which
PostgreSQL keeps too. Migrations build the tables; a test holds both equal.
"""

from __future__ import annotations

from airflow_monitoring_provider.store.actual_tables import actual_files, actual_reports, actual_uses, restatements
from airflow_monitoring_provider.store.baseline_tables import baseline_choices, named_baselines
from airflow_monitoring_provider.store.columns import metadata
from airflow_monitoring_provider.store.custom_tables import custom_metrics, custom_values
from airflow_monitoring_provider.store.job_tables import (
    audit,
    batch_dates,
    batches,
    definition_revisions,
    deployment_models,
    deployments,
    job_attempts,
    job_definitions,
    job_log,
    jobs,
    stores,
)
from airflow_monitoring_provider.store.monitor_tables import alerts, integrations, monitor_states, monitors
from airflow_monitoring_provider.store.part_tables import part_plans, parts
from airflow_monitoring_provider.store.report_tables import batch_reports, batch_stats, report_logs, report_uses
from airflow_monitoring_provider.store.result_tables import (
    ALL_ROWS,
    MADE_BY_EVALUATION,
    baseline_versions,
    baselines,
    metrics,
    prediction_files,
    profiles,
    retained_files,
    snapshots,
)

__all__ = [
    "ALL_ROWS",
    "MADE_BY_EVALUATION",
    "actual_files",
    "actual_reports",
    "actual_uses",
    "alerts",
    "audit",
    "baseline_choices",
    "baseline_versions",
    "baselines",
    "batch_dates",
    "batch_reports",
    "batch_stats",
    "batches",
    "custom_metrics",
    "custom_values",
    "definition_revisions",
    "deployment_models",
    "deployments",
    "integrations",
    "job_attempts",
    "job_definitions",
    "job_log",
    "jobs",
    "metadata",
    "metrics",
    "monitor_states",
    "monitors",
    "named_baselines",
    "part_plans",
    "parts",
    "prediction_files",
    "profiles",
    "report_logs",
    "report_uses",
    "restatements",
    "retained_files",
    "snapshots",
    "stores",
]
