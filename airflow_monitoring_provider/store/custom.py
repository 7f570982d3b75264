"""Metrics of the user's own in the store: descriptions, reported values, and the series of both kinds of values."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from airflow_monitoring_provider.definitions.custom import CustomMetric, MetricType
from airflow_monitoring_provider.definitions.instants import FIRST_YEAR, LAST_YEAR
from airflow_monitoring_provider.definitions.terms import WindowKind
from airflow_monitoring_provider.definitions.writing import plain
from airflow_monitoring_provider.exceptions import ConfigurationError, DefinitionError, NotFound
from airflow_monitoring_provider.store import arguments, reports, texts
from airflow_monitoring_provider.store.custom_records import CustomMetricRecord, CustomPoint, CustomReport
from airflow_monitoring_provider.store.custom_tables import custom_metrics, custom_values
from airflow_monitoring_provider.store.engine import insert
from airflow_monitoring_provider.store.job_tables import batches, jobs
from airflow_monitoring_provider.store.result_tables import ALL_ROWS, metrics
from airflow_monitoring_provider.store.types import finite, in_utc

_BLOCK = 1000
_LARGEST_COUNT = 2**53


def describe(
    connection: sa.Connection,
    deployment_id: str,
    described: Mapping[str, CustomMetric],
    *,
    definition_id: str | None,
    by: str | None,
    now: dt.datetime,
) -> None:
    """Make metrics known, or describe them anew; of two definitions that name one the last says what it is."""
    for name, metric in described.items():
        statement = insert(connection, custom_metrics).values(
            deployment_id=deployment_id,
            id=texts.name(name, "customMetrics"),
            definition_id=definition_id,
            type=metric.type,
            directionality=metric.directionality,
            source=metric.source,
            payload=plain(metric, camel=True),
            created_at=now,
            created_by=texts.optional_name(by, "by"),
            updated_at=now,
        )
        replaced = ("definition_id", "type", "directionality", "source", "payload", "updated_at")
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=[custom_metrics.c.deployment_id, custom_metrics.c.id],
                set_={column: statement.excluded[column] for column in replaced},
            )
        )


def many(connection: sa.Connection, deployment_id: str) -> tuple[CustomMetricRecord, ...]:
    """The metrics of a deployment by id."""
    query = _select().where(custom_metrics.c.deployment_id == deployment_id).order_by(custom_metrics.c.id)
    return tuple(_record(row) for row in connection.execute(query))


def one(connection: sa.Connection, deployment_id: str, metric_id: str) -> CustomMetricRecord:
    """One metric. Raises :class:`NotFound`."""
    arguments.identity(deployment_id, "deployment_id", "deployment")
    arguments.identity(metric_id, "metric_id", "custom metric")
    query = _select().where(custom_metrics.c.deployment_id == deployment_id, custom_metrics.c.id == metric_id)
    found = connection.execute(query).one_or_none()
    if found is None:
        raise NotFound("the deployment has no custom metric of this id")
    return _record(found)


def report(
    connection: sa.Connection, deployment_id: str, metric_id: str, values: Sequence[CustomReport], now: dt.datetime
) -> int:
    """Add values; how many are new. Raises :class:`NotFound`, :class:`BatchLocked`, :class:`DefinitionError`,
    :class:`ConfigurationError` where a job computes the metric or a batch is another deployment's.
    """
    known = one(connection, deployment_id, metric_id)
    if known.metric.source != "reported":
        raise ConfigurationError(
            f"custom metric {metric_id!r} is computed by jobs ({known.metric.source}); values are reported of metrics "
            "without sql and function"
        )
    given = arguments.instances(values, CustomReport, "values", "such as CustomReport(1.5)")
    rows = [_row(known, each, now) for each in given]
    for batch_id in sorted({row["batch_id"] for row in rows if row["batch_id"] is not None}):
        if reports.take(connection, batch_id, now) != deployment_id:
            raise ConfigurationError("a batch belongs to another deployment than the metric")
    added = 0
    for start in range(0, len(rows), _BLOCK):
        statement = insert(connection, custom_values).values(rows[start : start + _BLOCK])
        added += len(connection.execute(statement.on_conflict_do_nothing().returning(custom_values.c.key)).all())
    return added


def points(
    connection: sa.Connection,
    deployment_id: str,
    metric_id: str,
    *,
    start: dt.datetime | None,
    end: dt.datetime | None,
    batch_ids: Collection[str] | None,
) -> Iterator[CustomPoint]:
    """Values in the order of their time, a block in memory at a time; those of deleted batches never.

    Of ad hoc windows only where their batch is asked for.
    """
    computed = (
        sa.select(metrics, jobs.c.batch_id)
        .join(jobs, jobs.c.id == metrics.c.job_id)
        .join(batches, batches.c.id == jobs.c.batch_id)
        .where(
            metrics.c.deployment_id == deployment_id,
            metrics.c.name == metric_id,
            metrics.c.column_name.is_(None),
            metrics.c.segment_id == ALL_ROWS,
            jobs.c.results_deleted.is_(False),
            batches.c.deleted_at.is_(None),
        )
        .order_by(metrics.c.window_start, metrics.c.job_id)
    )
    reported = (
        sa.select(custom_values)
        .join(batches, batches.c.id == custom_values.c.batch_id, isouter=True)
        .where(
            custom_values.c.deployment_id == deployment_id,
            custom_values.c.metric_id == metric_id,
            batches.c.deleted_at.is_(None),
        )
        .order_by(custom_values.c.measured_at, custom_values.c.key)
    )
    if batch_ids is not None:
        computed = computed.where(jobs.c.batch_id.in_(batch_ids))
        reported = reported.where(custom_values.c.batch_id.in_(batch_ids))
    else:
        computed = computed.where(metrics.c.window_kind == WindowKind.SCHEDULED)
    if start is not None:
        computed = computed.where(metrics.c.window_start >= in_utc(start))
        reported = reported.where(custom_values.c.measured_at >= in_utc(start))
    if end is not None:
        computed = computed.where(metrics.c.window_start < in_utc(end))
        reported = reported.where(custom_values.c.measured_at < in_utc(end))
    for query, point in ((computed, _computed), (reported, _reported)):
        for row in connection.execution_options(yield_per=_BLOCK).execute(query):
            yield point(row)


def _computed(row: Any) -> CustomPoint:
    counts = row.details.get("counts")
    return CustomPoint(
        row.window_start,
        row.window_end,
        row.batch_id,
        row.job_id,
        None if counts is not None else row.value,
        row.m,
        counts,
        row.reason,
    )


def _reported(row: Any) -> CustomPoint:
    counts = None if row.category is None else {row.category: row.sample_count}
    return CustomPoint(row.measured_at, row.measured_at, row.batch_id, None, row.value, row.sample_count, counts, None)


def _row(known: CustomMetricRecord, given: CustomReport, now: dt.datetime) -> dict[str, Any]:
    count = given.sample_count
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= _LARGEST_COUNT:
        raise DefinitionError("sample_count must be a whole number, 0 or more", field="sample_count")
    categorical = known.metric.type is MetricType.CATEGORICAL
    if categorical != isinstance(given.value, str):
        wanted = "a category (text)" if categorical else "a number"
        raise DefinitionError(
            f"a value of {known.id!r} must be {wanted}, not {type(given.value).__name__}", field="value"
        )
    at = now if given.at is None else in_utc(given.at)
    if not FIRST_YEAR <= at.year < LAST_YEAR:
        raise DefinitionError(f"timestamp must lie between the years {FIRST_YEAR} and {LAST_YEAR}", field="timestamp")
    key = given.key if given.key is not None else given.association_id
    return {
        "deployment_id": known.deployment_id,
        "metric_id": known.id,
        "key": uuid.uuid4().hex if key is None else texts.name(key, "key"),
        "batch_id": texts.optional_name(given.batch_id, "batch_id"),
        "measured_at": at,
        "value": None if categorical else _number(given.value),
        "category": texts.name(str(given.value), "value") if categorical else None,
        "sample_count": count,
        "association_id": texts.optional_name(given.association_id, "association_id"),
        "model_id": texts.optional_name(given.model_id, "modelId"),
        "created_at": now,
    }


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DefinitionError(f"a value must be a number, not {type(value).__name__}", field="value")
    return finite(value, "the value of a custom metric")


def _select() -> sa.Select[Any]:
    names = ("deployment_id", "id", "definition_id", "payload", "created_at", "created_by", "updated_at")
    return sa.select(*(custom_metrics.c[name] for name in names))


def _record(row: Any) -> CustomMetricRecord:
    from airflow_monitoring_provider.definitions.reading import CAMEL, read_part

    return CustomMetricRecord(
        row.deployment_id,
        row.id,
        row.definition_id,
        read_part(CustomMetric, row.payload, style=CAMEL),
        row.created_at,
        row.created_by,
        row.updated_at,
    )
