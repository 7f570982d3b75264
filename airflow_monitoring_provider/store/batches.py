"""Batches: made, listed, described, locked, deleted; what a person decides about one beats a job about to commit.

The store knows no roles: whoever calls it decides who may. It only records who did, in the audit.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from airflow_monitoring_provider.definitions.terms import JobState, WindowKind
from airflow_monitoring_provider.exceptions import (
    BatchLimitReached,
    BatchLocked,
    ConfigurationError,
    DefinitionError,
    NotFound,
)
from airflow_monitoring_provider.store import actuals, arguments, batch_models, deployments, report_logs, texts
from airflow_monitoring_provider.store.deployment_records import BatchFilter, BatchLimits, BatchModel
from airflow_monitoring_provider.store.records import BatchRecord, Page
from airflow_monitoring_provider.store.registry import note
from airflow_monitoring_provider.store.report_records import report_files
from airflow_monitoring_provider.store.tables import (
    actual_files,
    batch_dates,
    batch_reports,
    batch_stats,
    batches,
    custom_values,
    jobs,
    metrics,
    prediction_files,
    profiles,
    retained_files,
    snapshots,
)
from airflow_monitoring_provider.store.types import Utc, in_utc

ORDERS = {
    "name": batches.c.name,
    "created": batches.c.created_at,
    "earliest": batches.c.earliest_prediction,
    "latest": batches.c.latest_prediction,
}
"""What lists can be ordered by, each also with ``-``; batches without such a time come last either way."""
_RESULTS = (metrics, profiles, snapshots, prediction_files, actual_files, retained_files)
_KEYS = uuid.UUID("8f0d2a53-6a0e-5a7e-9a57-0a8c51d1c0f4")
_URLS = ("http://", "https://")


def many(
    connection: sa.Connection,
    deployment_id: str,
    wanted: BatchFilter,
    *,
    order: str,
    limit: int,
    offset: int,
) -> Page[BatchRecord]:
    """The batches of a deployment that a filter lets through."""
    arguments.choice(order, (name for each in ORDERS for name in (each, f"-{each}")), "order")
    column = ORDERS[order.removeprefix("-")]
    conditions = [batches.c.deployment_id == deployment_id, *_conditions(wanted)]
    total = connection.execute(sa.select(sa.func.count()).select_from(batches).where(*conditions)).scalar_one()
    towards = column.desc() if order.startswith("-") else column.asc()
    rows = connection.execute(
        _select().where(*conditions).order_by(towards.nulls_last(), batches.c.id).limit(limit).offset(offset)
    )
    return Page(tuple(BatchRecord(**row) for row in rows.mappings()), total, offset)


def newest(connection: sa.Connection, deployment_id: str, count: int, since: dt.datetime | None) -> tuple[str, ...]:
    """Ids of the batches whose predictions are the newest, of those in which something happened that counts in health.

    Time is that of the latest prediction, or where rows have none, of the batch's making.
    """
    at = sa.func.coalesce(batches.c.latest_prediction, batches.c.created_at, type_=Utc)
    ended = (JobState.COMPLETED, JobState.FAILED)
    counts = (
        sa.exists().where(
            jobs.c.batch_id == batches.c.id,
            jobs.c.state.in_(ended),
            jobs.c.window_kind != WindowKind.AD_HOC,
            ~batch_models.brings_actuals(jobs.c.id),
        ),
        sa.exists().where(batch_reports.c.batch_id == batches.c.id),
        sa.exists().where(batch_stats.c.batch_id == batches.c.id),
    )
    conditions = [batches.c.deployment_id == deployment_id, batches.c.deleted_at.is_(None), sa.or_(*counts)]
    if since is not None:
        conditions.append(at >= in_utc(since))
    query = sa.select(batches.c.id).where(*conditions).order_by(at.desc(), batches.c.created_at.desc(), batches.c.id)
    return tuple(connection.execute(query.limit(count)).scalars())


def one(connection: sa.Connection, batch_id: str) -> BatchRecord:
    """The batch with this id, deleted or not; else :class:`NotFound`."""
    arguments.identity(batch_id, "batch_id", "batch")
    row = connection.execute(_select().where(batches.c.id == batch_id)).mappings().one_or_none()
    if row is None:
        raise NotFound("no batch has this id")
    return BatchRecord(**row)


def limits(connection: sa.Connection, deployment_id: str, now: dt.datetime) -> BatchLimits:
    """How many batches of the day (UTC) there are, deleted ones too, and how many there may be; those of actuals, which
    hold no predictions, do not count.
    """
    limit = deployments.one(connection, deployment_id).settings.daily_batch_limit
    today = in_utc(now).replace(hour=0, minute=0, second=0, microsecond=0)
    tomorrow = today + dt.timedelta(days=1)
    made = connection.execute(
        sa.select(sa.func.count())
        .select_from(batches)
        .where(
            batches.c.deployment_id == deployment_id,
            batches.c.created_at >= today,
            batches.c.created_at < tomorrow,
            ~sa.exists().where(actual_files.c.batch_id == batches.c.id),
        )
    ).scalar_one()
    return BatchLimits(daily_limit=limit if isinstance(limit, int) else None, created_today=made, resets_at=tomorrow)


def create(
    connection: sa.Connection,
    deployment_id: str,
    name: str,
    *,
    description: str | None,
    external_url: str | None,
    key: str | None,
    by: str | None,
    now: dt.datetime,
) -> BatchRecord:
    """An empty batch, or the one that ``key`` made; one after the other, so that the last of a day is given once."""
    who = texts.optional_name(by, "by")
    named = texts.name(name, "batchName")
    described = _described({"name": named, "description": description, "external_url": external_url})
    key = texts.optional_name(key, "key")
    deployments.hold(connection, deployment_id)
    if not deployments.one(connection, deployment_id).settings.batch_monitoring.enabled:
        raise ConfigurationError(
            "the deployment's batch monitoring is off; turn it on in its settings: batchMonitoring.enabled"
        )
    identity = uuid.uuid4().hex if key is None else uuid.uuid5(_KEYS, f"{deployment_id}\0{key}").hex
    if connection.execute(sa.select(batches.c.id).where(batches.c.id == identity)).first() is not None:
        made = one(connection, identity)
        if made.deleted_at is not None:
            raise _gone(made)
        return made
    day = limits(connection, deployment_id, now)
    if day.daily_limit is not None and day.created_today >= day.daily_limit:
        raise BatchLimitReached(
            f"the deployment has {day.created_today} batches of today and may be given {day.daily_limit}; the count "
            f"starts anew at {day.resets_at:%Y-%m-%d %H:%M} UTC, and dailyBatchLimit in its settings changes the limit"
        )
    connection.execute(
        batches.insert().values(
            id=identity,
            deployment_id=deployment_id,
            **described,
            locked=False,
            predictions=0,
            created_at=now,
            created_by=who,
            updated_at=now,
        )
    )
    note(connection, now, "batch.created", identity, by=who, deployment_id=deployment_id, name=name)
    return one(connection, identity)


def change(
    connection: sa.Connection, batch_id: str, values: Mapping[str, str | None], *, by: str | None, now: dt.datetime
) -> BatchRecord:
    """Describe the batch anew."""
    who = texts.optional_name(by, "by")
    described = _described(values)
    deployment_id = _change_open(connection, batch_id, {**described, "updated_at": now})
    if described:
        note(connection, now, "batch.changed", batch_id, by=who, deployment_id=deployment_id, **described)
    return one(connection, batch_id)


def date(
    connection: sa.Connection,
    batch_id: str,
    model_id: str,
    *,
    start: dt.datetime | None,
    end: dt.datetime | None,
    by: str | None,
    now: dt.datetime,
) -> BatchModel:
    """Date a model's predictions by hand."""
    who = texts.optional_name(by, "by")
    deployment_id = _change_open(connection, batch_id, {"updated_at": now})
    dated = batch_models.date(connection, batch_id, model_id, start=start, end=end, now=now)
    times = {"start_time": dated.start_time, "end_time": dated.end_time}
    told = {name: None if at is None else at.isoformat() for name, at in times.items()}
    note(connection, now, "batch.dated", batch_id, by=who, deployment_id=deployment_id, model_id=model_id, **told)
    return dated


def lock(connection: sa.Connection, batch_id: str, *, locked: bool, by: str | None, now: dt.datetime) -> BatchRecord:
    """Let the batch take no more predictions, or take them again."""
    if not isinstance(locked, bool):
        raise DefinitionError(f"locked must be True or False, not {type(locked).__name__}", field="locked")
    who = texts.optional_name(by, "by")
    deployment_id = _change_open(connection, batch_id, {"locked": locked, "updated_at": now})
    action = "batch.locked" if locked else "batch.unlocked"
    note(connection, now, action, batch_id, by=who, deployment_id=deployment_id)
    return one(connection, batch_id)


def delete(connection: sa.Connection, batch_id: str, *, by: str | None, now: dt.datetime) -> list[str]:
    """Take the batch and its results out of everything, for good; the jobs and reports whose files are garbage now.

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
    empty = {"predictions": 0, "earliest_prediction": None, "latest_prediction": None}
    deployment_id = _change_open(connection, batch_id, {"deleted_at": now, "updated_at": now, **empty})
    reports = report_logs.delete(connection, batch_id)
    for table in (batch_dates, batch_reports, batch_stats, custom_values):
        connection.execute(table.delete().where(table.c.batch_id == batch_id))
    for table in _RESULTS:
        connection.execute(table.delete().where(table.c.job_id.in_(ids)))
    actuals.forget(connection, ids, now)
    note(connection, now, "batch.deleted", batch_id, by=who, deployment_id=deployment_id, jobs=list(ids))
    return [*ids, *map(report_files, reports)]


def _change_open(connection: sa.Connection, batch_id: str, values: Mapping[str, Any]) -> str:
    """Change a batch that is not deleted, which holds its row; its deployment's id."""
    arguments.identity(batch_id, "batch_id", "batch")
    deployment_id: str | None = connection.execute(
        batches.update()
        .where(batches.c.id == batch_id, batches.c.deleted_at.is_(None))
        .values(**values)
        .returning(batches.c.deployment_id)
    ).scalar_one_or_none()
    if deployment_id is None:
        raise _gone(one(connection, batch_id))
    return deployment_id


def _described(values: Mapping[str, str | None]) -> dict[str, str | None]:
    given: dict[str, str | None] = {}
    if values["name"] is not None:
        given["name"] = texts.name(values["name"], "batchName")
    if values["description"] is not None:
        given["description"] = texts.free(values["description"], "description") or None
    url = values["external_url"]
    if url is not None:
        # It is shown as a link: a javascript: address would run in the reader's page.
        if url and not texts.free(url, "externalContextUrl").lower().startswith(_URLS):
            raise DefinitionError("externalContextUrl must begin with http:// or https://", field="externalContextUrl")
        given["external_url"] = texts.name(url, "externalContextUrl", limit=2_000) if url else None
    return given


def _conditions(wanted: BatchFilter) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if not wanted.deleted:
        found.append(batches.c.deleted_at.is_(None))
    if wanted.search:
        search = texts.free(wanted.search, "search")
        found.append(sa.or_(batches.c.name.icontains(search, autoescape=True), batches.c.id == search))
    if wanted.created_by is not None:
        found.append(batches.c.created_by == wanted.created_by)
    if wanted.locked is not None:
        found.append(batches.c.locked.is_(wanted.locked))
    if wanted.created_after is not None:
        found.append(batches.c.created_at >= in_utc(wanted.created_after))
    if wanted.created_before is not None:
        found.append(batches.c.created_at < in_utc(wanted.created_before))
    if wanted.start_after is not None:
        found.append(batches.c.earliest_prediction >= in_utc(wanted.start_after))
    if wanted.end_before is not None:
        found.append(batches.c.latest_prediction < in_utc(wanted.end_before))
    return found


def _gone(batch: BatchRecord) -> BatchLocked:
    return BatchLocked(f"the batch was deleted at {batch.deleted_at:%Y-%m-%d %H:%M:%S} UTC")


def _select() -> sa.Select[Any]:
    return sa.select(*(batches.c[field.name] for field in dataclasses.fields(BatchRecord)))
