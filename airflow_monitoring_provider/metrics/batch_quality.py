"""Whether a batch as a whole is what it was meant to be: rows, rejections, repetitions, columns, and how late it is.

``freshness`` is in seconds, from the newest event of the batch to the end of its window, or to the moment of the job
where the window has not ended: a window that is run again years later is as fresh as it was.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_monitoring_provider.definitions.terms import RowStatus
from airflow_monitoring_provider.metrics.precision import precision_of
from airflow_monitoring_provider.metrics.quality import plain, share_value
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.values import MetricValue
from airflow_monitoring_provider.profiles.histogram import Histogram
from airflow_monitoring_provider.profiles.plan import SchemaChanges
from airflow_monitoring_provider.profiles.profile import Profile

_NAMED_COLUMNS = 50
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def batch_quality(
    current: Profile,
    baseline: Profile | None,
    changes: SchemaChanges,
    null_timestamps: int = 0,
    *,
    identified: bool = False,
    as_of: datetime | None = None,
) -> list[MetricValue]:
    """Quality of the batch as a whole: rows, rejected rows, columns that came, went or changed type, freshness.

    :param identified: rows have identifiers, so that repetitions were looked for.
    :param as_of: the end of the window, or the moment of the job if that was earlier; None where nobody knows.
    """
    rejected = {s: n for s, n in sorted(current.status_counts.items()) if s != RowStatus.MONITORED.text}
    rate = share_value("rejected_rate", None, sum(rejected.values()), current.rows)
    values = [
        *row_counts(current, baseline),
        dataclasses.replace(rate, details={**rate.details, "by_reason": rejected}),
        plain("null_timestamps", None, float(null_timestamps), m=current.rows),
    ]
    empty = [name for name, column in sorted(current.columns.items()) if column.rows and not column.count]
    values += [
        _named("missing_columns", [{"column": column} for column in changes.missing], current),
        _named("new_columns", [{"column": column} for column in changes.new], current),
        _named("retyped_columns", [_retyped(current, *change) for change in changes.retyped], current),
        _named("empty_columns", [{"column": column} for column in empty], current, Reason.NO_DATA),
        _duplicate_keys(current, identified),
        *_whole_rows(current),
        _freshness(current, as_of),
        *label_lags(current, baseline),
    ]
    return values


def row_counts(current: Profile, baseline: Profile | None) -> tuple[MetricValue, MetricValue]:
    """``row_count`` and ``row_count_ratio``, of all rows or of a segment."""
    return _row_count(current, baseline), _row_count_ratio(current, baseline)


def _row_count(current: Profile, baseline: Profile | None) -> MetricValue:
    found = plain("row_count", None, float(current.rows), m=current.rows)
    if baseline is None:
        return found
    return dataclasses.replace(found, n=baseline.rows, details={"baseline_value": baseline.rows})


def _row_count_ratio(current: Profile, baseline: Profile | None) -> MetricValue:
    blank = plain("row_count_ratio", None, None, m=current.rows)
    if baseline is None:
        return dataclasses.replace(blank, reason=Reason.BASELINE_MISSING)
    if not baseline.rows:
        return dataclasses.replace(blank, n=0, reason=Reason.ZERO_DENOMINATOR)
    return dataclasses.replace(blank, n=baseline.rows, value=current.rows / baseline.rows)


def _retyped(current: Profile, name: str, was: str, now: str) -> dict[str, Any]:
    """What a column was and is, and which share of its rows cannot be read as what it was: 0 for numbers that became
    their texts.
    """
    column = current.columns.get(name)
    unreadable = column.invalid / column.rows if column is not None and column.rows else None
    return {"column": name, "from": was, "to": now, "unreadable": unreadable}


def _named(
    name: str, columns: Sequence[dict[str, Any]], current: Profile, without: Reason | None = None
) -> MetricValue:
    """How many columns, and which.

    :param without: the reason where there are no rows; None where the rows do not matter.
    """
    found = plain(name, None, float(len(columns)), m=current.rows)
    if without is not None and not current.rows:
        return dataclasses.replace(found, value=None, reason=without)
    return dataclasses.replace(found, details={"columns": list(columns[:_NAMED_COLUMNS])})


def _duplicate_keys(current: Profile, identified: bool) -> MetricValue:
    """Rows that repeat the identifiers of an earlier row: ``pandas.DataFrame.duplicated(identifiers).sum()``."""
    found = plain("duplicate_keys", None, None, m=current.rows)
    if not identified:
        return dataclasses.replace(found, reason=Reason.NOT_RECORDED)
    return dataclasses.replace(found, value=float(current.status_counts.get(RowStatus.DUPLICATE_IDENTIFIER.text, 0)))


def _whole_rows(current: Profile) -> list[MetricValue]:
    """``duplicate_rows``, ``empty_rows``: rows that repeat an earlier one in every planned column, and rows without a
    value in any. Every row counts, whatever its status.

    ``pandas.DataFrame.duplicated().sum()`` and ``isna().all(axis=1).sum()``; the first is an estimate past 65 536
    distinct rows, and says so.
    """
    if not current.plan.whole_rows:
        return []
    duplicates, empty = (plain(name, None, None, m=current.rows) for name in ("duplicate_rows", "empty_rows"))
    found = current.whole_rows
    if found is None or not current.rows:
        reason = Reason.NO_DATA if not current.rows else Reason.NOT_RECORDED
        return [dataclasses.replace(value, reason=reason) for value in (duplicates, empty)]
    details: dict[str, Any] = {"exact": found.exact, "share": found.duplicates / found.rows}
    return [
        dataclasses.replace(duplicates, value=found.duplicates, details=details),
        dataclasses.replace(empty, value=float(found.empty), details={"share": found.empty / found.rows}),
    ]


def _freshness(current: Profile, as_of: datetime | None) -> MetricValue:
    blank = plain("freshness", None, None, m=current.rows)
    if current.plan.timestamp_column is None or as_of is None:
        return dataclasses.replace(blank, reason=Reason.NOT_RECORDED)
    if current.latest is None:
        return dataclasses.replace(blank, reason=Reason.NO_DATA)
    latest = _EPOCH + timedelta(microseconds=current.latest)
    details: dict[str, Any] = {"latest": latest.isoformat(), "as_of": as_of.isoformat()}
    return dataclasses.replace(blank, value=max((as_of - latest).total_seconds(), 0.0), details=details)


def label_lags(current: Profile, baseline: Profile | None) -> list[MetricValue]:
    """``label_lag_p50``, ``label_lag_p95``: seconds within which half, and 95 %, of the actuals known by now came."""
    if current.plan.actual_time_column is None and current.label_lag is None:
        return []
    now, before = _lags(current), _lags(baseline)
    values = []
    for name, q in (("label_lag_p50", 0.5), ("label_lag_p95", 0.95)):
        blank = plain(name, None, None, m=now.total if now is not None else 0)
        if before is not None:
            blank = dataclasses.replace(blank, n=before.total, details={"baseline_value": before.quantile(q)})
        if now is None:
            values.append(dataclasses.replace(blank, reason=Reason.NO_DATA))
        else:
            values.append(dataclasses.replace(blank, value=now.quantile(q), precision=precision_of(now, now)))
    return values


def _lags(profile: Profile | None) -> Histogram | None:
    lags = profile.label_lag if profile is not None else None
    return lags if lags is not None and lags.total else None
