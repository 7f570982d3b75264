"""Custom metrics over batches and over time: one summary, or a history, each value with its status.

Values are combined by the metric's type (:func:`~airflow_monitoring_provider.metrics.custom.combined`) and judged by
its own limits now, so a value that is reported, restated or deleted counts at once as it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from airflow_monitoring_provider.definitions.periods import PeriodLength, period_of
from airflow_monitoring_provider.exceptions import ConfigurationError
from airflow_monitoring_provider.metrics.custom import Outcome, combined, custom_values
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.monitors.evaluate import Result, judge
from airflow_monitoring_provider.monitors.finding import finding
from airflow_monitoring_provider.monitors.thresholds import Rules, custom_limits
from airflow_monitoring_provider.store.custom_records import CustomMetricRecord, CustomPoint
from airflow_monitoring_provider.store.custom_store import CustomStore

_MOST_BUCKETS = 10_000
BATCH = "batch"


@dataclasses.dataclass(frozen=True, slots=True)
class CustomSummary:
    """What a metric says of some of its values.

    :param name: of the period or batch they are of; None for all that was asked for.
    :param start, end: of the values; None where there are none.
    :param results: the metric's, then each declared category's.
    """

    metric: CustomMetricRecord
    name: str | None
    start: datetime | None
    end: datetime | None
    results: tuple[Result, ...]

    def rows(self) -> list[dict[str, Any]]:
        """JSON-clean, one row a result; ``percent_change`` is (value - baseline) / baseline * 100."""
        return [
            {
                "of": self.name,
                "metric": result.name,
                "value": result.value,
                "sample_count": result.metric.m,
                "baseline_value": result.metric.details.get("baseline_value"),
                "percent_change": percent_change(result.value, result.metric.details.get("baseline_value")),
                "units": result.metric.details.get("units"),
                "status": result.status.text,
                "reason": result.reason,
                "finding": finding(result.metric, result.status, warning=result.warning, critical=result.critical),
                "start": None if self.start is None else self.start.isoformat(),
                "end": None if self.end is None else self.end.isoformat(),
            }
            for result in self.results
        ]


def percent_change(value: float | None, baseline: float | None) -> float | None:
    """DataRobot's: ``(value - baseline) / baseline * 100``; None without a value or with a baseline of 0."""
    return None if value is None or not baseline else (value - baseline) / baseline * 100


def summary(
    store: CustomStore,
    deployment_id: str,
    metric_id: str,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    batch_ids: Collection[str] | None = None,
) -> CustomSummary:
    """All values of a metric as one: of windows and moments in ``[start, end)``, or of batches.

    :raises NotFound: there is no such metric.
    """
    kept = _Bucket()
    taken = _Folding(store.custom_metric(deployment_id, metric_id), lambda point: None)
    taken.buckets[None] = kept
    store.fold_custom_points(deployment_id, metric_id, taken.take, start=start, end=end, batch_ids=batch_ids)
    return taken.summaries()[0]


def history(
    store: CustomStore,
    deployment_id: str,
    metric_id: str,
    *,
    by: str = BATCH,
    timezone: str = "UTC",
    start: datetime | None = None,
    end: datetime | None = None,
    batch_ids: Collection[str] | None = None,
) -> tuple[CustomSummary, ...]:
    """The values of a metric by ``batch`` (values without one left out), or by ``hour``, ``day``, ``week``, …

    :param timezone: IANA; whose calendar says where periods begin. A window counts where it starts.
    :raises NotFound: there is no such metric.
    :raises ConfigurationError: ``by`` or ``timezone`` is none of these, or there are more than 10 000 of them.
    """
    _check_zone(timezone)
    if by != BATCH and by not in set(PeriodLength):
        raise ConfigurationError(f"by must be batch or one of {', '.join(PeriodLength)}")

    def name(point: CustomPoint) -> str | None:
        if by == BATCH:
            return point.batch_id if point.batch_id is not None else _SKIPPED
        return period_of(point.start, PeriodLength(by), timezone).name

    folded = _Folding(store.custom_metric(deployment_id, metric_id), name)
    store.fold_custom_points(deployment_id, metric_id, folded.take, start=start, end=end, batch_ids=batch_ids)
    return folded.summaries()


_SKIPPED = ""


def _check_zone(timezone: str) -> None:
    try:
        ZoneInfo(timezone)
    except (ValueError, OSError, KeyError, TypeError):
        raise ConfigurationError("timezone must be an IANA time zone such as Europe/Zurich") from None


@dataclasses.dataclass(slots=True)
class _Bucket:
    outcome: Outcome | None = None
    latest: datetime | None = None
    start: datetime | None = None
    end: datetime | None = None


class _Folding:
    """Values that arrive one by one, combined where they belong; memory is one value a bucket."""

    def __init__(self, record: CustomMetricRecord, name: Any) -> None:
        self.record = record
        self.buckets: dict[str | None, _Bucket] = {}
        self._name = name

    def take(self, point: CustomPoint) -> None:
        name = self._name(point)
        if name == _SKIPPED:
            return
        bucket = self.buckets.setdefault(name, _Bucket())
        if len(self.buckets) > _MOST_BUCKETS:
            raise ConfigurationError(f"these are more than {_MOST_BUCKETS}; ask for a shorter time or a longer period")
        reason = None if point.reason is None or point.value is not None else Reason(point.reason)
        found = Outcome(point.value, point.samples, point.counts, reason)
        if bucket.outcome is None:
            bucket.outcome, bucket.latest = found, point.start
        else:
            # Values of jobs come before reported ones; a gauge takes the latest of both.
            in_order = bucket.latest is None or bucket.latest <= point.start
            pair = [bucket.outcome, found] if in_order else [found, bucket.outcome]
            bucket.outcome = combined(self.record.metric.type, pair)
            bucket.latest = point.start if in_order else bucket.latest
        bucket.start = point.start if bucket.start is None else min(bucket.start, point.start)
        bucket.end = point.end if bucket.end is None else max(bucket.end, point.end)

    def summaries(self) -> tuple[CustomSummary, ...]:
        rules = Rules(limits=custom_limits(self.record.id, self.record.metric))
        found = []
        for name, bucket in self.buckets.items():
            outcome = bucket.outcome or Outcome(None, 0, reason=Reason.NO_DATA)
            results = [judge(value, rules) for value in custom_values(self.record.id, self.record.metric, outcome)]
            found.append(CustomSummary(self.record, name, bucket.start, bucket.end, tuple(results)))
        return tuple(sorted(found, key=lambda each: (each.start is None, each.start, each.name or "")))
