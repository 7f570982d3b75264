"""What running code reports into a batch: taken once by its key, refused where the batch is closed."""

from __future__ import annotations

import datetime as dt
import math
import uuid
from collections.abc import Collection
from decimal import Decimal
from numbers import Real
from typing import Any

import sqlalchemy as sa

from airflow_monitoring_provider.definitions.terms import JobState
from airflow_monitoring_provider.exceptions import BatchLocked, ConfigurationError, DefinitionError, NotFound
from airflow_monitoring_provider.store import arguments, batch_models, report_logs, texts
from airflow_monitoring_provider.store.batch_models import brings_actuals
from airflow_monitoring_provider.store.engine import insert
from airflow_monitoring_provider.store.report_records import Report, ServiceReport, ServiceStats, StoredPart
from airflow_monitoring_provider.store.tables import (
    ALL_ROWS,
    batch_reports,
    batch_stats,
    batches,
    job_attempts,
    job_definitions,
    jobs,
    profiles,
    snapshots,
)
from airflow_monitoring_provider.store.types import in_utc

_LARGEST_COUNT = 2**53
"""So that sums of many reports stay whole numbers of 64 bits."""
_NUMBERS: tuple[Any, ...] = (Real, Decimal)  # NumPy registers its own with the first


def add(connection: sa.Connection, batch_id: str, report: Report, *, key: str | None, now: dt.datetime) -> bool:
    """Add predictions to a batch; False where this key was taken before.

    Raises :class:`NotFound`, :class:`BatchLocked`, and :class:`ConfigurationError` for another deployment's batch.
    """
    deployment_id = take(connection, batch_id, now)
    owner = connection.execute(
        sa.select(job_definitions.c.deployment_id).where(job_definitions.c.id == report.definition_id)
    ).scalar_one_or_none()
    if owner != deployment_id:
        raise ConfigurationError("the definition speaks of another deployment than the batch belongs to")
    added = _insert(
        connection,
        batch_reports,
        batch_id,
        key,
        deployment_id=deployment_id,
        definition_id=report.definition_id,
        model_id=texts.optional_name(report.model_id, "modelId"),
        rows=int(report.rows),
        scored_rows=int(report.scored),
        earliest=None if report.earliest is None else in_utc(report.earliest),
        latest=None if report.latest is None else in_utc(report.latest),
        content_hash=report.content_hash,
        format_version=int(report.format_version),
        profile=bytes(report.profile_bytes),
        created_at=now,
    )
    if added is not None:
        if report.logged is not None:
            report_logs.record(connection, batch_id, added, deployment_id, report.logged, now)
        batch_models.recount(connection, batch_id, now)
    return added is not None


def add_stats(
    connection: sa.Connection, batch_id: str, report: ServiceReport, *, key: str | None, now: dt.datetime
) -> bool:
    """Say how the service did; as :func:`add`."""
    counts = {name: getattr(report, name) for name in ("predictions", "requests", "user_errors", "server_errors")}
    times = {name: getattr(report, name) for name in ("execution_time_ms", "response_time_ms")}
    for name, count in counts.items():
        _check(name, count, "a whole number, 0 or more", most=_LARGEST_COUNT)
    for name, time in times.items():
        if time is not None:
            _check(name, time, "a number of milliseconds, 0 or more; leave it out where it is unknown")
    if counts["user_errors"] + counts["server_errors"] > counts["requests"]:
        raise DefinitionError("user_errors and server_errors are more than requests", field="requests")
    deployment_id = take(connection, batch_id, now)
    added = _insert(
        connection,
        batch_stats,
        batch_id,
        key,
        deployment_id=deployment_id,
        model_id=texts.optional_name(report.model_id, "modelId"),
        **{name: int(count) for name, count in counts.items()},
        **{name: None if time is None else float(time) for name, time in times.items()},
        created_at=now,
    )
    return added is not None


def _check(field: str, value: Any, wanted: str, *, most: int | None = None) -> None:
    """Refuse what is no number from 0 to ``most``, or with ``most`` no whole one."""
    if isinstance(value, bool) or not isinstance(value, _NUMBERS):
        raise DefinitionError(f"{field} must be {wanted}, not {type(value).__name__}", field=field)
    if not math.isfinite(value) or value < 0 or (most is not None and (value > most or value != int(value))):
        raise DefinitionError(f"{field} must be {wanted}", field=field)


def parts_of(connection: sa.Connection, batch_ids: Collection[str]) -> tuple[StoredPart, ...]:
    """Every profile that batches hold, of jobs and of reports; in a fixed order."""
    of_jobs = (
        sa.select(jobs.c.definition_id, profiles.c.profile, profiles.c.content_hash)
        .join(jobs, jobs.c.id == profiles.c.job_id)
        .where(jobs.c.batch_id.in_(batch_ids), profiles.c.segment_id == ALL_ROWS)
        .order_by(jobs.c.window_start, jobs.c.id)
    )
    reported = (
        sa.select(batch_reports.c.definition_id, batch_reports.c.profile, batch_reports.c.content_hash)
        .where(batch_reports.c.batch_id.in_(batch_ids))
        .order_by(batch_reports.c.created_at, batch_reports.c.batch_id, batch_reports.c.key)
    )
    return tuple(StoredPart(*row) for query in (of_jobs, reported) for row in connection.execute(query))


def service(connection: sa.Connection, batch_ids: Collection[str]) -> ServiceStats:
    """How the service did over batches: of what was reported, and of the jobs, each of which counts as a request."""
    reported = connection.execute(
        sa.select(
            *(sa.func.coalesce(sa.func.sum(batch_stats.c[name]), 0).label(name) for name in _SUMMED),
            sa.func.sum(batch_stats.c.execution_time_ms).label("execution"),
            sa.func.sum(batch_stats.c.response_time_ms).label("response"),
            *(_requests_with(batch_stats.c[name]).label(name) for name in ("execution_time_ms", "response_time_ms")),
        ).where(batch_stats.c.batch_id.in_(batch_ids))
    ).one()
    of_jobs, told = _rows(connection, batch_ids)
    attempts = connection.execute(
        sa.select(job_attempts.c.started_at, job_attempts.c.finished_at)
        .join(jobs, sa.and_(jobs.c.id == job_attempts.c.job_id, jobs.c.committed_token == job_attempts.c.token))
        .where(jobs.c.batch_id.in_(batch_ids), jobs.c.results_deleted.is_(False))
    ).all()
    failed = connection.execute(
        sa.select(sa.func.count())
        .select_from(jobs)
        .where(jobs.c.batch_id.in_(batch_ids), jobs.c.state == JobState.FAILED, jobs.c.results_deleted.is_(False))
    ).scalar_one()
    took = [1000.0 * (each.finished_at - each.started_at).total_seconds() for each in attempts if each.finished_at]
    timed, answered = int(reported.execution_time_ms) + len(took), int(reported.response_time_ms)
    return ServiceStats(
        predictions=of_jobs.scored + int(reported.predictions),
        rows=of_jobs.rows + told.rows,
        rejected_rows=of_jobs.rows - of_jobs.scored + told.rows - told.scored,
        requests=int(reported.requests) + len(attempts) + failed,
        user_errors=int(reported.user_errors),
        server_errors=int(reported.server_errors) + failed,
        execution_time_ms=(float(reported.execution or 0.0) + sum(took)) / timed if timed else None,
        response_time_ms=float(reported.response) / answered if answered else None,
    )


_SUMMED = ("predictions", "requests", "user_errors", "server_errors")


def _requests_with(time: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((time.is_not(None), batch_stats.c.requests), else_=0)), 0)


def _rows(connection: sa.Connection, batch_ids: Collection[str]) -> tuple[Any, Any]:
    """Rows and scored rows of jobs, and of reports."""
    predicting = sa.select(jobs.c.id).where(jobs.c.batch_id.in_(batch_ids), ~brings_actuals(jobs.c.id))
    conditions = {
        snapshots: snapshots.c.job_id.in_(predicting),
        batch_reports: batch_reports.c.batch_id.in_(batch_ids),
    }
    of_jobs, told = (
        connection.execute(
            sa.select(
                sa.cast(sa.func.coalesce(sa.func.sum(table.c.rows), 0), sa.BigInteger).label("rows"),
                sa.cast(sa.func.coalesce(sa.func.sum(table.c.scored_rows), 0), sa.BigInteger).label("scored"),
            ).where(condition)
        ).one()
        for table, condition in conditions.items()
    )
    return of_jobs, told


def take(connection: sa.Connection, batch_id: str, now: dt.datetime) -> str:
    """Hold a batch that takes rows; its deployment's id."""
    arguments.identity(batch_id, "batch_id", "batch")
    held: str | None = connection.execute(
        batches.update()
        .where(batches.c.id == batch_id, batches.c.locked.is_(False), batches.c.deleted_at.is_(None))
        .values(updated_at=now)
        .returning(batches.c.deployment_id)
    ).scalar_one_or_none()
    if held is not None:
        return held
    known = connection.execute(sa.select(batches.c.deleted_at).where(batches.c.id == batch_id)).one_or_none()
    if known is None:
        raise NotFound("no batch has this id")
    what = "is locked; unlock it to add predictions" if known.deleted_at is None else "was deleted"
    raise BatchLocked(f"the batch {what}; nothing was written")


def _insert(connection: sa.Connection, table: sa.Table, batch_id: str, key: str | None, **values: Any) -> str | None:
    """The key that the row has now; None where it was taken before."""
    name = uuid.uuid4().hex if key is None else texts.name(key, "key")
    statement = insert(connection, table).values(batch_id=batch_id, key=name, **values)
    added: str | None = connection.execute(
        statement.on_conflict_do_nothing().returning(table.c.key)
    ).scalar_one_or_none()
    return added
