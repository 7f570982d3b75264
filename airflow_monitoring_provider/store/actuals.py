"""Late actuals in the store: which files count, which jobs they label, and a job's accuracy restated as one.

An actuals job's commit lists its files in place of those it brought before, and marks the jobs that these had labelled.
A restatement holds only while the job still has the snapshot that was read, and the deployment the actuals: whoever
committed meanwhile sees to it.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Collection, Iterable, Sequence, Set
from typing import Any

import sqlalchemy as sa

from airflow_monitoring_provider.definitions.terms import WindowKind
from airflow_monitoring_provider.definitions.window import Window
from airflow_monitoring_provider.exceptions import BatchLocked, Superseded
from airflow_monitoring_provider.store import report_logs, texts
from airflow_monitoring_provider.store.actual_records import ActualFile, LoggedJob
from airflow_monitoring_provider.store.engine import insert
from airflow_monitoring_provider.store.records import Claim, PredictionFile
from airflow_monitoring_provider.store.tables import (
    ALL_ROWS,
    actual_files,
    actual_uses,
    batches,
    jobs,
    prediction_files,
    profiles,
    restatements,
    snapshots,
)

Sources = Set[tuple[str, int]]
"""The actuals of a deployment: each job that brought some, with the token of the attempt."""

_FILE = [field.name for field in dataclasses.fields(PredictionFile)]


def replace_files(connection: sa.Connection, claim: Claim, files: Sequence[PredictionFile], now: dt.datetime) -> None:
    """Part of a job's commit: its files of actuals in place of its earlier ones; who had those is to be restated."""
    forget(connection, [claim.job_id], now)
    connection.execute(actual_files.delete().where(actual_files.c.job_id == claim.job_id))
    if files:
        rows = [
            {
                "job_id": claim.job_id,
                "position": position,
                "deployment_id": claim.deployment_id,
                "batch_id": claim.batch_id,
                "token": claim.token,
                **dataclasses.asdict(file),
                "applied": False,
                "created_at": now,
            }
            for position, file in enumerate(files)
        ]
        connection.execute(actual_files.insert(), rows)


def forget(connection: sa.Connection, actuals_jobs: Collection[str], now: dt.datetime) -> None:
    """Mark every job and report that these jobs' actuals label as due."""
    labelled = sa.select(actual_uses.c.job_id).where(actual_uses.c.actuals_job_id.in_(actuals_jobs))
    connection.execute(
        restatements.update().where(restatements.c.job_id.in_(labelled)).values(due=True, updated_at=now)
    )
    report_logs.forget(connection, actuals_jobs, now)


def expect(connection: sa.Connection, claim: Claim, now: dt.datetime) -> None:
    """Part of a job's commit: actuals that came before its predictions are to be joined, right after it."""
    known = sa.select(actual_files.c.job_id).where(actual_files.c.deployment_id == claim.deployment_id)
    if connection.execute(known.limit(1)).first() is not None:
        _set_due(connection, claim.job_id, due=True, now=now)


def files(connection: sa.Connection, deployment_id: str) -> tuple[ActualFile, ...]:
    """The files of actuals of a deployment that count, in a fixed order."""
    window = (jobs.c.window_start, jobs.c.window_end, jobs.c.window_kind)
    rows = connection.execute(
        sa.select(actual_files, *window)
        .join(jobs, jobs.c.id == actual_files.c.job_id)
        .where(actual_files.c.deployment_id == deployment_id)
        .order_by(jobs.c.window_start, actual_files.c.job_id, actual_files.c.position)
    )
    return tuple(
        ActualFile(
            job_id=row.job_id,
            token=row.token,
            window=_window(row),
            file=_file(row),
            applied=row.applied,
        )
        for row in rows
    )


def logged(connection: sa.Connection, deployment_id: str, only: str | None) -> tuple[LoggedJob, ...]:
    """Committed jobs of a deployment that have a prediction log, oldest window first; deleted batches have none."""
    rows = connection.execute(
        sa.select(
            prediction_files,
            jobs.c.definition_id,
            snapshots.c.definition_revision,
            snapshots.c.baseline_version,
            snapshots.c.baseline_key,
            snapshots.c.revision,
            jobs.c.window_start,
            jobs.c.window_end,
            jobs.c.window_kind,
            batches.c.locked,
            restatements.c.due,
        )
        .join(jobs, jobs.c.id == prediction_files.c.job_id)
        .join(snapshots, snapshots.c.job_id == prediction_files.c.job_id)
        .join(batches, batches.c.id == jobs.c.batch_id)
        .outerjoin(restatements, restatements.c.job_id == prediction_files.c.job_id)
        .where(
            prediction_files.c.deployment_id == deployment_id,
            batches.c.deleted_at.is_(None),
            sa.true() if only is None else jobs.c.id == only,
        )
        .order_by(jobs.c.window_start, jobs.c.id, prediction_files.c.position)
    )
    found: dict[str, LoggedJob] = {}
    for row in rows:
        known = found.get(row.job_id)
        if known is None:
            found[row.job_id] = LoggedJob(
                job_id=row.job_id,
                deployment_id=row.deployment_id,
                definition_id=row.definition_id,
                definition_revision=row.definition_revision,
                window=_window(row),
                snapshot_revision=row.revision,
                baseline_version=row.baseline_version,
                baseline_key=row.baseline_key,
                locked=row.locked,
                due=bool(row.due),
                files=(_file(row),),
            )
        else:
            found[row.job_id] = dataclasses.replace(known, files=(*known.files, _file(row)))
    return tuple(found.values())


def record_profile(connection: sa.Connection, job: str, revision: int, profile_bytes: bytes, content_hash: str) -> None:
    """Part of a restatement: the profile that the new values are made of."""
    digest = texts.name(content_hash, "content_hash")
    connection.execute(
        profiles.update()
        .where(profiles.c.job_id == job, profiles.c.segment_id == ALL_ROWS)
        .values(profile=bytes(profile_bytes), content_hash=digest)
    )
    connection.execute(
        snapshots.update()
        .where(snapshots.c.job_id == job, snapshots.c.revision == revision)
        .values(content_hash=digest)
    )


def record_uses(connection: sa.Connection, job: str, actuals_jobs: Iterable[str], now: dt.datetime) -> None:
    """Part of a restatement: whose actuals label the job from now on; it is no longer due."""
    connection.execute(actual_uses.delete().where(actual_uses.c.job_id == job))
    rows = [{"job_id": job, "actuals_job_id": source} for source in sorted(set(actuals_jobs))]
    if rows:
        connection.execute(actual_uses.insert(), rows)
    _set_due(connection, job, due=False, now=now)


def hold(connection: sa.Connection, job: str, snapshot_revision: int) -> bool:
    """Take the job's lock for the rest of the transaction; False where it has another snapshot by now.

    Raises :class:`BatchLocked` where its batch was locked or deleted.
    """
    batch = connection.execute(
        jobs.update()
        .where(jobs.c.id == job, jobs.c.snapshot_revision == snapshot_revision)
        .values(snapshot_revision=jobs.c.snapshot_revision)
        .returning(jobs.c.batch_id)
    ).scalar_one_or_none()
    if batch is None:
        return False
    state = connection.execute(sa.select(batches.c.locked, batches.c.deleted_at).where(batches.c.id == batch)).one()
    if state.locked or state.deleted_at is not None:
        raise BatchLocked("the batch was locked or deleted; its accuracy stays as it is")
    return True


def require(connection: sa.Connection, deployment_id: str, seen: Sources) -> None:
    """Refuse to go on where other actuals count by now than those a restatement was made of.

    Asked once the job or report is held: who comes later waits for it. Raises :class:`Superseded`.
    """
    found = sa.select(actual_files.c.job_id, actual_files.c.token).where(actual_files.c.deployment_id == deployment_id)
    if {(row.job_id, row.token) for row in connection.execute(found)} != seen:
        raise Superseded("the deployment has other actuals by now")


def keep_due(connection: sa.Connection, job: str, now: dt.datetime) -> None:
    """Remember a job whose accuracy could not be restated now."""
    _set_due(connection, job, due=True, now=now)


def mark_applied(connection: sa.Connection, found: Iterable[ActualFile], facts: dict[str, dict[str, int]]) -> None:
    """Every batch that these files touch is restated.

    :param facts: job that brought them -> what became of its rows; kept in its snapshot's details.
    """
    for job, token in sorted({(file.job_id, file.token) for file in found}):
        connection.execute(
            actual_files.update()
            .where(actual_files.c.job_id == job, actual_files.c.token == token)
            .values(applied=True)
        )
        if job in facts:
            where = (snapshots.c.job_id == job, snapshots.c.token == token)
            details = connection.execute(sa.select(snapshots.c.details).where(*where)).scalar_one_or_none()
            if details is not None:
                connection.execute(snapshots.update().where(*where).values(details={**details, "actuals": facts[job]}))


def labelled_by(connection: sa.Connection, actuals_job: str) -> tuple[str, ...]:
    """Jobs that these actuals label and whose evaluation is due, oldest window first."""
    rows = connection.execute(
        sa.select(jobs.c.id)
        .join(actual_uses, actual_uses.c.job_id == jobs.c.id)
        .where(actual_uses.c.actuals_job_id == actuals_job, jobs.c.evaluation_due.is_(True))
        .order_by(jobs.c.window_start, jobs.c.id)
    )
    return tuple(rows.scalars())


def _set_due(connection: sa.Connection, job: str, *, due: bool, now: dt.datetime) -> None:
    statement = insert(connection, restatements).values(job_id=job, due=due, updated_at=now)
    changes: dict[str, Any] = {"due": due, "updated_at": now}
    connection.execute(statement.on_conflict_do_update(index_elements=[restatements.c.job_id], set_=changes))


def _window(row: Any) -> Window:
    return Window.of(row.window_start, row.window_end, WindowKind(row.window_kind))


def _file(row: Any) -> PredictionFile:
    return PredictionFile(**{name: getattr(row, name) for name in _FILE})
