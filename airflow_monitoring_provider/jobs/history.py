"""A job's values are held against those of the windows before it, as the store has them at that moment."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from zoneinfo import ZoneInfo

from airflow_monitoring_provider.definitions import JobDefinition, Window, WindowKind
from airflow_monitoring_provider.definitions.history import MetricHistory
from airflow_monitoring_provider.jobs.timeliness import is_kept_incomplete
from airflow_monitoring_provider.metrics.history import history_value
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.values import MetricValue, ResultKind, direction_of
from airflow_monitoring_provider.store.queries import PAGE_LIMIT
from airflow_monitoring_provider.store.store import MonitoringStore
from airflow_monitoring_provider.store.window_store import WindowRecord

_SPARE = 2
"""Windows without a value are passed over, as long as twice as many windows as asked for are enough."""


def history_values(
    definition: JobDefinition, window: Window, job: str, values: Sequence[MetricValue], store: MonitoringStore
) -> list[MetricValue]:
    """The z of every value whose metric the definition's ``history`` names, in the order of the values.

    Earlier windows are those that the store has, scheduled and whole, of batches that are not deleted, each as last
    committed. A window of another kind is no part of the course and has no z.

    :param job: of the window.
    """
    if window.kind is WindowKind.AD_HOC:
        return []
    found: list[MetricValue] = []
    for metric, history in definition.history.items():
        wanted = _wanted(metric, history, values)
        earlier = [each.job_id for each in _earlier(definition, window, history, store) if each.job_id != job]
        before = store.earlier_values(earlier, metric)
        found += [history_value(value, before.get((value.column, value.segment), ()), history) for value in wanted]
    return found


def _wanted(metric: str, history: MetricHistory, values: Sequence[MetricValue]) -> list[MetricValue]:
    """The values to look at, and one without a number for what the job has no value of."""
    found = [value for value in values if value.name == metric]
    if history.columns is None:
        return found or [_absent(metric, None, Reason.NOT_RECORDED)]
    there = {value.column for value in found}
    missing = [column for column in history.columns if column not in there]
    return [
        *(value for value in found if value.column in history.columns),
        *(_absent(metric, column, Reason.COLUMN_MISSING) for column in missing),
    ]


def _absent(metric: str, column: str | None, reason: Reason) -> MetricValue:
    return MetricValue(metric, ResultKind.DATA_QUALITY, direction_of(metric), None, column=column, reason=reason)


def _earlier(
    definition: JobDefinition, window: Window, history: MetricHistory, store: MonitoringStore
) -> list[WindowRecord]:
    """Whole windows before, the newest first."""
    if history.season is None:
        count = min(_SPARE * history.window + 1, PAGE_LIMIT)
        earlier: Sequence[WindowRecord] = store.earlier_windows(definition.id, window.start, count)
    else:
        earlier = store.windows_from(definition.id, _same_weekday(window.start, definition.timezone, history.window))
    return [each for each in earlier if not is_kept_incomplete(each.details)]


def _same_weekday(start: dt.datetime, zone: str, weeks: int) -> list[dt.datetime]:
    """The same time of the same weekday, by the clock of the zone, in each of the weeks before; in UTC."""
    local = start.astimezone(ZoneInfo(zone))
    return [(local - dt.timedelta(weeks=week)).astimezone(dt.UTC) for week in range(1, weeks + 1)]
