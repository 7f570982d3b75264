"""Whether a column's values are what the definition says they must be: bounds and closed lists, counted in rows.

A broken check is a fact about the rows and no guess about their source, so it has no p-value. Bounds that the plan
names are counted exactly, whatever the histogram's precision; profiles made before the definition had the check, and
coarse, count the buckets that lie wholly outside.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from airflow_monitoring_provider.definitions.checks import NOT_ALLOWED, OUT_OF_BOUNDS, ColumnCheck
from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.metrics.precision import precision_of
from airflow_monitoring_provider.metrics.quality import plain, share_value
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.values import MetricValue
from airflow_monitoring_provider.profiles.column import ColumnProfile
from airflow_monitoring_provider.profiles.levels import LevelCounts

_NAMED_LEVELS = 10


def column_checks(current: ColumnProfile, check: ColumnCheck) -> list[MetricValue]:
    """The values of a column's checks.

    ``out_of_bounds_share``: numbers outside ``[minimum, maximum]`` over all numbers, infinite ones included.
    ``not_allowed_share``: values that are not listed over all values; of a numeric column, compared as doubles.
    """
    values = []
    if check.bounded:
        values.append(_out_of_bounds(current, check))
    if check.allowed_values is not None:
        numeric = current.kind is ColumnKind.NUMERIC
        values.append(_not_among(current, check.numbers) if numeric else _not_listed(current, check.levels))
    details = {"role": current.role.value}
    return [dataclasses.replace(value, details={**details, **value.details}) for value in values]


def _out_of_bounds(current: ColumnProfile, check: ColumnCheck) -> MetricValue:
    histogram = current.histogram
    if current.kind is not ColumnKind.NUMERIC or histogram is None:
        return _without(OUT_OF_BOUNDS, current, Reason.NOT_APPLICABLE)
    hits, exact = 0, True
    if check.minimum is not None:
        below = current.edge_counts.get(check.minimum)
        exact &= below is not None or histogram.exact
        hits += current.negative_inf
        hits += below if below is not None else int(histogram.counts[histogram.upper_edges() < check.minimum].sum())
    if check.maximum is not None:
        within = current.edge_counts.get(math.nextafter(check.maximum, math.inf))
        exact &= within is not None or histogram.exact
        hits += current.positive_inf
        above = int(histogram.counts[histogram.lower_edges() > check.maximum].sum())
        hits += current.count - within if within is not None else above
    rows = current.count + current.positive_inf + current.negative_inf
    found = share_value(OUT_OF_BOUNDS, current.name, hits, rows)
    bounds = {"minimum": check.minimum, "maximum": check.maximum}
    details: dict[str, Any] = {"rows": hits, **{name: bound for name, bound in bounds.items() if bound is not None}}
    return dataclasses.replace(found, details=details, precision=None if exact else precision_of(histogram, histogram))


def _not_among(current: ColumnProfile, numbers: tuple[float, ...]) -> MetricValue:
    histogram = current.histogram
    if histogram is None or not histogram.exact:
        return _without(NOT_ALLOWED, current, Reason.LEVELS_TRUNCATED)
    strange = ~np.isin(histogram.representatives(), np.array(numbers, np.float64))
    hits = int(histogram.counts[strange].sum()) + current.positive_inf + current.negative_inf
    rows = current.count + current.positive_inf + current.negative_inf
    return dataclasses.replace(share_value(NOT_ALLOWED, current.name, hits, rows), details={"rows": hits})


def _not_listed(current: ColumnProfile, allowed: tuple[str, ...]) -> MetricValue:
    levels = current.levels
    if levels is None:
        return _without(NOT_ALLOWED, current, Reason.NOT_APPLICABLE)
    if levels.names == "drop":
        return _without(NOT_ALLOWED, current, Reason.NOT_RECORDED)
    texts = LevelCounts.of(allowed, names=levels.names).counts.keys()
    if levels.truncated and not texts <= levels.named:
        return _without(NOT_ALLOWED, current, Reason.LEVELS_TRUNCATED)
    hits = levels.total - sum(levels.counts.get(text, 0) for text in texts)
    found = share_value(NOT_ALLOWED, current.name, hits, levels.total)
    strange = sorted(((text, rows) for text, rows in levels.counts.items() if text not in texts), key=_most_rows)
    named = {} if levels.names != "keep" else {"values": [text for text, _ in strange[:_NAMED_LEVELS]]}
    return dataclasses.replace(found, details={"rows": hits, **named})


def _most_rows(level: tuple[str, int]) -> tuple[int, str]:
    return -level[1], level[0]


def _without(name: str, current: ColumnProfile, reason: Reason) -> MetricValue:
    return dataclasses.replace(plain(name, current.name, None, m=current.rows), reason=reason)
