"""Tables of what is monitored and of the jobs that do it: definitions, jobs, attempts, batches, audit."""

from __future__ import annotations

import sqlalchemy as sa

from airflow_monitoring_provider.store import columns as col

deployments = sa.Table(
    "monitoring_deployments",
    col.metadata,
    col.name("id", key=True, comment="the deploymentId of the definitions"),
    col.prose("label", "name shown to people", null=False),
    col.prose("description"),
    col.name("status", comment="active or inactive"),
    col.name("importance", null=True),
    col.name("target_type", null=True, comment="Binary, Multiclass or Regression"),
    col.name("model_id", null=True, comment="model in use"),
    col.name("model_version", null=True),
    col.flag("batch_monitoring", "each job makes a batch"),
    col.json("settings", "drift tracking, association id, health ranges, owners, tags", null=False),
    col.time("created_at", null=False),
    col.name("created_by", null=True),
    col.time("updated_at", null=False),
    comment="What is monitored: one model in use.",
)

deployment_models = sa.Table(
    "monitoring_deployment_models",
    col.metadata,
    col.name("deployment_id", sa.ForeignKey(deployments.c.id), key=True),
    col.count("number", "from 1, in the order in which the models were put in use", key=True),
    col.name("model_id"),
    col.name("model_version", null=True),
    col.time("start_time", "inclusive; may be moved to where historical data begins", null=False),
    col.time("end_time", "exclusive; null: still in use"),
    col.time("created_at", null=False),
    col.time("updated_at", null=False),
    comment="Which model a deployment had in use, and when.",
)

job_definitions = sa.Table(
    "monitoring_job_definitions",
    col.metadata,
    col.name("id", key=True, comment="immutable; windows are claimed by it"),
    col.name("deployment_id", sa.ForeignKey(deployments.c.id)),
    col.name("name", comment="unique among definitions that are not deleted"),
    col.flag("enabled", "scheduled"),
    col.count("revision", "current revision, from 1"),
    col.name("digest", comment="SHA-256 of the current content"),
    col.name("origin", comment="dag or api"),
    col.name("dag_id", null=True),
    col.count("baseline_version", "highest version given to a baseline of this definition"),
    col.time("created_at", null=False),
    col.name("created_by", null=True),
    col.time("updated_at", null=False),
    col.name("updated_by", null=True),
    col.time("deleted_at", "past jobs stay when a definition is deleted"),
    comment="What to monitor and when; the content is in monitoring_definition_revisions.",
)
sa.Index("ix_monitoring_job_definitions_deployment_id", job_definitions.c.deployment_id)
sa.Index(
    "uq_monitoring_job_definitions_name",
    job_definitions.c.name,
    unique=True,
    postgresql_where=job_definitions.c.deleted_at.is_(None),
    sqlite_where=job_definitions.c.deleted_at.is_(None),
)

definition_revisions = sa.Table(
    "monitoring_definition_revisions",
    col.metadata,
    col.name("definition_id", sa.ForeignKey(job_definitions.c.id), key=True),
    col.count("revision", key=True),
    col.name("digest", comment="SHA-256 of the content"),
    col.count("format_version", "version of the payload's format"),
    col.json("payload", "the definition, camelCase", null=False),
    col.name("origin", comment="dag or api"),
    col.name("dag_id", null=True),
    col.time("created_at", null=False),
    col.name("created_by", null=True),
    comment="Every content a definition ever had; a job pins the one it ran with.",
)

stores = sa.Table(
    "monitoring_stores",
    col.metadata,
    col.name("id", key=True, comment="random; in the markers of outputs"),
    col.flag("own", "this store; the others are those it continues"),
    col.time("added_at", null=False),
    col.name("added_by", null=True),
    comment="Which store this is, and which lost ones it continues.",
)

jobs = sa.Table(
    "monitoring_jobs",
    col.metadata,
    col.name("id", key=True, comment="made of definition id and window; also in the output as monitoring_job_id"),
    col.name("definition_id", sa.ForeignKey(job_definitions.c.id)),
    col.count("definition_revision", "revision pinned by the newest attempt"),
    col.name("deployment_id", sa.ForeignKey(deployments.c.id)),
    col.name("batch_id", comment="in monitoring_batches"),
    col.name("window_key", comment="text form of the window; one job per definition and window"),
    col.time("window_start", "inclusive; a label only where the job reads the whole table", null=False),
    col.time("window_end", "exclusive; a label only where the job reads the whole table", null=False),
    col.name("window_kind", comment="scheduled or ad_hoc; ad hoc jobs stay out of health and roll-ups"),
    col.name("origin", comment="dag, api or script: what started the newest attempt"),
    col.name("model_id", null=True),
    col.name("model_version", null=True),
    col.name("environment", comment="production, or what the caller named"),
    col.name("state", comment="claimed running completed aborted failed superseded: of the newest attempt"),
    col.count("token", "fencing token of the newest attempt, from 1"),
    col.prose("reason", "why the newest attempt did not complete"),
    col.number("percent", "0 to 100, of the newest attempt", null=False),
    col.count("scored_rows", "newest attempt so far"),
    col.count("failed_rows", "newest attempt so far"),
    col.count("skipped_rows", "newest attempt so far"),
    col.flag("abort_requested", "polled by the running attempt"),
    col.name("abort_requested_by", null=True),
    col.name("dag_id", null=True),
    col.name("run_id", null=True),
    col.name("task_id", null=True),
    col.count("try_number", null=True),
    col.count("map_index", null=True),
    col.time("created_at", "first claim", null=False),
    col.time("started_at", "newest claim", null=False),
    col.time("progress_at", "last sign of life of the newest attempt", null=False),
    col.time("finished_at"),
    col.count("snapshot_revision", "0 until the first commit; +1 with each change of results"),
    col.count("committed_token", "token of the attempt whose snapshot is shown", null=True),
    col.time("committed_at"),
    col.flag("evaluation_due", "results wait for their statuses"),
    col.time("evaluated_at"),
    col.name("overall_status", null=True, comment="worst status of the evaluated results"),
    col.flag("results_deleted", "the batch was deleted, and the results with it"),
    # No second unique key on (definition_id, window_key): the id is made of just these two, and an upsert of PostgreSQL
    # that meets a second unique key fails instead of updating.
    comment="One run of a definition over one window: its newest attempt, and which snapshot is committed.",
)
sa.Index("ix_monitoring_jobs_definition_id_window_start", jobs.c.definition_id, jobs.c.window_start)
sa.Index("ix_monitoring_jobs_deployment_id_created_at", jobs.c.deployment_id, jobs.c.created_at)
sa.Index("ix_monitoring_jobs_state", jobs.c.state)
sa.Index("ix_monitoring_jobs_batch_id", jobs.c.batch_id)

job_attempts = sa.Table(
    "monitoring_job_attempts",
    col.metadata,
    col.name("job_id", sa.ForeignKey(jobs.c.id), key=True),
    col.count("token", key=True),
    col.count("definition_revision"),
    col.name("state", comment="running completed aborted failed superseded"),
    col.prose("reason"),
    col.name("dag_id", null=True),
    col.name("run_id", null=True),
    col.name("task_id", null=True),
    col.count("try_number", null=True),
    col.count("map_index", null=True),
    col.time("started_at", null=False),
    col.time("finished_at"),
    comment="Every attempt at a job, never overwritten by the next one.",
)

job_log = sa.Table(
    "monitoring_job_log",
    col.metadata,
    col.serial(),
    col.name("job_id", sa.ForeignKey(jobs.c.id)),
    col.count("token", "attempt that wrote the line"),
    col.time("at", null=False),
    col.prose("line", null=False),
    comment="What jobs reported while they ran; order by token, then id.",
)
sa.Index("ix_monitoring_job_log_job_id_token_id", job_log.c.job_id, job_log.c.token, job_log.c.id)

batches = sa.Table(
    "monitoring_batches",
    col.metadata,
    col.name("id", key=True),
    col.name("deployment_id", sa.ForeignKey(deployments.c.id)),
    col.name("job_id", sa.ForeignKey(jobs.c.id), null=True, comment="null where a person made the batch"),
    col.name("name"),
    col.prose("description"),
    col.prose("external_url"),
    col.flag("locked", "takes no more predictions"),
    col.time("deleted_at", "tombstone: results are gone, late commits are refused"),
    col.count("predictions"),
    col.time("earliest_prediction"),
    col.time("latest_prediction"),
    col.time("created_at", null=False),
    col.name("created_by", null=True),
    col.time("updated_at", null=False),
    sa.UniqueConstraint("job_id"),
    comment="Predictions that belong together: one batch per job, or one that a person made.",
)
sa.Index("ix_monitoring_batches_deployment_id_created_at", batches.c.deployment_id, batches.c.created_at)

batch_dates = sa.Table(
    "monitoring_batch_dates",
    col.metadata,
    col.name("batch_id", sa.ForeignKey(batches.c.id), key=True),
    col.name("model_id", key=True, comment="empty: predictions whose definition names no model"),
    col.time("start_time", "null: that of the earliest row"),
    col.time("end_time", "null: that of the latest row"),
    col.time("updated_at", null=False),
    comment="What time a model's predictions in a batch are of, where somebody said so.",
)

audit = sa.Table(
    "monitoring_audit",
    col.metadata,
    col.serial(),
    col.time("at", null=False),
    col.name("actor", null=True),
    col.name("action", comment="verb, e.g. definition.changed, batch.locked"),
    col.name("entity_id", comment="of the definition, job, batch or monitor"),
    col.name("deployment_id", null=True),
    col.json("details", null=False),
    comment="Who changed what; append only.",
)
sa.Index("ix_monitoring_audit_entity_id", audit.c.entity_id)
