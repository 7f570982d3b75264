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
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
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
from airflow_monitoring_provider.metrics.precision import shared_buckets
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.significance import wilson_interval
from airflow_monitoring_provider.metrics.values import MetricValue, ResultKind, direction_of
from airflow_monitoring_provider.profiles.histogram import Histogram
from airflow_monitoring_provider.profiles.levels import LevelCounts
from airflow_monitoring_provider.profiles.profile import ColumnProfile

ALMOST_CONSTANT = 0.95

_NOTHING: Mapping[str, Any] = MappingProxyType({})


def column_quality(current: ColumnProfile, reference: ColumnProfile | None) -> list[MetricValue]:
    """Quality of one column that the current rows have."""
    sides = _Sides.of(current, reference)
    values = [_rate("missing_rate", sides, "missing", current.rows)]
    if reference is not None:
        values.append(_missing_change(sides, reference))
    values.append(_rate("type_mismatch_share", sides, "invalid", current.rows))
    if current.kind is ColumnKind.NUMERIC:
        values += [
            _rate("zero_rate", sides, "zero", sides.count),
            _rate("negative_rate", sides, "negative", sides.count),
            _rate("inf_rate", sides, "infinite", current.rows),
        ]
    if current.kind is ColumnKind.TEXT or current.kind is ColumnKind.TIMESTAMP:
        return values
    share = _largest(current)
    values += [
        _distinct(sides),
        _unique_rate(sides),
        *_constant(sides, share),
        _top_share(sides, share),
    ]
    if reference is not None and reference.kind is current.kind:
        if current.kind is ColumnKind.NUMERIC:
            values.append(_out_of_range(sides, reference, share))
        else:
            values += _levels_gained_and_lost(sides, reference)
    return values


@dataclasses.dataclass(frozen=True, slots=True)
class _Sides:
    """One column of both sides, and what every value of it says.

    :param count: current rows that hold a value.
    """

    current: ColumnProfile
    reference: ColumnProfile | None
    count: int
    n: int | None
    missing_reference: float | None
    missing_current: float

    @classmethod
    def of(cls, current: ColumnProfile, reference: ColumnProfile | None) -> _Sides:
        if reference is None:
            return cls(current, None, current.count, None, None, missing_share(current))
        before, now = missing_share(reference), missing_share(current)
        return cls(current, reference, current.count, reference.rows, before, now)

    def value(
        self, name: str, value: float | None, details: Mapping[str, Any] = _NOTHING, **others: Any
    ) -> MetricValue:
        """A value of the column; n and m are rows where ``others`` do not say otherwise."""
        fields = {"n": self.n, "m": self.current.rows, **others}
        return MetricValue(
            name=name,
            kind=ResultKind.DATA_QUALITY,
            direction=direction_of(name),
            value=value,
            column=self.current.name,
            missing_reference=self.missing_reference,
            missing_current=self.missing_current,
            details={"role": self.current.role.value, **details},
            **fields,
        )


def _missing_change(sides: _Sides, reference: ColumnProfile) -> MetricValue:
    current, name = sides.current, "missing_rate_change"
    if not current.rows or not reference.rows:
        return sides.value(name, None, reason=Reason.NO_DATA)
    test = share_change(reference.missing, reference.rows, current.missing, current.rows)
    change = current.missing / current.rows - reference.missing / reference.rows
    return sides.value(name, change, {"test": test.test, "z": test.statistic}, p_value=test.p_value)


def _rate(name: str, sides: _Sides, counted: str, rows: int) -> MetricValue:
    """A share of ``rows`` with its interval, and the baseline's share in the details."""
    reference, details = sides.reference, {}
    if reference is not None:
        below = reference.count if counted in ("zero", "negative") else reference.rows
        details["baseline_value"] = _hits(reference, counted) / below if below else None
    if not rows:
        return sides.value(name, None, details, m=0, reason=Reason.NO_DATA)
    hits = _hits(sides.current, counted)
    low, high = wilson_interval(hits, rows)
    return sides.value(name, hits / rows, details, m=rows, low=low, high=high)


def _hits(column: ColumnProfile, counted: str) -> int:
    if counted == "infinite":
        return column.positive_inf + column.negative_inf
    hits: int = getattr(column, counted)
    return hits


def _distinct(sides: _Sides) -> MetricValue:
    current, reference, name = sides.current, sides.reference, "distinct"
    found, details = current.distinct, dict[str, Any]()
    if found is None:
        return sides.value(name, None, reason=Reason.NOT_RECORDED)
    if reference is not None and reference.distinct_exact:
        details["baseline_value"] = reference.distinct
    if current.distinct_exact:
        return sides.value(name, float(found), details)
    if current.levels is not None:
        return sides.value(name, float(found), {**details, "estimate": True})
    return sides.value(name, None, {**details, "at_least": found}, reason=Reason.LEVELS_TRUNCATED)


def _unique_rate(sides: _Sides) -> MetricValue:
    """Distinct values over values: 1 where none repeats (one over the rows of the average value)."""
    current, reference, name = sides.current, sides.reference, "unique_rate"
    rate, before = _unique(current), _unique(reference) if reference is not None else None
    details: dict[str, Any] = {} if before is None else {"baseline_value": before}
    if rate is None:
        reason = Reason.LEVELS_TRUNCATED if sides.count else Reason.NO_DATA
        return sides.value(name, None, details, m=sides.count, reason=reason)
    if not current.distinct_exact:
        details["estimate"] = True
    return sides.value(name, rate, details, m=sides.count)


def _unique(column: ColumnProfile) -> float | None:
    if not column.count or column.distinct is None or (column.levels is None and not column.distinct_exact):
        return None
    return min(column.distinct / column.count, 1.0)


def _constant(sides: _Sides, share: float | None) -> list[MetricValue]:
    """Flags, 0 or 1: ``constant``, ``almost_constant``; with a baseline of the same kind ``became_constant``, too.

    :param share: of the most frequent value.
    """
    current, reference, m = sides.current, sides.reference, sides.count
    comparable = reference is not None and reference.kind is current.kind
    names = ("constant", "almost_constant", *(("became_constant",) if comparable else ()))
    if share is None:
        return [sides.value(name, None, m=m, reason=Reason.NO_DATA) for name in names]
    constant = _is_constant(current)
    flags = [
        sides.value(name, float(flag), m=m)
        for name, flag in zip(names, (constant, share >= ALMOST_CONSTANT), strict=False)
    ]
    if reference is None or not comparable:
        return flags
    n = reference.count
    if not n:
        return [*flags, sides.value(names[-1], None, n=0, m=m, reason=Reason.NO_DATA)]
    became, p_value = constant and not _is_constant(reference), 1.0
    if became:
        pooled = _rows_by_value(current, reference)
        if pooled is None:
            return [*flags, sides.value(names[-1], None, n=n, m=m, reason=Reason.NOT_RECORDED)]
        p_value = one_value_p_value(pooled, n, m)
    return [*flags, sides.value(names[-1], float(became), {"test": "shuffled_rows"}, n=n, m=m, p_value=p_value)]


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


def _top_share(sides: _Sides, share: float | None) -> MetricValue:
    """Share of the most frequent value; of a coarse histogram that of the fullest bucket, which is no smaller."""
    if share is None:
        return sides.value("top_share", None, reason=Reason.NO_DATA)
    histogram = sides.current.histogram
    return sides.value(
        "top_share",
        share,
        {"baseline_value": _largest(sides.reference) if sides.reference is not None else None},
        m=sides.count,
        precision=_precision(histogram, share) if histogram is not None else None,
    )


def _precision(histogram: Histogram, share: float) -> dict[str, float]:
    """As :func:`.precision.precision_of` says of one histogram whose largest bucket's share is known."""
    return {"shift": float(histogram.shift), "largest_bucket": share}


def _largest(column: ColumnProfile) -> float | None:
    if column.levels is not None:
        counts = [*column.levels.counts.values(), *column.levels.hashed.values()]
        return max(counts) / column.levels.total if counts else None
    if column.histogram is None or not column.histogram.total:
        return None
    return column.histogram.largest_share


def _out_of_range(sides: _Sides, reference: ColumnProfile, share: float | None) -> MetricValue:
    """Values outside the baseline's bounds; where the histogram is coarse, those in buckets wholly outside.

    :param share: of the most frequent value.
    """
    histogram, name = sides.current.histogram, "out_of_range_share"
    low, high = reference.minimum, reference.maximum
    if histogram is None or share is None or low is None or high is None:
        return sides.value(name, None, reason=Reason.NO_DATA)
    hits = histogram.counts_outside(float(low), float(high))
    interval = wilson_interval(hits, histogram.total)
    return sides.value(
        name,
        hits / histogram.total,
        {"test": "shuffled_rows", "rows": hits},
        n=reference.count,
        m=histogram.total,
        p_value=out_of_range_p_value(hits, reference.count, histogram.total),
        low=interval[0],
        high=interval[1],
        precision=_precision(histogram, share),
    )


def _levels_gained_and_lost(sides: _Sides, reference: ColumnProfile) -> list[MetricValue]:
    """``new_values`` and ``vanished_values`` (levels), ``new_values_share`` (rows)."""
    ours, theirs = reference.levels, sides.current.levels
    names = ("new_values", "new_values_share", "vanished_values")
    if ours is None or theirs is None or ours.names != theirs.names or theirs.names == "drop":
        return [sides.value(name, None, reason=Reason.NOT_RECORDED) for name in names]
    if ours.truncated or theirs.truncated:
        return [sides.value(name, None, reason=Reason.LEVELS_TRUNCATED) for name in names]
    new = theirs.counts.keys() - ours.counts.keys()
    gone = ours.counts.keys() - theirs.counts.keys()
    named = _named(theirs, new)
    count = sides.value(names[0], float(len(new)), named)
    vanished = sides.value(names[2], float(len(gone)), _named(ours, gone))
    n, m = ours.total, theirs.total
    if not m or not n:
        return [count, sides.value(names[1], None, reason=Reason.NO_DATA), vanished]
    hits = sum(theirs.counts[level] for level in new)
    once = sum(1 for rows in ours.counts.values() if rows == 1)
    pooled = (rows + theirs.counts.get(level, 0) for level, rows in ours.counts.items())
    p_value = new_levels_p_value(hits, itertools.chain(pooled, (theirs.counts[level] for level in new)), n, m)
    low, high = wilson_interval(hits, m)
    details = {"test": "shuffled_rows", "expected": once / n, "rows": hits, "levels": len(new), **named}
    share = sides.value(names[1], hits / m, details, n=n, m=m, p_value=p_value, low=low, high=high)
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


def plain(name: str, column: str | None, value: float | None, *, m: int) -> MetricValue:
    """A data-quality value of current rows alone."""
    return MetricValue(
        name=name, kind=ResultKind.DATA_QUALITY, direction=direction_of(name), value=value, column=column, m=m
    )
