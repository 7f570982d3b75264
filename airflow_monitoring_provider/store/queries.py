"""Reading jobs and results: whole committed snapshots only, a page at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from airflow_monitoring_provider.definitions.terms import JobState, ResultStatus, WindowKind
from airflow_monitoring_provider.definitions.window import Window
from airflow_monitoring_provider.exceptions import NotFound
from airflow_monitoring_provider.metrics.values import Direction, MetricValue, ResultKind
from airflow_monitoring_provider.store import arguments
from airflow_monitoring_provider.store.records import (
    AttemptRecord,
    JobRecord,
    LogLine,
    Page,
    PredictionFile,
    ResultRecord,
    RunInfo,
    SnapshotRecord,
    StoredProfile,
)
from airflow_monitoring_provider.store.tables import (
    ALL_ROWS,
    MADE_BY_EVALUATION,
    batches,
    job_attempts,
    job_log,
    jobs,
    metrics,
    prediction_files,
    profiles,
    snapshots,
)

PAGE_LIMIT = 1_000
"""The most items one call returns."""
LOG_LIMIT = 1_000

ORDERS = {
    "created": (jobs.c.created_at, jobs.c.id),
    "-created": (jobs.c.created_at.desc(), jobs.c.id),
    "window": (jobs.c.window_start, jobs.c.id),
    "-window": (jobs.c.window_start.desc(), jobs.c.id),
}

_RENAMED = {"scored": "scored_rows", "failed": "failed_rows", "skipped": "skipped_rows"}
_SNAPSHOT = [
    snapshots.c[_RENAMED.get(field.name, field.name)].label(f"shown_{field.name}")
    for field in dataclasses.fields(SnapshotRecord)
]


def page(limit: int, offset: int) -> tuple[int, int]:
    """Refuse a page that is none, or that is larger than one call returns."""
    return arguments.whole(limit, "limit", PAGE_LIMIT, least=1), arguments.whole(offset, "offset")


def jobs_page(
    connection: sa.Connection,
    *,
    definition_id: str | None,
    deployment_id: str | None,
    batch_id: str | None,
    state: Collection[JobState],
    order: str,
    limit: int,
    offset: int,
) -> Page[JobRecord]:
    """Jobs with their committed facts, without their logs."""
    arguments.choice(order, ORDERS, "order")
    conditions = []
    if definition_id is not None:
        conditions.append(jobs.c.definition_id == definition_id)
    if deployment_id is not None:
        conditions.append(jobs.c.deployment_id == deployment_id)
    if batch_id is not None:
        conditions.append(jobs.c.batch_id == batch_id)
    if state:
        words = [each.value for each in JobState]
        conditions.append(jobs.c.state.in_([JobState(arguments.choice(one, words, "state")).value for one in state]))
    total = connection.execute(sa.select(sa.func.count()).select_from(jobs).where(*conditions)).scalar_one()
    rows = connection.execute(_select().where(*conditions).order_by(*ORDERS[order]).limit(limit).offset(offset))
    return Page(tuple(_job(row._mapping) for row in rows), total, offset)


def has_committed(connection: sa.Connection, definition_id: str, revision: int) -> bool:
    """Whether any job of a definition has committed a snapshot of this revision."""
    of_revision = snapshots.c.definition_revision == revision
    found = sa.exists().where(jobs.c.definition_id == definition_id, snapshots.c.job_id == jobs.c.id, of_revision)
    return bool(connection.scalar(sa.select(found)))


def job(connection: sa.Connection, job_id: str) -> JobRecord:
    """One job with the newest lines of its log."""
    arguments.identity(job_id, "job_id", "job")
    row = connection.execute(_select().where(jobs.c.id == job_id)).one_or_none()
    if row is None:
        raise NotFound("no job has this id")
    newest = (job_log.c.token.desc(), job_log.c.id.desc())
    lines = connection.execute(
        sa.select(job_log.c.at, job_log.c.token, job_log.c.line)
        .where(job_log.c.job_id == job_id)
        .order_by(*newest)
        .limit(LOG_LIMIT)
    ).all()
    return dataclasses.replace(_job(row._mapping), log=tuple(LogLine(*line) for line in reversed(lines)))


def attempts(connection: sa.Connection, job_id: str) -> tuple[AttemptRecord, ...]:
    """Every attempt at the job, oldest first."""
    arguments.identity(job_id, "job_id", "job")
    rows = connection.execute(
        sa.select(job_attempts).where(job_attempts.c.job_id == job_id).order_by(job_attempts.c.token)
    )
    return tuple(_attempt(row._mapping) for row in rows)


def results_page(
    connection: sa.Connection,
    job_id: str,
    *,
    name: str | None,
    column: str | None,
    segment: str | None,
    status: Collection[ResultStatus],
    limit: int,
    offset: int,
) -> Page[ResultRecord]:
    """Committed results of a job in the order they were computed."""
    _require(connection, job_id)
    conditions = [metrics.c.job_id == job_id]
    for key, wanted in ((metrics.c.name, name), (metrics.c.column_name, column), (metrics.c.segment_id, segment)):
        if wanted is not None:
            conditions.append(key == wanted)
    if status:
        way_out = "give members of ResultStatus, such as ResultStatus.DETECTED"
        statuses = [arguments.instance(one, ResultStatus, "status", way_out) for one in status]
        conditions.append(metrics.c.status.in_([one.text for one in statuses]))
    total = connection.execute(sa.select(sa.func.count()).select_from(metrics).where(*conditions)).scalar_one()
    chosen = sa.select(metrics).where(*conditions).order_by(metrics.c.position).limit(limit).offset(offset)
    return Page(tuple(_result(row._mapping) for row in connection.execute(chosen)), total, offset)


def values(connection: sa.Connection, job_id: str) -> list[MetricValue]:
    """Every committed value of a job, to evaluate; without those that an evaluation made."""
    _require(connection, job_id)
    committed = sa.select(metrics).where(metrics.c.job_id == job_id, metrics.c.position < MADE_BY_EVALUATION)
    rows = connection.execute(committed.order_by(metrics.c.position))
    return [_value(row._mapping) for row in rows]


def profile(connection: sa.Connection, job_id: str) -> StoredProfile | None:
    """The committed profile of all rows of a job; None where nothing is committed."""
    _require(connection, job_id)
    found = connection.execute(
        sa.select(profiles.c.profile, snapshots.c.content_hash, snapshots.c.revision)
        .join(snapshots, snapshots.c.job_id == profiles.c.job_id)
        .where(profiles.c.job_id == job_id, profiles.c.segment_id == ALL_ROWS)
    ).one_or_none()
    return None if found is None else StoredProfile(*found)


def files(connection: sa.Connection, job_id: str) -> tuple[PredictionFile, ...]:
    """The manifest of the job's prediction log."""
    columns = [prediction_files.c[field.name] for field in dataclasses.fields(PredictionFile)]
    rows = connection.execute(
        sa.select(*columns).where(prediction_files.c.job_id == job_id).order_by(prediction_files.c.position)
    )
    return tuple(PredictionFile(*row) for row in rows)


def without_baseline(connection: sa.Connection, definition_id: str, *, limit: int) -> tuple[JobRecord, ...]:
    """Committed jobs that were compared with nothing yet and whose batch may still change, oldest window first."""
    rows = connection.execute(
        _select()
        .join(batches, batches.c.id == jobs.c.batch_id)
        .where(
            jobs.c.definition_id == definition_id,
            snapshots.c.job_id.is_not(None),
            snapshots.c.baseline_version.is_(None),
            jobs.c.results_deleted.is_(False),
            batches.c.locked.is_(False),
            batches.c.deleted_at.is_(None),
        )
        .order_by(*ORDERS["window"])
        .limit(limit)
    )
    return tuple(_job(row._mapping) for row in rows)


def _require(connection: sa.Connection, job_id: str) -> None:
    arguments.identity(job_id, "job_id", "job")
    if connection.execute(sa.select(jobs.c.id).where(jobs.c.id == job_id)).first() is None:
        raise NotFound("no job has this id")


def _select() -> sa.Select[Any]:
    # The job and its snapshot in one statement, so that they are always of one commit.
    return sa.select(jobs, *_SNAPSHOT).outerjoin_from(jobs, snapshots, snapshots.c.job_id == jobs.c.id)


def _job(row: Any) -> JobRecord:
    overall = row["overall_status"]
    copied = {
        field.name: row[_RENAMED.get(field.name, field.name)]
        for field in dataclasses.fields(JobRecord)
        if field.name not in {"window", "run", "snapshot", "log", "state", "overall_status"}
    }
    return JobRecord(
        **copied,
        window=Window.of(row["window_start"], row["window_end"], WindowKind(row["window_kind"])),
        run=_run(row),
        state=JobState(row["state"]),
        overall_status=None if overall is None else ResultStatus[overall.upper()],
        snapshot=_snapshot(row),
    )


def _snapshot(row: Any) -> SnapshotRecord | None:
    if row["shown_revision"] is None:
        return None
    return SnapshotRecord(**{field.name: row[f"shown_{field.name}"] for field in dataclasses.fields(SnapshotRecord)})


def _run(row: Any) -> RunInfo:
    return RunInfo(**{field.name: row[field.name] for field in dataclasses.fields(RunInfo)})


def _attempt(row: Any) -> AttemptRecord:
    return AttemptRecord(
        token=row["token"],
        definition_revision=row["definition_revision"],
        state=JobState(row["state"]),
        reason=row["reason"],
        run=_run(row),
        started_at=row["started_at"],
        finished_at=row["finished_at"],
    )


def _result(row: Any) -> ResultRecord:
    status = row["status"]
    return ResultRecord(
        value=_value(row),
        status=None if status is None else ResultStatus[status.upper()],
        status_reason=row["status_reason"],
        warning=row["warning"],
        critical=row["critical"],
        evaluated_at=row["evaluated_at"],
    )


def _value(row: Any) -> MetricValue:
    copied = {
        field.name: row[field.name]
        for field in dataclasses.fields(MetricValue)
        if field.name not in {"kind", "direction", "column", "segment", "primary"}
    }
    return MetricValue(
        **copied,
        kind=ResultKind(row["kind"]),
        direction=Direction(row["direction"]),
        column=row["column_name"],
        segment=None if row["segment_id"] == ALL_ROWS else row["segment_id"],
        primary=row["is_primary"],
    )
