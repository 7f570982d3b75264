"""What the store keeps of rows themselves: retained samples by batch."""

from __future__ import annotations

import dataclasses

import sqlalchemy as sa

from airflow_monitoring_provider.store.records import PredictionFile
from airflow_monitoring_provider.store.tables import batches, jobs, retained_files


def files(connection: sa.Connection, batch_id: str) -> dict[str, tuple[PredictionFile, ...]]:
    """The retained rows of a batch: job -> its files, oldest window first; a deleted batch has none."""
    columns = [retained_files.c[field.name] for field in dataclasses.fields(PredictionFile)]
    rows = connection.execute(
        sa.select(retained_files.c.job_id, *columns)
        .join(jobs, jobs.c.id == retained_files.c.job_id)
        .join(batches, batches.c.id == jobs.c.batch_id)
        .where(jobs.c.batch_id == batch_id, batches.c.deleted_at.is_(None))
        .order_by(jobs.c.window_start, retained_files.c.job_id, retained_files.c.position)
    )
    found: dict[str, tuple[PredictionFile, ...]] = {}
    for job, *file in rows:
        found[job] = (*found.get(job, ()), PredictionFile(*file))
    return found
