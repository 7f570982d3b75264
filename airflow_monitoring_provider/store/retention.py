"""Rows that the store keeps: which files hold them, forgetting them, and which files nobody needs.

The store forgets first, in one transaction a batch; files go afterwards. So a purge that is killed leaves files that
nothing lists, never a listed file that is gone, and the next purge finds them (:func:`known_files`).

What stays, whatever is purged: jobs, attempts, tokens, batches and their tombstones, snapshots (how many rows there
were, and when), baselines, the audit. So exactly once holds for windows whose rows are gone.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from airflow_monitoring_provider.definitions.terms import JobState
from airflow_monitoring_provider.store.file_names import owner
from airflow_monitoring_provider.store.records import FileKind, PredictionFile
from airflow_monitoring_provider.store.registry import note
from airflow_monitoring_provider.store.retention_records import Forgotten, KnownFiles, Purged, PurgePolicy
from airflow_monitoring_provider.store.tables import (
    actual_files,
    actual_uses,
    batch_reports,
    batches,
    jobs,
    metrics,
    parts,
    prediction_files,
    profiles,
    report_logs,
    report_uses,
    retained_files,
)

_MANIFESTS = {
    FileKind.RETAINED: retained_files,
    FileKind.PREDICTIONS: prediction_files,
    FileKind.ACTUALS: actual_files,
}
_LIVE = (JobState.CLAIMED, JobState.RUNNING)
_FILE = [field.name for field in dataclasses.fields(PredictionFile)]


def files(
    connection: sa.Connection,
    kind: FileKind,
    *,
    deployment_id: str | None = None,
    batch_ids: Sequence[str] = (),
    start: dt.datetime | None = None,
    end: dt.datetime | None = None,
) -> tuple[PredictionFile, ...]:
    """The files of a kind that count, oldest window first, then those of reports; deleted batches have none.

    :param start, end: only windows that begin, and reports that came, in this half-open time.
    """
    table = _MANIFESTS[kind]
    found: list[PredictionFile] = []
    queries = [
        (table, jobs, jobs.c.id == table.c.job_id, jobs.c.window_start, (table.c.job_id, table.c.position)),
    ]
    if kind is FileKind.PREDICTIONS:
        order = (report_logs.c.batch_id, report_logs.c.key)
        queries.append((report_logs, batch_reports, _reported(), batch_reports.c.created_at, order))
    for manifest, owners, same, at, order in queries:
        where: list[sa.ColumnElement[bool]] = [batches.c.deleted_at.is_(None)]
        if deployment_id is not None:
            where.append(batches.c.deployment_id == deployment_id)
        if batch_ids:
            where.append(batches.c.id.in_(batch_ids))
        if start is not None:
            where.append(at >= start)
        if end is not None:
            where.append(at < end)
        rows = connection.execute(
            sa.select(*(manifest.c[name] for name in _FILE))
            .select_from(manifest)
            .join(owners, same)
            .join(batches, batches.c.id == owners.c.batch_id)
            .where(*where)
            .order_by(at, *order)
        )
        found += map(_file, rows)
    return tuple(found)


def concerned(connection: sa.Connection, policy: PurgePolicy) -> tuple[str, ...]:
    """The batches in which a policy may find something, locked ones too."""
    where: list[sa.ColumnElement[bool]] = [batches.c.deleted_at.is_(None)]
    if policy.deployment_id is not None:
        where.append(batches.c.deployment_id == policy.deployment_id)
    if policy.batch_ids:
        where.append(batches.c.id.in_(policy.batch_ids))
    of_jobs = [
        sa.exists().where(jobs.c.batch_id == batches.c.id, table.c.job_id == jobs.c.id, *_chosen(policy))
        for table in _tables(policy)
    ]
    of_reports = [sa.exists().where(report_logs.c.batch_id == batches.c.id, *_old_reports(policy))]
    held = of_jobs + (of_reports if Purged.PREDICTIONS in policy.what else [])
    return tuple(
        connection.execute(sa.select(batches.c.id).where(*where, sa.or_(*held)).order_by(batches.c.id)).scalars()
    )


def forget(
    connection: sa.Connection, batch_id: str, policy: PurgePolicy, *, by: str | None, now: dt.datetime
) -> Forgotten | None:
    """Forget what the policy names of a batch; None where the batch is locked, or deleted.

    An actual stays while a logged prediction that it labels does: a restatement would lose it.
    """
    # Jobs before batches, as in a commit: in the other order the two would wait for each other.
    found = connection.execute(
        jobs.update()
        .where(jobs.c.batch_id == batch_id, *_chosen(policy))
        .values(snapshot_revision=jobs.c.snapshot_revision)
        .returning(jobs.c.id)
    )
    ids = found.scalars().all()
    open_ = sa.true() if policy.locked else batches.c.locked.is_(False)
    deployment_id = connection.execute(
        batches.update()
        .where(batches.c.id == batch_id, batches.c.deleted_at.is_(None), open_)
        .values(updated_at=batches.c.updated_at)
        .returning(batches.c.deployment_id)
    ).scalar_one_or_none()
    if deployment_id is None:
        return None
    gone: list[PredictionFile] = []
    if Purged.PREDICTIONS in policy.what:
        removed = report_logs.delete().where(report_logs.c.batch_id == batch_id, *_old_reports(policy))
        gone += map(_file, connection.execute(removed.returning(*(report_logs.c[name] for name in _FILE))))
    for kind in (FileKind.RETAINED, FileKind.PREDICTIONS, FileKind.ACTUALS):
        if Purged(kind.value) in policy.what:
            table = _MANIFESTS[kind]
            removed = table.delete().where(table.c.job_id.in_(ids), *_free(kind))
            gone += map(_file, connection.execute(removed.returning(*(table.c[name] for name in _FILE))))
    results = _forget_results(connection, [i for i in ids if i not in policy.keep]) if _results(policy) else 0
    if gone or results:
        told = {"files": len(gone), "results": results, "what": sorted(map(str, policy.what))}
        note(connection, now, "batch.purged", batch_id, by=by, deployment_id=deployment_id, **told)
    return Forgotten(tuple(gone), results)


def known_files(connection: sa.Connection, deployment_id: str) -> KnownFiles:
    """Which of a deployment's files may be needed. Ask after the files were listed, never before.

    Nobody needs a file that no manifest lists and that is of an attempt before the newest, or of one that has ended:
    its commit would be refused. Files of a job in parts stay until all of it ends.
    """
    listed: set[str] = set()
    for table in (*_MANIFESTS.values(), report_logs):
        listed.update(
            connection.execute(sa.select(table.c.path).where(table.c.deployment_id == deployment_id)).scalars()
        )
    staged = sa.select(sa.func.min(parts.c.token)).where(parts.c.job_id == jobs.c.id).scalar_subquery()
    rows = connection.execute(
        sa.select(jobs.c.id, jobs.c.token, jobs.c.state, staged.label("cut")).where(
            jobs.c.deployment_id == deployment_id
        )
    )
    newest = {}
    for row in rows:
        running = row.token if row.state in _LIVE else row.token + 1
        newest[owner(row.id)] = running if row.cut is None else min(row.cut, running)
    return KnownFiles(frozenset(listed), newest)


def _forget_results(connection: sa.Connection, ids: Sequence[str]) -> int:
    for table in (metrics, profiles):
        connection.execute(table.delete().where(table.c.job_id.in_(ids)))
    return connection.execute(
        jobs.update()
        .where(jobs.c.id.in_(ids), jobs.c.snapshot_revision > 0, jobs.c.results_deleted.is_(False))
        .values(results_deleted=True, evaluation_due=False)
    ).rowcount


def _chosen(policy: PurgePolicy) -> list[sa.ColumnElement[bool]]:
    return [] if policy.before is None else [jobs.c.window_end <= policy.before]


def _old_reports(policy: PurgePolicy) -> list[sa.ColumnElement[bool]]:
    """Rows of the manifest of reports; they are as old as their report."""
    if policy.before is None:
        return []
    return [sa.exists().where(_reported(), batch_reports.c.created_at <= policy.before)]


def _reported() -> sa.ColumnElement[bool]:
    return sa.and_(batch_reports.c.batch_id == report_logs.c.batch_id, batch_reports.c.key == report_logs.c.key)


def _results(policy: PurgePolicy) -> bool:
    return Purged.RESULTS in policy.what


def _tables(policy: PurgePolicy) -> list[sa.Table]:
    found = [table for kind, table in _MANIFESTS.items() if Purged(kind.value) in policy.what]
    return [*found, profiles] if _results(policy) else found


def _free(kind: FileKind) -> list[sa.ColumnElement[bool]]:
    if kind is not FileKind.ACTUALS:
        return []
    used = sa.exists().where(
        actual_uses.c.actuals_job_id == actual_files.c.job_id, prediction_files.c.job_id == actual_uses.c.job_id
    )
    reported = sa.exists().where(
        report_uses.c.actuals_job_id == actual_files.c.job_id,
        report_logs.c.batch_id == report_uses.c.batch_id,
        report_logs.c.key == report_uses.c.key,
    )
    return [actual_files.c.applied.is_(True), ~used, ~reported]


def _file(row: Any) -> PredictionFile:
    return PredictionFile(**{name: getattr(row, name) for name in _FILE})
