"""What baselines are merged of: committed profiles of batches that are not deleted, and a record of each merge."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa

from airflow_monitoring_provider.definitions.terms import ResultStatus, WindowKind
from airflow_monitoring_provider.definitions.window import Window
from airflow_monitoring_provider.metrics.values import ResultKind
from airflow_monitoring_provider.store import texts
from airflow_monitoring_provider.store.baseline_records import BaselineVersion, Candidate
from airflow_monitoring_provider.store.baselines import next_version
from airflow_monitoring_provider.store.engine import insert
from airflow_monitoring_provider.store.records import StoredProfile
from airflow_monitoring_provider.store.tables import (
    ALL_ROWS,
    baseline_versions,
    baselines,
    batch_reports,
    batches,
    jobs,
    metrics,
    profiles,
    snapshots,
)

REPORT = "report:"
_DRIFT = (ResultKind.DATA_DRIFT.value, ResultKind.CONCEPT_DRIFT.value)
_VERSION = list(BaselineVersion.__slots__)


def candidates(connection: sa.Connection, definition_id: str) -> tuple[Candidate, ...]:
    """Every profile of a definition that counts, oldest window first, then what running code reported."""
    drift = sa.exists().where(
        metrics.c.job_id == jobs.c.id,
        metrics.c.kind.in_(_DRIFT),
        metrics.c.status == ResultStatus.DETECTED.text,
    )
    detected = jobs.c.overall_status == ResultStatus.DETECTED.text
    of_jobs = connection.execute(
        sa.select(
            jobs.c.id,
            jobs.c.window_start,
            jobs.c.window_end,
            jobs.c.window_kind,
            jobs.c.batch_id,
            snapshots.c.revision,
            snapshots.c.content_hash,
            snapshots.c.rows,
            sa.case((sa.and_(detected, drift), True), else_=False).label("drifted"),
        )
        .join(snapshots, snapshots.c.job_id == jobs.c.id)
        .join(batches, batches.c.id == jobs.c.batch_id)
        .where(jobs.c.definition_id == definition_id, jobs.c.results_deleted.is_(False), batches.c.deleted_at.is_(None))
        .order_by(jobs.c.window_start, jobs.c.id)
    )
    found = [
        Candidate(
            id=row.id,
            window=Window.of(row.window_start, row.window_end, WindowKind(row.window_kind)),
            batch_id=row.batch_id,
            revision=row.revision,
            content_hash=row.content_hash,
            rows=row.rows,
            drifted=bool(row.drifted),
        )
        for row in of_jobs
    ]
    told = connection.execute(
        sa.select(batch_reports.c.batch_id, batch_reports.c.key, batch_reports.c.content_hash, batch_reports.c.rows)
        .join(batches, batches.c.id == batch_reports.c.batch_id)
        .where(batch_reports.c.definition_id == definition_id, batches.c.deleted_at.is_(None))
        .order_by(batch_reports.c.batch_id, batch_reports.c.key)
    )
    found += [
        Candidate(f"{REPORT}{row.batch_id}/{row.key}", None, row.batch_id, 0, row.content_hash, row.rows)
        for row in told
    ]
    return tuple(found)


def deleted_windows(connection: sa.Connection, definition_id: str) -> tuple[Window, ...]:
    """Windows of a definition's jobs whose batch was deleted."""
    rows = connection.execute(
        sa.select(jobs.c.window_start, jobs.c.window_end, jobs.c.window_kind)
        .where(jobs.c.definition_id == definition_id, jobs.c.results_deleted.is_(True))
        .order_by(jobs.c.window_start, jobs.c.id)
    )
    return tuple(Window.of(row.window_start, row.window_end, WindowKind(row.window_kind)) for row in rows)


def stored(connection: sa.Connection, ids: Collection[str]) -> dict[str, StoredProfile]:
    """The committed profiles with these ids; those that are no longer there are left out."""
    of_jobs = connection.execute(
        sa.select(profiles.c.job_id, profiles.c.profile, snapshots.c.content_hash, snapshots.c.revision)
        .join(snapshots, snapshots.c.job_id == profiles.c.job_id)
        .where(profiles.c.job_id.in_([each for each in ids if not each.startswith(REPORT)]))
        .where(profiles.c.segment_id == ALL_ROWS)
    )
    found = {row.job_id: StoredProfile(row.profile, row.content_hash, row.revision) for row in of_jobs}
    for each in ids:
        if each.startswith(REPORT):
            batch_id, _, key = each.removeprefix(REPORT).partition("/")
            row = connection.execute(
                sa.select(batch_reports.c.profile, batch_reports.c.content_hash).where(
                    batch_reports.c.batch_id == batch_id, batch_reports.c.key == key
                )
            ).one_or_none()
            if row is not None:
                found[each] = StoredProfile(row.profile, row.content_hash, 0)
    return found


def record(
    connection: sa.Connection,
    definition_id: str,
    key: str,
    *,
    kind: str,
    content_hash: str,
    plan_hash: str,
    plan: Mapping[str, Any],
    format_version: int,
    rows: int,
    window: tuple[dt.datetime | None, dt.datetime | None],
    details: Mapping[str, Any],
    now: dt.datetime,
) -> int:
    """The version of a merge, the same one each time it is made of the same profiles. The profile is not kept twice."""
    line = {"kind": texts.name(kind, "kind"), "state": "completed", "reason": None, "started_at": now}
    statement = insert(connection, baselines).values(
        definition_id=definition_id, key=texts.name(key, "key"), token=1, version=None, finished_at=now, **line
    )
    known: int | None = connection.execute(
        statement.on_conflict_do_update(
            index_elements=[baselines.c.definition_id, baselines.c.key], set_={"token": baselines.c.token + 1}
        ).returning(baselines.c.version)
    ).scalar_one()
    if known is not None:
        return known
    version = next_version(connection, definition_id)
    connection.execute(
        baseline_versions.insert().values(
            definition_id=definition_id,
            version=version,
            key=key,
            kind=kind,
            token=1,
            job_id=None,
            window_start=window[0],
            window_end=window[1],
            content_hash=texts.name(content_hash, "content_hash"),
            plan_hash=texts.name(plan_hash, "plan_hash"),
            plan=dict(plan),
            format_version=int(format_version),
            rows=int(rows),
            profile=b"",
            details=dict(details),
            created_at=now,
        )
    )
    connection.execute(
        baselines.update()
        .where(baselines.c.definition_id == definition_id, baselines.c.key == key)
        .values(version=version)
    )
    return version


def versions(
    connection: sa.Connection, definition_id: str, *, version: int | None = None, limit: int, offset: int
) -> tuple[BaselineVersion, ...]:
    """What a definition's jobs were compared with, newest first; or one of it."""
    conditions = [baseline_versions.c.definition_id == definition_id]
    if version is not None:
        conditions.append(baseline_versions.c.version == version)
    rows = connection.execute(
        sa.select(*(baseline_versions.c[name] for name in _VERSION))
        .where(*conditions)
        .order_by(baseline_versions.c.version.desc())
        .limit(limit)
        .offset(offset)
    )
    return tuple(BaselineVersion(**row) for row in rows.mappings())
