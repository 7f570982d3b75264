"""What the store knows of a definition's windows over time: committed ones whose batches are not deleted."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from airflow_monitoring_provider.definitions.terms import WindowKind
from airflow_monitoring_provider.store import queries
from airflow_monitoring_provider.store.reader import StoreReader
from airflow_monitoring_provider.store.tables import ALL_ROWS, batches, jobs, metrics, profiles, snapshots
from airflow_monitoring_provider.store.types import in_utc


@dataclasses.dataclass(frozen=True, slots=True)
class WindowRecord:
    """A committed scheduled window: its newest snapshot's facts.

    :param details: the snapshot's. :param status: of its evaluation; None where that is due.
    """

    job_id: str
    start: dt.datetime
    end: dt.datetime
    rows: int
    revision: int
    details: dict[str, Any]
    status: str | None


class WindowStore(StoreReader):
    """The store of windows."""

    def earlier_windows(self, definition_id: str, before: dt.datetime, limit: int) -> tuple[WindowRecord, ...]:
        """The newest ``limit`` windows that ended at or before an instant; the newest first."""
        queries.page(limit, 0)
        query = _windows(definition_id).where(jobs.c.window_end <= in_utc(before))
        with self._reading() as connection:
            rows = connection.execute(query.order_by(jobs.c.window_start.desc(), jobs.c.id).limit(limit))
            return tuple(WindowRecord(*row) for row in rows)

    def windows_from(self, definition_id: str, starts: Collection[dt.datetime]) -> tuple[WindowRecord, ...]:
        """Windows that start at one of these instants; the newest first."""
        query = _windows(definition_id).where(jobs.c.window_start.in_([in_utc(start) for start in starts]))
        with self._reading() as connection:
            rows = connection.execute(query.order_by(jobs.c.window_start.desc(), jobs.c.id))
            return tuple(WindowRecord(*row) for row in rows)

    def earlier_values(
        self, job_ids: Sequence[str], metric: str
    ) -> dict[tuple[str | None, str | None], tuple[float, ...]]:
        """What committed jobs have of a metric: column and segment -> values, in the order of the jobs.

        Where a job has no value it is passed over.
        """
        query = sa.select(metrics.c.job_id, metrics.c.column_name, metrics.c.segment_id, metrics.c.value).where(
            metrics.c.job_id.in_(job_ids), metrics.c.name == metric, metrics.c.value.is_not(None)
        )
        place = {job_id: number for number, job_id in enumerate(job_ids)}
        found: dict[tuple[str | None, str | None], list[float]] = {}
        with self._reading() as connection:
            rows = connection.execute(query).all() if place else []
        for _, column, segment, value in sorted(rows, key=lambda row: place[row.job_id]):
            found.setdefault((column, None if segment == ALL_ROWS else segment), []).append(value)
        return {key: tuple(values) for key, values in found.items()}

    def windows(self, definition_id: str, start: dt.datetime, end: dt.datetime) -> tuple[WindowRecord, ...]:
        """Windows that start from ``start`` on and before ``end``, the oldest first."""
        query = _windows(definition_id).where(jobs.c.window_start >= in_utc(start), jobs.c.window_start < in_utc(end))
        with self._reading() as connection:
            rows = connection.execute(query.order_by(jobs.c.window_start, jobs.c.id))
            return tuple(WindowRecord(*row) for row in rows)

    def windows_with_profiles(
        self, definition_id: str, start: dt.datetime, end: dt.datetime
    ) -> tuple[tuple[WindowRecord, bytes, str], ...]:
        """:meth:`windows`, each with its profile's bytes and content hash; of one moment."""
        query = (
            _windows(definition_id)
            .add_columns(profiles.c.profile, profiles.c.content_hash)
            .join(profiles, sa.and_(profiles.c.job_id == jobs.c.id, profiles.c.segment_id == ALL_ROWS))
            .where(jobs.c.window_start >= in_utc(start), jobs.c.window_start < in_utc(end))
        )
        with self._reading() as connection:
            rows = connection.execute(query.order_by(jobs.c.window_start, jobs.c.id))
            return tuple((WindowRecord(*row[:-2]), row[-2], row[-1]) for row in rows)


def _windows(definition_id: str) -> sa.Select[Any]:
    return (
        sa.select(
            jobs.c.id,
            jobs.c.window_start,
            jobs.c.window_end,
            snapshots.c.rows,
            snapshots.c.revision,
            snapshots.c.details,
            jobs.c.overall_status,
        )
        .join(snapshots, snapshots.c.job_id == jobs.c.id)
        .join(batches, batches.c.id == jobs.c.batch_id)
        .where(
            jobs.c.definition_id == definition_id,
            jobs.c.window_kind == WindowKind.SCHEDULED,
            jobs.c.results_deleted.is_(False),
            batches.c.deleted_at.is_(None),
        )
    )
