"""Whether a column's values are what they were meant to be: missing, unreadable, new, out of range, all the same.

Everything here is computed for every batch, with or without a baseline; what only a baseline can say is left out
without one. Denominators: ``missing_rate``, ``type_mismatch_share`` and ``inf_rate`` over all rows; ``zero_rate``,
``negative_rate`` and ``out_of_range_share`` over finite values; ``new_values_share``, ``unique_rate`` and ``top_share``
over values. Shares carry Wilson's 95 % interval.

Four values have a p-value, so that a threshold on them does not fire by chance: the change of the missing share, new
values, values out of range and a column that became constant. All are exact: see :mod:`.novelty`.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Collection, Iterable
from typing import Any

from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.metrics.cells import missing_share
from airflow_monitoring_provider.metrics.drift import named_levels
from airflow_monitoring_provider.metrics.novelty import (
    new_levels_p_value,
    one_value_p_value,
    out_of_range_p_value,
    share_change,
)
from airflow_monitoring_provider.metrics.precision import precision_of, shared_buckets
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.significance import wilson_interval
from airflow_monitoring_provider.metrics.values import MetricValue, ResultKind, direction_of
from airflow_monitoring_provider.profiles.levels import LevelCounts
from airflow_monitoring_provider.profiles.profile import ColumnProfile

ALMOST_CONSTANT = 0.95


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
    values += [
        _distinct(current, reference),
        _unique_rate(current, reference),
        *_constant(current, reference),
        _top_share(current, reference),
    ]
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
    blank = _blank(name, current, reference)
    details = blank.details
    if reference is not None:
        below = reference.count if counted in ("zero", "negative") else reference.rows
        details = {**details, "baseline_value": _hits(reference, counted) / below if below else None}
    if not rows:
        return dataclasses.replace(blank, reason=Reason.NO_DATA, m=0, details=details)
    hits = _hits(current, counted)
    low, high = wilson_interval(hits, rows)
    return dataclasses.replace(blank, value=hits / rows, m=rows, low=low, high=high, details=details)


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


def _unique_rate(current: ColumnProfile, reference: ColumnProfile | None) -> MetricValue:
    """Distinct values over values: 1 where none repeats (one over the rows of the average value)."""
    blank = _blank("unique_rate", current, reference)
    rate, before = _unique(current), _unique(reference) if reference is not None else None
    details = {**blank.details, **({} if before is None else {"baseline_value": before})}
    if rate is None:
        reason = Reason.LEVELS_TRUNCATED if current.count else Reason.NO_DATA
        return dataclasses.replace(blank, m=current.count, reason=reason, details=details)
    if not current.distinct_exact:
        details["estimate"] = True
    return dataclasses.replace(blank, value=rate, m=current.count, details=details)


def _unique(column: ColumnProfile) -> float | None:
    if not column.count or column.distinct is None or (column.levels is None and not column.distinct_exact):
        return None
    return min(column.distinct / column.count, 1.0)


def _constant(current: ColumnProfile, reference: ColumnProfile | None) -> list[MetricValue]:
    """Flags, 0 or 1: ``constant``, ``almost_constant``; with a baseline of the same kind ``became_constant``, too."""
    comparable = reference is not None and reference.kind is current.kind
    names = ("constant", "almost_constant", *(("became_constant",) if comparable else ()))
    blanks = [dataclasses.replace(_blank(name, current, reference), m=current.count) for name in names]
    share = _largest(current)
    if share is None:
        return [dataclasses.replace(blank, reason=Reason.NO_DATA) for blank in blanks]
    constant = _is_constant(current)
    flags = [
        dataclasses.replace(blank, value=float(flag))
        for blank, flag in zip(blanks, (constant, share >= ALMOST_CONSTANT), strict=False)
    ]
    if reference is None or not comparable:
        return flags
    if not reference.count:
        return [*flags, dataclasses.replace(blanks[-1], n=0, reason=Reason.NO_DATA)]
    became, p_value = constant and not _is_constant(reference), 1.0
    if became:
        pooled = _rows_by_value(current, reference)
        if pooled is None:
            return [*flags, dataclasses.replace(blanks[-1], n=reference.count, reason=Reason.NOT_RECORDED)]
        p_value = one_value_p_value(pooled, reference.count, current.count)
    details = {**blanks[-1].details, "test": "shuffled_rows"}
    last = dataclasses.replace(blanks[-1], value=float(became), n=reference.count, p_value=p_value, details=details)
    return [*flags, last]


def _is_constant(column: ColumnProfile) -> bool:
    return column.distinct_exact and column.distinct == 1


def _rows_by_value(constant: ColumnProfile, reference: ColumnProfile) -> Iterable[int] | None:
    """Rows of each value on both sides together: where the baseline is coarse, of each of its buckets."""
    if constant.levels is not None and reference.levels is not None:
        if constant.levels.names != reference.levels.names:
            return None
        theirs, ours = constant.levels.align(reference.levels)
        named = collections.Counter(ours.counts) + collections.Counter(theirs.counts)
        return [*named.values(), *(collections.Counter(ours.hashed) + collections.Counter(theirs.hashed)).values()]
    if constant.histogram is None or reference.histogram is None:
        return None
    before, now = shared_buckets(reference.histogram, constant.histogram)
    return [int(rows) for rows in before + now]


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
        details={**blank.details, "baseline_value": baseline_value},
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
    if ours is None or theirs is None or ours.names != theirs.names or theirs.names == "drop":
        return [dataclasses.replace(blank, reason=Reason.NOT_RECORDED) for blank in blanks]
    if ours.truncated or theirs.truncated:
        return [dataclasses.replace(blank, reason=Reason.LEVELS_TRUNCATED) for blank in blanks]
    new = theirs.counts.keys() - ours.counts.keys()
    gone = ours.counts.keys() - theirs.counts.keys()
    count, share, vanished = blanks
    named, named_gone = _named(theirs, new), _named(ours, gone)
    count = dataclasses.replace(count, value=float(len(new)), details=count.details | named)
    vanished = dataclasses.replace(vanished, value=float(len(gone)), details=vanished.details | named_gone)
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
        details={
            **share.details,
            "test": "shuffled_rows",
            "expected": once / ours.total,
            "rows": hits,
            "levels": len(new),
            **named,
        },
    )
    return [count, share, vanished]


def _named(side: LevelCounts, levels: Collection[Any]) -> dict[str, Any]:
    """The most frequent of some levels, where they may be named."""
    if side.names != "keep" or not levels:
        return {}
    return {"values": named_levels({level: side.counts[level] for level in levels})}


def share_value(name: str, column: str | None, hits: int, rows: int) -> MetricValue:
    """A share of rows with Wilson's interval."""
    blank = plain(name, column, None, m=rows)
    if not rows:
        return dataclasses.replace(blank, reason=Reason.NO_DATA)
    low, high = wilson_interval(hits, rows)
    return dataclasses.replace(blank, value=hits / rows, low=low, high=high)


def _blank(name: str, current: ColumnProfile, reference: ColumnProfile | None) -> MetricValue:
    return MetricValue(
        name=name,
        kind=ResultKind.DATA_QUALITY,
        direction=direction_of(name),
        value=None,
        column=current.name,
        n=reference.rows if reference is not None else None,
        m=current.rows,
        missing_reference=missing_share(reference) if reference is not None else None,
        missing_current=missing_share(current),
        details={"role": current.role.value},
    )


def plain(name: str, column: str | None, value: float | None, *, m: int) -> MetricValue:
    """A data-quality value of current rows alone."""
    return MetricValue(
        name=name, kind=ResultKind.DATA_QUALITY, direction=direction_of(name), value=value, column=column, m=m
    )
