"""Which models' predictions a batch holds, of what time; and what the batch says of itself in sum.

A batch holds the committed snapshots of its jobs and what running code reported. Their times may be dated by hand,
where predictions were made on historical data: then the hand's word counts.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from airflow_monitoring_provider.exceptions import DefinitionError, NotFound
from airflow_monitoring_provider.store.deployment_records import BatchModel
from airflow_monitoring_provider.store.engine import insert
from airflow_monitoring_provider.store.tables import actual_files, batch_dates, batch_reports, batches, jobs, snapshots
from airflow_monitoring_provider.store.types import Utc, in_utc

NO_MODEL = ""
"""The ``model_id`` of predictions whose definition names no model."""


def all_of(connection: sa.Connection, batch_id: str) -> tuple[BatchModel, ...]:
    """One entry a model, by its id."""
    held = sa.union_all(
        _facts(snapshots)
        .join(jobs, jobs.c.id == snapshots.c.job_id)
        .where(jobs.c.batch_id == batch_id, ~brings_actuals(jobs.c.id)),
        _facts(batch_reports).where(batch_reports.c.batch_id == batch_id),
    ).subquery()
    found = connection.execute(
        sa.select(
            held.c.model_id,
            sa.func.sum(held.c.scored_rows).label("predictions"),
            sa.func.min(held.c.earliest, type_=Utc).label("earliest"),
            sa.func.max(held.c.latest, type_=Utc).label("latest"),
        )
        .group_by(held.c.model_id)
        .order_by(held.c.model_id)
    ).all()
    dated = {
        row.model_id: row
        for row in connection.execute(sa.select(batch_dates).where(batch_dates.c.batch_id == batch_id))
    }
    entries = []
    for row in found:
        by_hand = dated.get(row.model_id)
        entries.append(
            BatchModel(
                batch_id=batch_id,
                model_id=row.model_id,
                start_time=row.earliest if by_hand is None else by_hand.start_time or row.earliest,
                end_time=row.latest if by_hand is None else by_hand.end_time or row.latest,
                predictions=int(row.predictions),
                dated=by_hand is not None,
            )
        )
    return tuple(entries)


def date(
    connection: sa.Connection,
    batch_id: str,
    model_id: str,
    *,
    start: dt.datetime | None,
    end: dt.datetime | None,
    now: dt.datetime,
) -> BatchModel:
    """Date a model's predictions by hand; the batch's row must be held."""
    entry = next((each for each in all_of(connection, batch_id) if each.model_id == model_id), None)
    if entry is None:
        raise NotFound("the batch holds no predictions of this model")
    given = {name: in_utc(at) for name, at in (("start_time", start), ("end_time", end)) if at is not None}
    times = {"start_time": entry.start_time, "end_time": entry.end_time} | given
    if times["start_time"] and times["end_time"] and times["end_time"] < times["start_time"]:
        field = "startTime" if "end_time" not in given else "endTime"
        raise DefinitionError("endTime lies before startTime", field=field)
    statement = insert(connection, batch_dates).values(batch_id=batch_id, model_id=model_id, updated_at=now, **given)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[batch_dates.c.batch_id, batch_dates.c.model_id], set_={**given, "updated_at": now}
        )
    )
    recount(connection, batch_id, now)
    return next(each for each in all_of(connection, batch_id) if each.model_id == model_id)


def recount(connection: sa.Connection, batch_id: str, now: dt.datetime) -> None:
    """Let the batch say how many predictions it holds, and of what time; the batch's row must be held."""
    entries = all_of(connection, batch_id)
    connection.execute(
        batches.update()
        .where(batches.c.id == batch_id)
        .values(
            predictions=sum(entry.predictions for entry in entries),
            earliest_prediction=min((entry.start_time for entry in entries if entry.start_time), default=None),
            latest_prediction=max((entry.end_time for entry in entries if entry.end_time), default=None),
            updated_at=now,
        )
    )


def brings_actuals(job_id: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Whether a job's rows are actuals of predictions that other jobs brought: they are no predictions themselves."""
    return sa.exists().where(actual_files.c.job_id == job_id)


def _facts(table: sa.Table) -> sa.Select[Any]:
    model = sa.func.coalesce(table.c.model_id, NO_MODEL).label("model_id")
    return sa.select(model, table.c.scored_rows, table.c.earliest, table.c.latest)
