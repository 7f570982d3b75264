"""Batches: listed, locked, deleted; what a person decides about a batch beats a job that is about to commit.

The store knows no roles: whoever calls it decides who may. It only records who did, in the audit.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import sqlalchemy as sa

from airflow_monitoring_provider.exceptions import BatchLocked, NotFound
from airflow_monitoring_provider.store import texts
from airflow_monitoring_provider.store.records import BatchRecord, Page
from airflow_monitoring_provider.store.registry import note
from airflow_monitoring_provider.store.tables import batches, jobs, metrics, prediction_files, profiles, snapshots

_RESULTS = (metrics, profiles, snapshots, prediction_files)


def many(connection: sa.Connection, *, deployment_id: str, deleted: bool, limit: int, offset: int) -> Page[BatchRecord]:
    """Batches of a deployment, newest first."""
    conditions = [batches.c.deployment_id == deployment_id]
    if not deleted:
        conditions.append(batches.c.deleted_at.is_(None))
    total = connection.execute(sa.select(sa.func.count()).select_from(batches).where(*conditions)).scalar_one()
    order = (batches.c.created_at.desc(), batches.c.id)
    rows = connection.execute(_select().where(*conditions).order_by(*order).limit(limit).offset(offset))
    return Page(tuple(BatchRecord(**row) for row in rows.mappings()), total, offset)


def one(connection: sa.Connection, batch_id: str) -> BatchRecord:
    """The batch with this id, deleted or not; else :class:`NotFound`."""
    row = connection.execute(_select().where(batches.c.id == batch_id)).mappings().one_or_none()
    if row is None:
        raise NotFound("no batch has this id")
    return BatchRecord(**row)


def lock(connection: sa.Connection, batch_id: str, *, locked: bool, by: str | None, now: dt.datetime) -> BatchRecord:
    """Let the batch take no more predictions, or take them again."""
    who = texts.optional_name(by, "by")
    deployment_id = connection.execute(
        batches.update()
        .where(batches.c.id == batch_id, batches.c.deleted_at.is_(None))
        .values(locked=locked, updated_at=now)
        .returning(batches.c.deployment_id)
    ).scalar_one_or_none()
    if deployment_id is None:
        raise _gone(one(connection, batch_id))
    action = "batch.locked" if locked else "batch.unlocked"
    note(connection, now, action, batch_id, by=who, deployment_id=deployment_id)
    return one(connection, batch_id)


def delete(connection: sa.Connection, batch_id: str, *, by: str | None, now: dt.datetime) -> list[str]:
    """Take the batch and its results out of everything, for good; the ids of its jobs, whose files are garbage now.

    Jobs, attempts and logs stay, as history.
    """
    who = texts.optional_name(by, "by")
    # Jobs before batches, as in a commit: in the other order the two would wait for each other.
    ids = (
        connection.execute(
            jobs.update()
            .where(jobs.c.batch_id == batch_id)
            .values(results_deleted=True, evaluation_due=False, overall_status=None)
            .returning(jobs.c.id)
        )
        .scalars()
        .all()
    )
    deployment_id = connection.execute(
        batches.update()
        .where(batches.c.id == batch_id, batches.c.deleted_at.is_(None))
        .values(deleted_at=now, updated_at=now, predictions=0, earliest_prediction=None, latest_prediction=None)
        .returning(batches.c.deployment_id)
    ).scalar_one_or_none()
    if deployment_id is None:
        raise _gone(one(connection, batch_id))
    for table in _RESULTS:
        connection.execute(table.delete().where(table.c.job_id.in_(ids)))
    note(connection, now, "batch.deleted", batch_id, by=who, deployment_id=deployment_id, jobs=list(ids))
    return list(ids)


def _gone(batch: BatchRecord) -> BatchLocked:
    return BatchLocked(f"the batch was deleted at {batch.deleted_at:%Y-%m-%d %H:%M:%S} UTC")


def _select() -> sa.Select[Any]:
    return sa.select(*(batches.c[field.name] for field in dataclasses.fields(BatchRecord)))
