"""How far one column's distribution lies from its baseline: one primary value that decides, several that describe.

The primary value is PSI over cells cut from the baseline. Whether chance could have done this is asked without looking
at the PSI: :mod:`.column_test` makes one p-value of the ranks of the values and the counts in the cells.

Actuals are compared over the rows that have one: a missing actual is a late one, not a value of its own.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.metrics import distances
from airflow_monitoring_provider.metrics.binning import BinningRule, Missing, values_of
from airflow_monitoring_provider.metrics.cells import Cells, comparable, compare_cells, missing_share
from airflow_monitoring_provider.metrics.column_test import column_test
from airflow_monitoring_provider.metrics.distances import Counts
from airflow_monitoring_provider.metrics.precision import shared_buckets, shared_positions
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.settings import ComparisonSettings
from airflow_monitoring_provider.metrics.significance import (
    chi_square,
    guarded_chi_square,
    ks_p_value,
    psi_critical_value,
)
from airflow_monitoring_provider.metrics.values import Direction, MetricValue, ResultKind
from airflow_monitoring_provider.profiles.histogram import Histogram
from airflow_monitoring_provider.profiles.plan import ColumnRole
from airflow_monitoring_provider.profiles.profile import ColumnProfile

PRIMARY = "psi"
ON_NUMBERS = ("wasserstein_norm", "ks")
ON_CELLS = ("js_distance", "hellinger", "tvd")
ON_LEVELS = ("chi_square",)

_MOVED = 5
_LABEL_LENGTH = 80


def column_drift(
    reference: ColumnProfile | None,
    current: ColumnProfile | None,
    settings: ComparisonSettings,
    *,
    reason: Reason | None = None,
    show_levels: bool = True,
) -> list[MetricValue]:
    """Every drift value of one column, the primary first; empty for a kind without a distribution (timestamps).

    :param reason: why there is nothing to compare, where the caller knows.
    :param show_levels: ``details["moved"]`` may name levels.
    :raises ValueError: both sides are None.
    """
    column = reference if reference is not None else current
    if column is None:
        raise ValueError("a column has to be on one side at least")
    names = drift_metrics(column.kind)
    if not names:
        return []
    blank = _blank(column, reference, current)
    if reason is None and reference is None:
        reason = Reason.COLUMN_NEW
    if reason is None and current is None:
        reason = Reason.COLUMN_MISSING
    if reason is not None or reference is None or current is None:
        return [dataclasses.replace(blank, name=name, primary=name == PRIMARY, reason=reason) for name in names]
    if reference.kind is not current.kind or not comparable(reference, current):
        return [_without(blank, name, Reason.COLUMN_RETYPED) for name in names]
    return _compare(blank, names, reference, current, settings, show_levels)


def drift_metrics(kind: ColumnKind) -> tuple[str, ...]:
    """Names of the drift values a kind of column has, the primary first."""
    if kind is ColumnKind.TIMESTAMP:
        return ()
    if kind in (ColumnKind.NUMERIC, ColumnKind.TEXT):
        return (PRIMARY, *ON_NUMBERS, *ON_CELLS)
    return (PRIMARY, *ON_CELLS, *ON_LEVELS)


def _compare(
    blank: MetricValue,
    names: tuple[str, ...],
    reference: ColumnProfile,
    current: ColumnProfile,
    settings: ComparisonSettings,
    show_levels: bool,
) -> list[MetricValue]:
    rule = _rule(reference, settings)
    n, m = _rows(reference, rule), _rows(current, rule)
    blank = dataclasses.replace(blank, n=n, m=m)
    ours = values_of(reference)
    if not reference.rows or not current.rows or not m or ours is None or not ours.total:
        return [_without(blank, name, Reason.NO_DATA) for name in names]
    if n < settings.reference_rows or m < settings.current_rows:
        needed = {"reference_rows": settings.reference_rows, "current_rows": settings.current_rows}
        return [_without(blank, name, Reason.INSUFFICIENT_DATA, needed=needed) for name in names]
    cells = compare_cells(reference, current, rule)
    blank = dataclasses.replace(blank, n=cells.n, m=cells.m, binning=cells.binning.id, precision=cells.precision)
    ordered = _ordered(ours, values_of(current))
    ks, test = _ks(ordered), column_test(cells.reference, cells.current, ordered)
    tested = dataclasses.replace(blank, p_value=test.p_value, details={**blank.details, "test": test.details["test"]})
    values = [_primary(tested, cells, test.details, settings, show_levels)]
    for name in names[1:]:
        if name in ON_NUMBERS:
            values.append(_on_numbers(tested, name, reference, current, ks))
        else:
            values.append(_on_cells(tested, name, cells))
    return values


def _primary(
    blank: MetricValue, cells: Cells, test: dict[str, Any], settings: ComparisonSettings, show_levels: bool
) -> MetricValue:
    baseline_cells = int(np.count_nonzero(cells.reference[: cells.binning.named]))
    needed = settings.rows_per_cell * baseline_cells
    if cells.m < needed:
        bare = dataclasses.replace(blank, p_value=None)
        return _without(bare, PRIMARY, Reason.INSUFFICIENT_DATA, needed={"current_rows": needed})
    described = {
        "scheme": cells.binning.scheme.value,
        "cells": cells.used,
        "moved": moved(cells, show_levels=show_levels),
    }
    return dataclasses.replace(
        blank,
        name=PRIMARY,
        primary=True,
        value=distances.psi(cells.reference, cells.current),
        critical_value=psi_critical_value(cells.n, cells.m, cells.used, settings.alpha),
        details={**blank.details, **test, **described},
    )


def _on_cells(tested: MetricValue, name: str, cells: Cells) -> MetricValue:
    value = dataclasses.replace(tested, name=name)
    if name == "chi_square":
        plain = chi_square(cells.reference, cells.current)
        test = guarded_chi_square(cells.reference, cells.current)
        details = {**value.details, "degrees": plain.degrees, "test": test.test}
        return dataclasses.replace(value, value=plain.statistic, p_value=test.p_value, details=details)
    if name == "js_distance":
        return dataclasses.replace(value, value=distances.js_distance(cells.reference, cells.current, base=2))
    if name == "hellinger":
        return dataclasses.replace(value, value=distances.hellinger(cells.reference, cells.current))
    return dataclasses.replace(value, value=distances.tvd(cells.reference, cells.current))


def _on_numbers(
    tested: MetricValue,
    name: str,
    reference: ColumnProfile,
    current: ColumnProfile,
    ks: tuple[float, float] | None,
) -> MetricValue:
    a, b = values_of(reference), values_of(current)
    rows = dataclasses.replace(tested, name=name, n=reference.count, m=current.count, binning=None)
    bare = dataclasses.replace(rows, p_value=None)
    if ks is None or not isinstance(a, Histogram) or not isinstance(b, Histogram):
        return _without(bare, name, Reason.NO_DATA)
    if name == "ks":
        return dataclasses.replace(rows, value=ks[0], p_value=ks[1], details={**rows.details, "test": "ks"})
    moments = reference.moments if reference.moments is not None else reference.lengths
    spread = moments.std(ddof=0) if moments is not None else float("nan")
    distance = distances.wasserstein(*shared_positions(a, b))
    value = distances.wasserstein_norm(distance, spread)
    if not np.isfinite([distance, spread, value]).all():  # 1.8e305 units are finite, and as many thousandths are not
        return _without(bare, name, Reason.NOT_FINITE)
    return dataclasses.replace(rows, value=value, details={**rows.details, "wasserstein": distance, "unit": spread})


def _ordered(reference: object, current: object) -> tuple[Counts, Counts] | None:
    """Both sides counted per value at their common precision; None for levels or where a side has no values."""
    if not isinstance(reference, Histogram) or not isinstance(current, Histogram):
        return None
    if not reference.total or not current.total:
        return None
    return shared_buckets(reference, current)


def _ks(values: tuple[Counts, Counts] | None) -> tuple[float, float] | None:
    """Statistic and p of the values."""
    if values is None:
        return None
    statistic = distances.binned_ks(*values)
    return statistic, ks_p_value(statistic, int(values[0].sum()), int(values[1].sum()))


def moved(cells: Cells, *, show_levels: bool = True) -> list[dict[str, Any]]:
    """The at most five cells whose share changed most: ``cell``, ``reference`` and ``current`` share.

    A level that must not be named is ``__level__``.
    """
    p, q = distances.shares(cells.reference, cells.current)
    gap = np.abs(q - p)
    order = sorted(np.flatnonzero(gap > 0).tolist(), key=lambda i: (-round(float(gap[i]), 12), cells.binning.labels[i]))
    result = []
    for i in order[:_MOVED]:
        hidden = cells.precision is None and not show_levels and i < cells.binning.named
        label = "__level__" if hidden else _printable(cells.binning.labels[i])
        result.append({"cell": label, "reference": round(float(p[i]), 6), "current": round(float(q[i]), 6)})
    return result


def _rule(reference: ColumnProfile, settings: ComparisonSettings) -> BinningRule:
    if reference.role is ColumnRole.ACTUAL:
        return dataclasses.replace(settings.binning, missing=Missing.DROP)
    return settings.binning


def _rows(column: ColumnProfile, rule: BinningRule) -> int:
    return column.count if rule.missing is Missing.DROP else column.rows


def _blank(column: ColumnProfile, reference: ColumnProfile | None, current: ColumnProfile | None) -> MetricValue:
    details: dict[str, Any] = {"role": column.role.value}
    if column.kind is ColumnKind.TEXT:
        details["of"] = "length"
    return MetricValue(
        name="",
        kind=ResultKind.CONCEPT_DRIFT if column.role is ColumnRole.ACTUAL else ResultKind.DATA_DRIFT,
        direction=Direction.LOWER_IS_BETTER,
        value=None,
        column=column.name,
        n=reference.rows if reference is not None else None,
        m=current.rows if current is not None else None,
        missing_reference=missing_share(reference) if reference is not None else None,
        missing_current=missing_share(current) if current is not None else None,
        details=details,
    )


def _without(blank: MetricValue, name: str, reason: Reason, **details: Any) -> MetricValue:
    return dataclasses.replace(
        blank, name=name, primary=name == PRIMARY, reason=reason, details={**blank.details, **details}
    )


def _printable(label: str) -> str:
    """A label that every database and terminal can hold."""
    text = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in label)
    return text if len(text) <= _LABEL_LENGTH else text[: _LABEL_LENGTH - 1] + "…"
