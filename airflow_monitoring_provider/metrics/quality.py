"""Whether the data is what it was meant to be: missing, unreadable, new and out-of-range values, rows and columns.

Everything here is computed for every batch, with or without a baseline; what only a baseline can say is left out
without one. Denominators: ``missing_rate``, ``type_mismatch_share`` and ``inf_rate`` over all rows; ``zero_rate``,
``negative_rate`` and ``out_of_range_share`` over finite values; ``new_values_share`` and ``top_share`` over values.
Shares carry Wilson's 95 % interval.

Three values have a p-value, so that a threshold on them does not fire by chance: the change of the missing share, new
values and values out of range. All are exact: see :mod:`.novelty`.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

from airflow_monitoring_provider.definitions.terms import ColumnKind, RowStatus
from airflow_monitoring_provider.metrics.cells import missing_share
from airflow_monitoring_provider.metrics.novelty import new_levels_p_value, out_of_range_p_value, share_change
from airflow_monitoring_provider.metrics.precision import precision_of
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.significance import wilson_interval
from airflow_monitoring_provider.metrics.values import MetricValue, ResultKind, direction_of
from airflow_monitoring_provider.profiles.plan import SchemaChanges
from airflow_monitoring_provider.profiles.profile import ColumnProfile, Profile

ALMOST_CONSTANT = 0.95

_NAMED_COLUMNS = 50


def batch_quality(
    current: Profile, baseline: Profile | None, changes: SchemaChanges, null_timestamps: int = 0
) -> list[MetricValue]:
    """Quality of the batch as a whole: rows, rejected rows, columns that came, went or changed type."""
    rejected = {s: n for s, n in sorted(current.status_counts.items()) if s != RowStatus.MONITORED.text}
    rate = _share_value("rejected_rate", None, sum(rejected.values()), current.rows)
    values = [
        *row_counts(current, baseline),
        dataclasses.replace(rate, details={**rate.details, "by_reason": rejected}),
        _plain("null_timestamps", None, float(null_timestamps), m=current.rows),
    ]
    for name, columns in (
        ("missing_columns", [{"column": column} for column in changes.missing]),
        ("new_columns", [{"column": column} for column in changes.new]),
        ("retyped_columns", [{"column": c, "from": was, "to": now} for c, was, now in changes.retyped]),
    ):
        found = _plain(name, None, float(len(columns)), m=current.rows)
        values.append(dataclasses.replace(found, details={"columns": columns[:_NAMED_COLUMNS]}))
    return values


def row_counts(current: Profile, baseline: Profile | None) -> tuple[MetricValue, MetricValue]:
    """``row_count`` and ``row_count_ratio``, of all rows or of a segment."""
    return _row_count(current, baseline), _row_count_ratio(current, baseline)


def column_quality(current: ColumnProfile, reference: ColumnProfile | None) -> list[MetricValue]:
    """Quality of one column that the current rows have."""
    values = [_missing_rate(current, reference)]
    if reference is not None:
        values.append(_missing_change(current, reference))
    values.append(_rate("type_mismatch_share", current, reference, "invalid", current.rows))
    if current.kind is ColumnKind.NUMERIC:
        values += [
            _rate("zero_rate", current, reference, "zero", current.count),
            _rate("negative_rate", current, reference, "negative", current.count),
            _rate("inf_rate", current, reference, "infinite", current.rows),
        ]
    if current.kind is ColumnKind.TEXT or current.kind is ColumnKind.TIMESTAMP:
        return values
    values += [_distinct(current, reference), _top_share(current, reference)]
    if reference is not None and reference.kind is current.kind:
        if current.kind is ColumnKind.NUMERIC:
            values.append(_out_of_range(current, reference))
        else:
            values += _levels_gained_and_lost(current, reference)
    return values


def _missing_rate(current: ColumnProfile, reference: ColumnProfile | None) -> MetricValue:
    return _rate("missing_rate", current, reference, "missing", current.rows)


def _missing_change(current: ColumnProfile, reference: ColumnProfile) -> MetricValue:
    blank = _blank("missing_rate_change", current, reference)
    if not current.rows or not reference.rows:
        return dataclasses.replace(blank, reason=Reason.NO_DATA)
    test = share_change(reference.missing, reference.rows, current.missing, current.rows)
    change = current.missing / current.rows - reference.missing / reference.rows
    return dataclasses.replace(
        blank, value=change, p_value=test.p_value, details={**blank.details, "test": test.test, "z": test.statistic}
    )


def _rate(name: str, current: ColumnProfile, reference: ColumnProfile | None, counted: str, rows: int) -> MetricValue:
    """A share of ``rows`` with its interval, and the baseline's share in the details."""
    value = _share_value(name, current.name, _hits(current, counted), rows)
    blank = _blank(name, current, reference)
    details = blank.details
    if reference is not None:
        below = reference.count if counted in ("zero", "negative") else reference.rows
        details = {**details, "baseline_value": _hits(reference, counted) / below if below else None}
    return dataclasses.replace(
        blank, value=value.value, reason=value.reason, m=rows, low=value.low, high=value.high, details=details
    )


def _hits(column: ColumnProfile, counted: str) -> int:
    if counted == "infinite":
        return column.positive_inf + column.negative_inf
    hits: int = getattr(column, counted)
    return hits


def _distinct(current: ColumnProfile, reference: ColumnProfile | None) -> MetricValue:
    blank = _blank("distinct", current, reference)
    found = current.distinct
    if found is None:
        return dataclasses.replace(blank, reason=Reason.NOT_RECORDED)
    details = dict(blank.details)
    if reference is not None and reference.distinct_exact:
        details["baseline_value"] = reference.distinct
    if current.distinct_exact:
        return dataclasses.replace(blank, value=float(found), details=details)
    if current.levels is not None:
        return dataclasses.replace(blank, value=float(found), details={**details, "estimate": True})
    return dataclasses.replace(blank, reason=Reason.LEVELS_TRUNCATED, details={**details, "at_least": found})


def _top_share(current: ColumnProfile, reference: ColumnProfile | None) -> MetricValue:
    """Share of the most frequent value; of a coarse histogram that of the fullest bucket, which is no smaller."""
    blank = _blank("top_share", current, reference)
    share = _largest(current)
    if share is None:
        return dataclasses.replace(blank, reason=Reason.NO_DATA)
    histogram = current.histogram
    baseline_value = _largest(reference) if reference is not None else None
    return dataclasses.replace(
        blank,
        value=share,
        m=current.count,
        precision=precision_of(histogram, histogram) if histogram is not None else None,
        details={
            **blank.details,
            "constant": current.distinct_exact and current.distinct == 1,
            "almost_constant": share >= ALMOST_CONSTANT,
            "baseline_value": baseline_value,
        },
    )


def _largest(column: ColumnProfile) -> float | None:
    if column.levels is not None:
        counts = [*column.levels.counts.values(), *column.levels.hashed.values()]
        return max(counts) / column.levels.total if counts else None
    if column.histogram is None or not column.histogram.total:
        return None
    return column.histogram.largest_share


def _out_of_range(current: ColumnProfile, reference: ColumnProfile) -> MetricValue:
    """Values outside the baseline's bounds; where the histogram is coarse, those in buckets wholly outside."""
    blank = _blank("out_of_range_share", current, reference)
    histogram = current.histogram
    low, high = reference.minimum, reference.maximum
    if histogram is None or not histogram.total or low is None or high is None:
        return dataclasses.replace(blank, reason=Reason.NO_DATA)
    outside = (histogram.upper_edges() < float(low)) | (histogram.lower_edges() > float(high))
    hits = int(histogram.counts[outside].sum())
    interval = wilson_interval(hits, histogram.total)
    return dataclasses.replace(
        blank,
        value=hits / histogram.total,
        n=reference.count,
        m=histogram.total,
        p_value=out_of_range_p_value(hits, reference.count, histogram.total),
        low=interval[0],
        high=interval[1],
        precision=precision_of(histogram, histogram),
        details={**blank.details, "test": "shuffled_rows", "rows": hits},
    )


def _levels_gained_and_lost(current: ColumnProfile, reference: ColumnProfile) -> list[MetricValue]:
    """``new_values`` and ``vanished_values`` (levels), ``new_values_share`` (rows)."""
    ours, theirs = reference.levels, current.levels
    blanks = [_blank(name, current, reference) for name in ("new_values", "new_values_share", "vanished_values")]
    if ours is None or theirs is None or ours.names != theirs.names:
        return [dataclasses.replace(blank, reason=Reason.NOT_RECORDED) for blank in blanks]
    if ours.truncated or theirs.truncated:
        return [dataclasses.replace(blank, reason=Reason.LEVELS_TRUNCATED) for blank in blanks]
    new = theirs.counts.keys() - ours.counts.keys()
    gone = ours.counts.keys() - theirs.counts.keys()
    count, share, vanished = blanks
    count = dataclasses.replace(count, value=float(len(new)))
    vanished = dataclasses.replace(vanished, value=float(len(gone)))
    if not theirs.total or not ours.total:
        return [count, dataclasses.replace(share, reason=Reason.NO_DATA), vanished]
    hits = sum(theirs.counts[level] for level in new)
    once = sum(1 for rows in ours.counts.values() if rows == 1)
    pooled = (rows + theirs.counts.get(level, 0) for level, rows in ours.counts.items())
    p_value = new_levels_p_value(
        hits, itertools.chain(pooled, (theirs.counts[level] for level in new)), ours.total, theirs.total
    )
    low, high = wilson_interval(hits, theirs.total)
    share = dataclasses.replace(
        share,
        value=hits / theirs.total,
        n=ours.total,
        m=theirs.total,
        p_value=p_value,
        low=low,
        high=high,
        details={**share.details, "test": "shuffled_rows", "expected": once / ours.total},
    )
    return [count, share, vanished]


def _row_count(current: Profile, baseline: Profile | None) -> MetricValue:
    found = _plain("row_count", None, float(current.rows), m=current.rows)
    if baseline is None:
        return found
    return dataclasses.replace(found, n=baseline.rows, details={"baseline_value": baseline.rows})


def _row_count_ratio(current: Profile, baseline: Profile | None) -> MetricValue:
    blank = _plain("row_count_ratio", None, None, m=current.rows)
    if baseline is None:
        return dataclasses.replace(blank, reason=Reason.BASELINE_MISSING)
    if not baseline.rows:
        return dataclasses.replace(blank, n=0, reason=Reason.ZERO_DENOMINATOR)
    return dataclasses.replace(blank, n=baseline.rows, value=current.rows / baseline.rows)


def _share_value(name: str, column: str | None, hits: int, rows: int) -> MetricValue:
    blank = _plain(name, column, None, m=rows)
    if not rows:
        return dataclasses.replace(blank, reason=Reason.NO_DATA)
    low, high = wilson_interval(hits, rows)
    return dataclasses.replace(blank, value=hits / rows, low=low, high=high)


def _blank(name: str, current: ColumnProfile, reference: ColumnProfile | None) -> MetricValue:
    details: dict[str, Any] = {"role": current.role.value}
    return dataclasses.replace(
        _plain(name, current.name, None, m=current.rows),
        n=reference.rows if reference is not None else None,
        missing_reference=missing_share(reference) if reference is not None else None,
        missing_current=missing_share(current),
        details=details,
    )


def _plain(name: str, column: str | None, value: float | None, *, m: int) -> MetricValue:
    return MetricValue(
        name=name, kind=ResultKind.DATA_QUALITY, direction=direction_of(name), value=value, column=column, m=m
    )
