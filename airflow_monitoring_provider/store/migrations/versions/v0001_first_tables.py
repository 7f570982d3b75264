"""First tables.

Frozen: this file says what version 0001 is, whatever the tables become later.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

NAME = sa.String(255)
MONITOR = sa.String(600)
PROSE = sa.Text()
TIME = sa.DateTime(timezone=True)
COUNT = sa.BigInteger()
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
NUMBER: sa.Double[float] = sa.Double()
FLAG = sa.Boolean()
JSON = sa.JSON()
BLOB = sa.LargeBinary()
LIVE = sa.column("deleted_at").is_(None)


def need(name: str, kind: sa.types.TypeEngine[Any], comment: str | None = None) -> sa.Column[Any]:
    """A column that is never null."""
    return sa.Column(name, kind, nullable=False, autoincrement=kind is SERIAL, comment=comment)


def may(name: str, kind: sa.types.TypeEngine[Any], comment: str | None = None) -> sa.Column[Any]:
    """A column that may be null."""
    return sa.Column(name, kind, nullable=True, comment=comment)


def upgrade() -> None:
    """Make every table, in the order of their foreign keys."""
    _audit()
    _deployments()
    _integrations()
    _job_definitions()
    _baselines()
    _definition_revisions()
    _jobs()
    _monitors()
    _alerts()
    _baseline_versions()
    _batches()
    _job_attempts()
    _job_log()
    _metrics()
    _monitor_states()
    _prediction_files()
    _profiles()
    _snapshots()


def _audit() -> None:
    op.create_table(
        "monitoring_audit",
        need("id", SERIAL),
        need("at", TIME),
        may("actor", NAME),
        need("action", NAME, "verb, e.g. definition.changed, batch.locked"),
        need("entity_id", NAME, "of the definition, job, batch or monitor"),
        may("deployment_id", NAME),
        need("details", JSON),
        sa.PrimaryKeyConstraint("id", name="pk_monitoring_audit"),
        comment="Who changed what; append only.",
    )
    op.create_index("ix_monitoring_audit_entity_id", "monitoring_audit", ["entity_id"])


def _deployments() -> None:
    op.create_table(
        "monitoring_deployments",
        need("id", NAME, "the deploymentId of the definitions"),
        need("label", PROSE, "name shown to people"),
        may("description", PROSE),
        need("status", NAME, "active or inactive"),
        may("importance", NAME),
        may("target_type", NAME, "Binary, Multiclass or Regression"),
        may("model_id", NAME, "model in use"),
        may("model_version", NAME),
        need("batch_monitoring", FLAG, "each job makes a batch"),
        need("settings", JSON, "drift tracking, association id, health ranges, owners, tags"),
        need("created_at", TIME),
        may("created_by", NAME),
        need("updated_at", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_monitoring_deployments"),
        comment="What is monitored: one model in use.",
    )


def _integrations() -> None:
    op.create_table(
        "monitoring_integrations",
        need("id", NAME),
        need("name", NAME),
        need("provider", NAME, "email, slack, webhook, ..."),
        may("conn_id", NAME, "Airflow connection that holds the address and the secret"),
        need("settings", JSON, "channel, severity; never a secret"),
        need("created_at", TIME),
        may("created_by", NAME),
        need("updated_at", TIME),
        may("deleted_at", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_monitoring_integrations"),
        comment="Where alerts can go.",
    )


def _job_definitions() -> None:
    op.create_table(
        "monitoring_job_definitions",
        need("id", NAME, "immutable; windows are claimed by it"),
        need("deployment_id", NAME),
        need("name", NAME, "unique among definitions that are not deleted"),
        need("enabled", FLAG, "scheduled"),
        need("revision", COUNT, "current revision, from 1"),
        need("digest", NAME, "SHA-256 of the current content"),
        need("origin", NAME, "dag or api"),
        may("dag_id", NAME),
        need("baseline_version", COUNT, "highest version given to a baseline of this definition"),
        need("created_at", TIME),
        may("created_by", NAME),
        need("updated_at", TIME),
        may("updated_by", NAME),
        may("deleted_at", TIME, "past jobs stay when a definition is deleted"),
        sa.PrimaryKeyConstraint("id", name="pk_monitoring_job_definitions"),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["monitoring_deployments.id"], name="fk_monitoring_job_definitions_deployment_id"
        ),
        comment="What to monitor and when; the content is in monitoring_definition_revisions.",
    )
    op.create_index("ix_monitoring_job_definitions_deployment_id", "monitoring_job_definitions", ["deployment_id"])
    op.create_index(
        "uq_monitoring_job_definitions_name",
        "monitoring_job_definitions",
        ["name"],
        unique=True,
        postgresql_where=LIVE,
        sqlite_where=LIVE,
    )


def _baselines() -> None:
    op.create_table(
        "monitoring_baselines",
        need("definition_id", NAME),
        need("key", NAME, "hash of all that makes the baseline: intake, features, format"),
        need("kind", NAME, "reference or first_window"),
        need("state", NAME, "running completed failed: of the newest attempt"),
        need("token", COUNT, "fencing token of the newest attempt"),
        may("reason", PROSE),
        may("version", COUNT, "committed version in use"),
        may("dag_id", NAME),
        may("run_id", NAME),
        may("task_id", NAME),
        may("try_number", COUNT),
        may("map_index", COUNT),
        need("started_at", TIME),
        may("finished_at", TIME),
        sa.PrimaryKeyConstraint("definition_id", "key", name="pk_monitoring_baselines"),
        sa.ForeignKeyConstraint(
            ["definition_id"], ["monitoring_job_definitions.id"], name="fk_monitoring_baselines_definition_id"
        ),
        comment="One line of attempts per baseline; what they made is in monitoring_baseline_versions.",
    )


def _definition_revisions() -> None:
    op.create_table(
        "monitoring_definition_revisions",
        need("definition_id", NAME),
        need("revision", COUNT),
        need("digest", NAME, "SHA-256 of the content"),
        need("format_version", COUNT, "version of the payload's format"),
        need("payload", JSON, "the definition, camelCase"),
        need("origin", NAME, "dag or api"),
        may("dag_id", NAME),
        need("created_at", TIME),
        may("created_by", NAME),
        sa.PrimaryKeyConstraint("definition_id", "revision", name="pk_monitoring_definition_revisions"),
        sa.ForeignKeyConstraint(
            ["definition_id"],
            ["monitoring_job_definitions.id"],
            name="fk_monitoring_definition_revisions_definition_id",
        ),
        comment="Every content a definition ever had; a job pins the one it ran with.",
    )


def _jobs() -> None:
    op.create_table(
        "monitoring_jobs",
        need("id", NAME, "made of definition id and window; also in the output as monitoring_job_id"),
        need("definition_id", NAME),
        need("definition_revision", COUNT, "revision pinned by the newest attempt"),
        need("deployment_id", NAME),
        need("batch_id", NAME, "in monitoring_batches"),
        need("window_key", NAME, "text form of the window; one job per definition and window"),
        need("window_start", TIME, "inclusive; a label only where the job reads the whole table"),
        need("window_end", TIME, "exclusive; a label only where the job reads the whole table"),
        need("window_kind", NAME, "scheduled or ad_hoc; ad hoc jobs stay out of health and roll-ups"),
        need("origin", NAME, "dag, api or script: what started the newest attempt"),
        may("model_id", NAME),
        may("model_version", NAME),
        need("environment", NAME, "production, or what the caller named"),
        need("state", NAME, "claimed running completed aborted failed superseded: of the newest attempt"),
        need("token", COUNT, "fencing token of the newest attempt, from 1"),
        may("reason", PROSE, "why the newest attempt did not complete"),
        need("percent", NUMBER, "0 to 100, of the newest attempt"),
        need("scored_rows", COUNT, "newest attempt so far"),
        need("failed_rows", COUNT, "newest attempt so far"),
        need("skipped_rows", COUNT, "newest attempt so far"),
        need("abort_requested", FLAG, "polled by the running attempt"),
        may("abort_requested_by", NAME),
        may("dag_id", NAME),
        may("run_id", NAME),
        may("task_id", NAME),
        may("try_number", COUNT),
        may("map_index", COUNT),
        need("created_at", TIME, "first claim"),
        need("started_at", TIME, "newest claim"),
        need("progress_at", TIME, "last sign of life of the newest attempt"),
        may("finished_at", TIME),
        need("snapshot_revision", COUNT, "0 until the first commit; +1 with each change of results"),
        may("committed_token", COUNT, "token of the attempt whose snapshot is shown"),
        may("committed_at", TIME),
        need("evaluation_due", FLAG, "results wait for their statuses"),
        may("evaluated_at", TIME),
        may("overall_status", NAME, "worst status of the evaluated results"),
        need("results_deleted", FLAG, "the batch was deleted, and the results with it"),
        sa.PrimaryKeyConstraint("id", name="pk_monitoring_jobs"),
        sa.ForeignKeyConstraint(
            ["definition_id"], ["monitoring_job_definitions.id"], name="fk_monitoring_jobs_definition_id"
        ),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["monitoring_deployments.id"], name="fk_monitoring_jobs_deployment_id"
        ),
        comment="One run of a definition over one window: its newest attempt, and which snapshot is committed.",
    )
    op.create_index("ix_monitoring_jobs_batch_id", "monitoring_jobs", ["batch_id"])
    op.create_index(
        "ix_monitoring_jobs_definition_id_window_start", "monitoring_jobs", ["definition_id", "window_start"]
    )
    op.create_index("ix_monitoring_jobs_deployment_id_created_at", "monitoring_jobs", ["deployment_id", "created_at"])
    op.create_index("ix_monitoring_jobs_state", "monitoring_jobs", ["state"])


def _monitors() -> None:
    op.create_table(
        "monitoring_monitors",
        need("id", MONITOR),
        need("deployment_id", NAME),
        may("definition_id", NAME, "null: all of the deployment"),
        need("origin", NAME, "definition: made of a definition's thresholds; or api"),
        need("name", PROSE),
        may("notes", PROSE),
        need("metric", NAME),
        may("column_name", NAME, "null: the whole batch"),
        need("segment_id", PROSE, "empty: all rows"),
        may("warning", NUMBER),
        may("critical", NUMBER),
        need("enabled", FLAG),
        may("muted_until", TIME),
        need("settings", JSON, "operators, windows, filters, downtime, contacts"),
        need("created_at", TIME),
        may("created_by", NAME),
        need("updated_at", TIME),
        may("deleted_at", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_monitoring_monitors"),
        sa.ForeignKeyConstraint(
            ["definition_id"], ["monitoring_job_definitions.id"], name="fk_monitoring_monitors_definition_id"
        ),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["monitoring_deployments.id"], name="fk_monitoring_monitors_deployment_id"
        ),
        comment="What is watched, and from where on it is worth an alert.",
    )
    op.create_index("ix_monitoring_monitors_definition_id", "monitoring_monitors", ["definition_id"])
    op.create_index("ix_monitoring_monitors_deployment_id", "monitoring_monitors", ["deployment_id"])


def _alerts() -> None:
    op.create_table(
        "monitoring_alerts",
        need("key", NAME, "stable: the same event has the same key however often it is evaluated"),
        need("deployment_id", NAME),
        need("definition_id", NAME),
        need("job_id", NAME),
        may("monitor_id", MONITOR),
        need("status", NAME, "status that caused it"),
        need("title", PROSE),
        need("payload", JSON),
        need("state", NAME, "pending or delivered"),
        need("attempts", COUNT, "deliveries tried"),
        may("last_error", PROSE),
        need("created_at", TIME),
        may("delivered_at", TIME),
        sa.PrimaryKeyConstraint("key", name="pk_monitoring_alerts"),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["monitoring_deployments.id"], name="fk_monitoring_alerts_deployment_id"
        ),
        sa.ForeignKeyConstraint(["job_id"], ["monitoring_jobs.id"], name="fk_monitoring_alerts_job_id"),
        comment="Outbox: written with the evaluation, delivered at least once with the same key.",
    )
    op.create_index("ix_monitoring_alerts_job_id", "monitoring_alerts", ["job_id"])
    op.create_index("ix_monitoring_alerts_state_created_at", "monitoring_alerts", ["state", "created_at"])


def _baseline_versions() -> None:
    op.create_table(
        "monitoring_baseline_versions",
        need("definition_id", NAME),
        need("version", COUNT, "counts all baselines of the definition"),
        need("key", NAME),
        need("kind", NAME, "reference or first_window"),
        need("token", COUNT),
        may("job_id", NAME, "job whose window became the baseline (first_window)"),
        may("window_start", TIME),
        may("window_end", TIME),
        need("content_hash", NAME),
        need("plan_hash", NAME),
        need("plan", JSON, "what the profile holds; frozen for every job that compares with it"),
        need("format_version", COUNT),
        need("rows", COUNT),
        need("profile", BLOB),
        need("details", JSON),
        need("created_at", TIME),
        sa.PrimaryKeyConstraint("definition_id", "version", name="pk_monitoring_baseline_versions"),
        sa.ForeignKeyConstraint(
            ["definition_id", "key"],
            ["monitoring_baselines.definition_id", "monitoring_baselines.key"],
            name="fk_monitoring_baseline_versions_definition_id_key",
        ),
        comment="Every baseline that was ever committed; never changed.",
    )


def _batches() -> None:
    op.create_table(
        "monitoring_batches",
        need("id", NAME),
        need("deployment_id", NAME),
        may("job_id", NAME, "null where a person made the batch"),
        need("name", NAME),
        may("description", PROSE),
        may("external_url", PROSE),
        need("locked", FLAG, "takes no more predictions"),
        may("deleted_at", TIME, "tombstone: results are gone, late commits are refused"),
        need("predictions", COUNT),
        may("earliest_prediction", TIME),
        may("latest_prediction", TIME),
        need("created_at", TIME),
        may("created_by", NAME),
        need("updated_at", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_monitoring_batches"),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["monitoring_deployments.id"], name="fk_monitoring_batches_deployment_id"
        ),
        sa.ForeignKeyConstraint(["job_id"], ["monitoring_jobs.id"], name="fk_monitoring_batches_job_id"),
        sa.UniqueConstraint("job_id", name="uq_monitoring_batches_job_id"),
        comment="Predictions that belong together: one batch per job, or one that a person made.",
    )
    op.create_index(
        "ix_monitoring_batches_deployment_id_created_at", "monitoring_batches", ["deployment_id", "created_at"]
    )


def _job_attempts() -> None:
    op.create_table(
        "monitoring_job_attempts",
        need("job_id", NAME),
        need("token", COUNT),
        need("definition_revision", COUNT),
        need("state", NAME, "running completed aborted failed superseded"),
        may("reason", PROSE),
        may("dag_id", NAME),
        may("run_id", NAME),
        may("task_id", NAME),
        may("try_number", COUNT),
        may("map_index", COUNT),
        need("started_at", TIME),
        may("finished_at", TIME),
        sa.PrimaryKeyConstraint("job_id", "token", name="pk_monitoring_job_attempts"),
        sa.ForeignKeyConstraint(["job_id"], ["monitoring_jobs.id"], name="fk_monitoring_job_attempts_job_id"),
        comment="Every attempt at a job, never overwritten by the next one.",
    )


def _job_log() -> None:
    op.create_table(
        "monitoring_job_log",
        need("id", SERIAL),
        need("job_id", NAME),
        need("token", COUNT, "attempt that wrote the line"),
        need("at", TIME),
        need("line", PROSE),
        sa.PrimaryKeyConstraint("id", name="pk_monitoring_job_log"),
        sa.ForeignKeyConstraint(["job_id"], ["monitoring_jobs.id"], name="fk_monitoring_job_log_job_id"),
        comment="What jobs reported while they ran; order by token, then id.",
    )
    op.create_index("ix_monitoring_job_log_job_id_token_id", "monitoring_job_log", ["job_id", "token", "id"])


def _metrics() -> None:
    op.create_table(
        "monitoring_metrics",
        need("job_id", NAME),
        need("position", COUNT, "order of the results within the job"),
        need("definition_id", NAME),
        need("deployment_id", NAME),
        need("window_start", TIME, "as in monitoring_jobs; the time axis of charts"),
        need("window_end", TIME),
        need("window_kind", NAME),
        may("model_id", NAME),
        need("environment", NAME),
        need("snapshot_revision", COUNT),
        need("name", NAME, "metric, e.g. psi"),
        need("kind", NAME, "data_drift concept_drift model_performance system_performance data_quality"),
        may("column_name", NAME, "null: the whole batch"),
        need("segment_id", PROSE, "empty: all rows"),
        need("direction", NAME, "which way is worse"),
        may("value", NUMBER, "null where reason says why"),
        may("reason", NAME, "why there is no value, or why it needs care"),
        may("n", COUNT, "baseline rows behind the value"),
        may("m", COUNT, "current rows behind the value"),
        may("p_value", NUMBER),
        may("adjusted_p_value", NUMBER, "after the correction for many columns"),
        may("critical_value", NUMBER, "where chance alone would put the value"),
        need("is_primary", FLAG, "decides its column's verdict"),
        may("missing_reference", NUMBER, "share of missing values in the baseline"),
        may("missing_current", NUMBER, "share of missing values in the rows"),
        may("low", NUMBER, "95 % interval"),
        may("high", NUMBER, "95 % interval"),
        may("binning", PROSE),
        may("precision", JSON),
        need("details", JSON),
        may("status", NAME, "irrelevant no_detection potential_detection detected; null: not evaluated"),
        may("status_reason", NAME),
        may("warning", NUMBER, "threshold the status was decided with"),
        may("critical", NUMBER, "threshold the status was decided with"),
        may("evaluated_at", TIME),
        sa.PrimaryKeyConstraint("job_id", "position", name="pk_monitoring_metrics"),
        sa.ForeignKeyConstraint(["job_id"], ["monitoring_jobs.id"], name="fk_monitoring_metrics_job_id"),
        comment="Results in long form: one row per metric, column and segment of a committed job.",
    )
    op.create_index(
        "ix_monitoring_metrics_series", "monitoring_metrics", ["deployment_id", "name", "column_name", "window_start"]
    )


def _monitor_states() -> None:
    op.create_table(
        "monitoring_monitor_states",
        need("monitor_id", MONITOR),
        need("status", NAME, "irrelevant no_detection potential_detection detected"),
        may("previous_status", NAME),
        may("reason", NAME),
        may("value", NUMBER),
        need("since", TIME, "window in which the status began"),
        need("window_start", TIME, "newest window that was evaluated; an older one never overwrites the state"),
        need("job_id", NAME),
        need("snapshot_revision", COUNT),
        need("details", JSON),
        need("updated_at", TIME),
        sa.PrimaryKeyConstraint("monitor_id", name="pk_monitoring_monitor_states"),
        sa.ForeignKeyConstraint(["job_id"], ["monitoring_jobs.id"], name="fk_monitoring_monitor_states_job_id"),
        sa.ForeignKeyConstraint(
            ["monitor_id"], ["monitoring_monitors.id"], name="fk_monitoring_monitor_states_monitor_id"
        ),
        comment="Where each monitor stands.",
    )


def _prediction_files() -> None:
    op.create_table(
        "monitoring_prediction_files",
        need("job_id", NAME),
        need("position", COUNT),
        need("deployment_id", NAME),
        need("batch_id", NAME),
        need("token", COUNT, "attempt that wrote the file"),
        need("path", PROSE, "below the store's storage root"),
        need("rows", COUNT),
        need("bytes", COUNT),
        need("sha256", NAME),
        need("created_at", TIME),
        sa.PrimaryKeyConstraint("job_id", "position", name="pk_monitoring_prediction_files"),
        sa.ForeignKeyConstraint(["job_id"], ["monitoring_jobs.id"], name="fk_monitoring_prediction_files_job_id"),
        comment="Manifest of the prediction log: a file that is not listed here is garbage.",
    )
    op.create_index("ix_monitoring_prediction_files_batch_id", "monitoring_prediction_files", ["batch_id"])


def _profiles() -> None:
    op.create_table(
        "monitoring_profiles",
        need("job_id", NAME),
        need("segment_id", NAME, "empty: all rows"),
        need("content_hash", NAME),
        need("format_version", COUNT),
        need("profile", BLOB, "serialised profile; merge or compare it with the library"),
        sa.PrimaryKeyConstraint("job_id", "segment_id", name="pk_monitoring_profiles"),
        sa.ForeignKeyConstraint(["job_id"], ["monitoring_jobs.id"], name="fk_monitoring_profiles_job_id"),
        comment="The profiles of committed jobs.",
    )


def _snapshots() -> None:
    op.create_table(
        "monitoring_snapshots",
        need("job_id", NAME),
        need("revision", COUNT, "equals monitoring_jobs.snapshot_revision"),
        need("token", COUNT, "attempt that committed it"),
        need("definition_revision", COUNT),
        may("model_id", NAME),
        may("model_version", NAME),
        need("environment", NAME),
        need("content_hash", NAME, "SHA-256 of the profile's exact parts"),
        need("plan_hash", NAME),
        need("format_version", COUNT, "version of the profile's bytes"),
        need("rows", COUNT, "rows read"),
        need("scored_rows", COUNT),
        need("failed_rows", COUNT),
        need("skipped_rows", COUNT),
        need("null_timestamps", COUNT, "rows that belong to no window"),
        need("status_counts", JSON, "row status -> rows"),
        may("earliest", TIME, "first timestamp among the rows"),
        may("latest", TIME),
        may("baseline_version", COUNT, "baseline the results compare with; null: compared with none yet"),
        need("details", JSON),
        need("committed_at", TIME),
        sa.PrimaryKeyConstraint("job_id", name="pk_monitoring_snapshots"),
        sa.ForeignKeyConstraint(["job_id"], ["monitoring_jobs.id"], name="fk_monitoring_snapshots_job_id"),
        comment="One committed snapshot per job: the facts that charts and lists need.",
    )
