"""The log of reported predictions: what late actuals can join, and whose actuals label it.

As of jobs, a restatement holds only while the report has the revision that was read, and its batch is open. Its
transaction takes the batch first, as every other that touches a report does.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Collection, Iterable
from typing import Any

import sqlalchemy as sa

from airflow_monitoring_provider.exceptions import BatchLocked
from airflow_monitoring_provider.store import texts
from airflow_monitoring_provider.store.actual_records import LoggedReport, report_id
from airflow_monitoring_provider.store.records import PredictionFile, StoredProfile
from airflow_monitoring_provider.store.tables import actual_files, batch_reports, batches, report_logs, report_uses

_FILE = [field.name for field in dataclasses.fields(PredictionFile)]


def record(
    connection: sa.Connection, batch_id: str, key: str, deployment_id: str, file: PredictionFile, now: dt.datetime
) -> None:
    """Part of a report: its file; actuals that came before it are to be joined, right after."""
    known = sa.select(actual_files.c.job_id).where(actual_files.c.deployment_id == deployment_id).limit(1)
    connection.execute(
        report_logs.insert().values(
            batch_id=batch_id,
            key=key,
            deployment_id=deployment_id,
            **dataclasses.asdict(file),
            revision=1,
            due=connection.execute(known).first() is not None,
            updated_at=now,
        )
    )


def path_of(connection: sa.Connection, batch_id: str, key: str) -> str | None:
    """Where a report's file is; None where none counts."""
    path: str | None = connection.execute(
        sa.select(report_logs.c.path).where(report_logs.c.batch_id == batch_id, report_logs.c.key == key)
    ).scalar_one_or_none()
    return path


def logged(connection: sa.Connection, deployment_id: str, only: str | None) -> tuple[LoggedReport, ...]:
    """Reports of a deployment that have a log, oldest first; deleted batches have none."""
    rows = connection.execute(
        sa.select(report_logs, batch_reports.c.created_at, batches.c.locked)
        .join(batch_reports, _same(batch_reports))
        .join(batches, batches.c.id == report_logs.c.batch_id)
        .where(report_logs.c.deployment_id == deployment_id, batches.c.deleted_at.is_(None))
        .order_by(batch_reports.c.created_at, report_logs.c.batch_id, report_logs.c.key)
    )
    return tuple(
        LoggedReport(
            batch_id=row.batch_id,
            key=row.key,
            deployment_id=row.deployment_id,
            until=row.created_at,
            revision=row.revision,
            locked=row.locked,
            due=row.due,
            files=(PredictionFile(**{name: getattr(row, name) for name in _FILE}),),
        )
        for row in rows
        if only is None or only == report_id(row.batch_id, row.key)
    )


def profile(connection: sa.Connection, report: LoggedReport) -> StoredProfile | None:
    """The profile of a report and its revision; None where the report is gone."""
    row = connection.execute(
        sa.select(batch_reports.c.profile, batch_reports.c.content_hash, report_logs.c.revision)
        .join(report_logs, _same(batch_reports))
        .where(*_is(report_logs, report))
    ).one_or_none()
    return None if row is None else StoredProfile(*row)


def hold(connection: sa.Connection, report: LoggedReport, step: int, now: dt.datetime) -> bool:
    """Take the report for the rest of the transaction and count its revision on; False where it has another by now.

    Raises :class:`BatchLocked` where its batch was locked or deleted.
    """
    changed = connection.execute(
        batches.update()
        .where(batches.c.id == report.batch_id, batches.c.locked.is_(False), batches.c.deleted_at.is_(None))
        .values(updated_at=now if step else batches.c.updated_at)
    ).rowcount
    if not changed:
        raise BatchLocked("the batch was locked or deleted; its accuracy stays as it is")
    held = connection.execute(
        report_logs.update()
        .where(*_is(report_logs, report), report_logs.c.revision == report.revision)
        .values(revision=report_logs.c.revision + step)
    )
    return bool(held.rowcount)


def record_profile(connection: sa.Connection, report: LoggedReport, profile_bytes: bytes, content_hash: str) -> None:
    """Part of a restatement: the profile with the accuracy made anew."""
    connection.execute(
        batch_reports.update()
        .where(*_is(batch_reports, report))
        .values(profile=bytes(profile_bytes), content_hash=texts.name(content_hash, "content_hash"))
    )


def record_uses(connection: sa.Connection, report: LoggedReport, actuals_jobs: Iterable[str], now: dt.datetime) -> None:
    """Part of a restatement: whose actuals label the report from now on; it is no longer due."""
    connection.execute(report_uses.delete().where(*_is(report_uses, report)))
    owner = {"batch_id": report.batch_id, "key": report.key}
    rows = [{**owner, "actuals_job_id": source} for source in sorted(set(actuals_jobs))]
    if rows:
        connection.execute(report_uses.insert(), rows)
    connection.execute(report_logs.update().where(*_is(report_logs, report)).values(due=False, updated_at=now))


def keep_due(connection: sa.Connection, report: LoggedReport, now: dt.datetime) -> None:
    """Remember a report whose accuracy could not be restated now."""
    connection.execute(report_logs.update().where(*_is(report_logs, report)).values(due=True, updated_at=now))


def forget(connection: sa.Connection, actuals_jobs: Collection[str], now: dt.datetime) -> None:
    """Mark every report that these jobs' actuals label as due."""
    uses = sa.exists().where(_same(report_uses), report_uses.c.actuals_job_id.in_(actuals_jobs))
    connection.execute(report_logs.update().where(uses).values(due=True, updated_at=now))


def delete(connection: sa.Connection, batch_id: str) -> list[str]:
    """Part of a batch's deletion: nothing of its reports is left to join; the keys of those that had a log."""
    connection.execute(report_uses.delete().where(report_uses.c.batch_id == batch_id))
    gone = report_logs.delete().where(report_logs.c.batch_id == batch_id).returning(report_logs.c.key)
    return list(connection.execute(gone).scalars())


def _same(table: sa.Table) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.batch_id == report_logs.c.batch_id, table.c.key == report_logs.c.key)


def _is(table: sa.Table, report: LoggedReport) -> tuple[Any, Any]:
    return table.c.batch_id == report.batch_id, table.c.key == report.key
