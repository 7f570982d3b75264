"""Commits: a job's snapshot becomes visible as a whole, once, and only while its attempt still owns the window.

The conditional update of the job comes first in each transaction. It takes the job's lock, so everything after it
happens alone; where it changes no row, nothing else is written.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from airflow_monitoring_provider.definitions.terms import JobState
from airflow_monitoring_provider.exceptions import BatchLocked, JobAborted, NotFound, Superseded
from airflow_monitoring_provider.metrics.values import MetricValue
from airflow_monitoring_provider.store import actuals, batch_models, texts
from airflow_monitoring_provider.store.claims import LOST
from airflow_monitoring_provider.store.records import Claim, PredictionFile, Snapshot
from airflow_monitoring_provider.store.tables import (
    ALL_ROWS,
    batches,
    job_attempts,
    jobs,
    metrics,
    prediction_files,
    profiles,
    retained_files,
    snapshots,
)
from airflow_monitoring_provider.store.types import finite, in_utc, storable

LOCKED = "the batch of this job was locked or deleted; nothing was written"
_LIVE = (JobState.CLAIMED, JobState.RUNNING)
_CONTEXT = ("definition_id", "deployment_id", "window_start", "window_end", "window_kind", "model_id", "environment")


def commit(
    connection: sa.Connection, claim: Claim, snapshot: Snapshot, values: list[dict[str, Any]], now: dt.datetime
) -> int:
    """Make the snapshot the job's committed one; its revision.

    :param values: :func:`value_rows` of the snapshot's values, made before the transaction began.

    A second commit of the same claim changes nothing and returns the first one's revision.
    Raises :class:`Superseded`, :class:`BatchLocked`, or :class:`JobAborted` where the attempt was ended before.
    """
    job = connection.execute(_complete(claim, snapshot, now)).mappings().one_or_none()
    if job is None:
        return _already_committed(connection, claim)
    _touch_batch(connection, claim.batch_id, {"updated_at": now})
    connection.execute(
        job_attempts.update()
        .where(job_attempts.c.job_id == claim.job_id, job_attempts.c.token == claim.token)
        .values(state=JobState.COMPLETED, reason=None, finished_at=now)
    )
    _replace(connection, snapshots, claim.job_id, [_snapshot_row(claim, snapshot, job, now)])
    _replace(connection, profiles, claim.job_id, [_profile_row(claim, snapshot)])
    revision: int = job["snapshot_revision"]
    _write_values(connection, claim.job_id, revision, {name: job[name] for name in _CONTEXT}, values)
    _replace(connection, prediction_files, claim.job_id, _file_rows(claim, snapshot.prediction_files, now))
    _replace(connection, retained_files, claim.job_id, _file_rows(claim, snapshot.retained_files, now))
    actuals.replace_files(connection, claim, snapshot.actual_files, now)
    if snapshot.prediction_files:
        actuals.expect(connection, claim, now)
    batch_models.recount(connection, claim.batch_id, now)
    return revision


def committed(connection: sa.Connection, claim: Claim) -> bool:
    """Whether this claim's commit took place; the way to look after :class:`OutcomeUnknown`."""
    state = connection.execute(
        sa.select(job_attempts.c.state).where(
            job_attempts.c.job_id == claim.job_id, job_attempts.c.token == claim.token
        )
    ).scalar_one_or_none()
    return state == JobState.COMPLETED


def replace_values(
    connection: sa.Connection,
    job: str,
    snapshot_revision: int,
    values: list[dict[str, Any]],
    baseline: tuple[int | None, str | None],
    now: dt.datetime,
) -> int:
    """Compare a committed job anew, without its rows; the snapshot's new revision, whose evaluation is due.

    :param baseline: version and key of what the values compare with.

    Raises :class:`Superseded` where the snapshot is no longer ``snapshot_revision``, :class:`BatchLocked`.
    """
    row = connection.execute(
        jobs.update()
        .where(jobs.c.id == job, jobs.c.snapshot_revision == snapshot_revision, jobs.c.snapshot_revision > 0)
        .values(snapshot_revision=jobs.c.snapshot_revision + 1, **_not_evaluated())
        .returning(jobs.c.snapshot_revision, jobs.c.batch_id, *(jobs.c[name] for name in _CONTEXT))
    ).one_or_none()
    if row is None:
        raise _moved_on(connection, job)
    _touch_batch(connection, row.batch_id, {"updated_at": now})
    facts = connection.execute(
        snapshots.update()
        .where(snapshots.c.job_id == job)
        .values(
            revision=row.snapshot_revision,
            baseline_version=None if baseline[0] is None else int(baseline[0]),
            baseline_key=texts.optional_name(baseline[1], "baseline_key"),
        )
        .returning(snapshots.c.model_id, snapshots.c.environment)
    ).one()
    # The job's own row may already speak of the attempt that runs now.
    context = {name: row._mapping[name] for name in _CONTEXT} | dict(facts._mapping)
    revision: int = row.snapshot_revision
    _write_values(connection, job, revision, context, values)
    return revision


def value_rows(values: Sequence[MetricValue]) -> list[dict[str, Any]]:
    """Rows of the metrics table, without their job: plain Python numbers, storable text.

    Raises :class:`UnstorableError` for NaN and infinities, naming the metric and column.
    """
    return [_value_row(position, value) for position, value in enumerate(values)]


def _complete(claim: Claim, snapshot: Snapshot, now: dt.datetime) -> Any:
    return (
        jobs.update()
        .where(jobs.c.id == claim.job_id, jobs.c.token == claim.token, jobs.c.state.in_(_LIVE))
        .values(
            state=JobState.COMPLETED,
            reason=None,
            percent=100.0,
            scored_rows=int(snapshot.scored),
            failed_rows=int(snapshot.failed),
            skipped_rows=int(snapshot.skipped),
            progress_at=now,
            finished_at=now,
            snapshot_revision=jobs.c.snapshot_revision + 1,
            committed_token=claim.token,
            committed_at=now,
            results_deleted=False,  # they may have been purged
            **_not_evaluated(),
        )
        .returning(
            jobs.c.snapshot_revision,
            jobs.c.definition_revision,
            jobs.c.model_version,
            *(jobs.c[name] for name in _CONTEXT),
        )
    )


def _not_evaluated() -> dict[str, Any]:
    return {"evaluation_due": True, "evaluated_at": None, "overall_status": None}


def _already_committed(connection: sa.Connection, claim: Claim) -> int:
    job = connection.execute(
        sa.select(jobs.c.token, jobs.c.state, jobs.c.committed_token, jobs.c.snapshot_revision).where(
            jobs.c.id == claim.job_id
        )
    ).one_or_none()
    if job is None:
        raise NotFound("the claimed job is no longer in the store")
    if job.token != claim.token:
        raise Superseded(LOST)
    if job.committed_token != claim.token:
        raise JobAborted(f"the job was ended as {job.state} before it could commit; nothing was written")
    revision: int = job.snapshot_revision
    return revision


def _touch_batch(connection: sa.Connection, batch_id: str, values: dict[str, Any]) -> None:
    # Conditional, and not a look beforehand: a lock or deletion under way is waited for and then wins.
    changed = connection.execute(
        batches.update()
        .where(batches.c.id == batch_id, batches.c.locked.is_(False), batches.c.deleted_at.is_(None))
        .values(**values)
    ).rowcount
    if not changed:
        raise BatchLocked(LOCKED)


def _moved_on(connection: sa.Connection, job: str) -> Superseded | NotFound:
    known = connection.execute(sa.select(jobs.c.snapshot_revision).where(jobs.c.id == job)).scalar_one_or_none()
    if known is None:
        return NotFound("no job has this id")
    if known == 0:
        return NotFound("the job has no committed snapshot")
    return Superseded("the job has a newer snapshot; its values were left alone")


def _replace(connection: sa.Connection, table: sa.Table, job: str, rows: list[dict[str, Any]]) -> None:
    connection.execute(table.delete().where(table.c.job_id == job))
    if rows:
        connection.execute(table.insert(), rows)


def _write_values(
    connection: sa.Connection, job: str, revision: int, context: dict[str, Any], values: Iterable[dict[str, Any]]
) -> None:
    shared = {"job_id": job, "snapshot_revision": revision, **context}
    _replace(connection, metrics, job, [shared | row for row in values])


def _snapshot_row(claim: Claim, snapshot: Snapshot, job: Any, now: dt.datetime) -> dict[str, Any]:
    return {
        "job_id": claim.job_id,
        "revision": job["snapshot_revision"],
        "token": claim.token,
        "definition_revision": job["definition_revision"],
        "model_id": job["model_id"],
        "model_version": job["model_version"],
        "environment": job["environment"],
        "content_hash": texts.name(snapshot.content_hash, "content_hash"),
        "plan_hash": texts.name(snapshot.plan_hash, "plan_hash"),
        "format_version": int(snapshot.format_version),
        "rows": int(snapshot.rows),
        "scored_rows": int(snapshot.scored),
        "failed_rows": int(snapshot.failed),
        "skipped_rows": int(snapshot.skipped),
        "null_timestamps": int(snapshot.null_timestamps),
        "status_counts": {str(status): int(rows) for status, rows in snapshot.status_counts.items()},
        "earliest": None if snapshot.earliest is None else in_utc(snapshot.earliest),
        "latest": None if snapshot.latest is None else in_utc(snapshot.latest),
        "baseline_version": None if snapshot.baseline_version is None else int(snapshot.baseline_version),
        "baseline_key": texts.optional_name(snapshot.baseline_key, "baseline_key"),
        "details": dict(snapshot.details),
        "committed_at": now,
    }


def _profile_row(claim: Claim, snapshot: Snapshot) -> dict[str, Any]:
    return {
        "job_id": claim.job_id,
        "segment_id": ALL_ROWS,
        "content_hash": snapshot.content_hash,
        "format_version": int(snapshot.format_version),
        "profile": bytes(snapshot.profile_bytes),
    }


def _file_rows(claim: Claim, files: Sequence[PredictionFile], now: dt.datetime) -> list[dict[str, Any]]:
    return [
        {
            "job_id": claim.job_id,
            "position": position,
            "deployment_id": claim.deployment_id,
            "batch_id": claim.batch_id,
            "token": claim.token,
            "path": file.path,
            "rows": int(file.rows),
            "bytes": int(file.bytes),
            "sha256": file.sha256,
            "created_at": now,
        }
        for position, file in enumerate(files)
    ]


def _value_row(position: int, value: MetricValue) -> dict[str, Any]:
    where = f"metric {value.name}" + ("" if value.column is None else f" of column {value.column}")
    numbers = ("value", "p_value", "adjusted_p_value", "critical_value", "missing_reference", "missing_current")
    return {
        "position": position,
        "name": texts.name(value.name, "metric"),
        "kind": value.kind,
        "column_name": texts.column(value.column),
        "segment_id": ALL_ROWS if value.segment is None else storable(value.segment),
        "direction": value.direction,
        **{name: _number(getattr(value, name), where) for name in (*numbers, "low", "high")},
        "reason": texts.optional_name(value.reason, "reason"),
        "n": None if value.n is None else int(value.n),
        "m": None if value.m is None else int(value.m),
        "is_primary": bool(value.primary),
        "binning": None if value.binning is None else storable(value.binning),
        "precision": None if value.precision is None else dict(value.precision),
        "details": dict(value.details),
        "status": None,
        "status_reason": None,
        "warning": None,
        "critical": None,
        "evaluated_at": None,
    }


def _number(value: float | None, where: str) -> float | None:
    return None if value is None else finite(value, where)
