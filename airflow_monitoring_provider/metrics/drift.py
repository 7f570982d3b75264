"""How far one column's distribution lies from its baseline: one primary value that decides, several that describe.

Which values there are is chosen in :mod:`.choice` and computed in :mod:`.drift_metrics`; by default the primary one is
PSI over cells cut from the baseline. Whether chance could have done this is asked without looking at the distance:
:mod:`.column_test` makes one p-value of the ranks of the values and the counts in the cells, and every distance has it.

Actuals are compared over the rows that have one: a missing actual is a late one, not a value of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from airflow_monitoring_provider.definitions.drift import Missing
from airflow_monitoring_provider.definitions.metric_terms import METRICS
from airflow_monitoring_provider.definitions.printing import printable
from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.metrics import distances
from airflow_monitoring_provider.metrics.binning import MISSING, UNSEEN, Binning, BinningRule, rows_by_level, values_of
from airflow_monitoring_provider.metrics.cells import Cells, comparable, compare_cells, missing_share
from airflow_monitoring_provider.metrics.choice import NUMERIC_DEFAULT, Choice
from airflow_monitoring_provider.metrics.column_test import column_test
from airflow_monitoring_provider.metrics.drift_metrics import DRIFT_METRICS, Found, Needs, Sides
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.settings import ComparisonSettings
from airflow_monitoring_provider.metrics.values import Direction, MetricValue, ResultKind
from airflow_monitoring_provider.profiles.histogram import Histogram
from airflow_monitoring_provider.profiles.levels import LevelCounts
from airflow_monitoring_provider.profiles.plan import ColumnRole
from airflow_monitoring_provider.profiles.profile import ColumnProfile

Fields = dict[str, Any]
"""Fields of a :class:`MetricValue`, which is made once all of them are known."""

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
    choice = settings.drift.of(column, current if reference is not None else None)
    blank = _blank(column, reference, current)
    if not choice.metrics:
        return [] if column.kind is ColumnKind.TIMESTAMP else [_nothing_applies(blank)]
    if reason is None and reference is None:
        reason = Reason.COLUMN_NEW
    if reason is None and current is None:
        reason = Reason.COLUMN_MISSING
    if reason is not None or reference is None or current is None:
        return _all_without(blank, choice, reason or Reason.NO_DATA)
    if reference.kind is not current.kind or not comparable(reference, current):
        return _all_without(blank, choice, Reason.COLUMN_RETYPED)
    return _compare(blank, choice, reference, current, settings, show_levels)


def _compare(
    blank: Fields,
    choice: Choice,
    reference: ColumnProfile,
    current: ColumnProfile,
    settings: ComparisonSettings,
    show_levels: bool,
) -> list[MetricValue]:
    n, m = _rows(reference, choice.rule), _rows(current, choice.rule)
    blank = blank | {"n": n, "m": m}
    ours = values_of(reference)
    if not reference.rows or not current.rows or not m or ours is None or not ours.total:
        return _all_without(blank, choice, Reason.NO_DATA)
    if n < settings.reference_rows or m < settings.current_rows:
        needed = {"reference_rows": settings.reference_rows, "current_rows": settings.current_rows}
        return _all_without(blank, choice, Reason.INSUFFICIENT_DATA, needed=needed)
    cells = compare_cells(reference, current, choice.rule)
    sides = Sides(reference, current, cells, choice, settings.alpha)
    ordered = sides.buckets if sides.histograms is not None else None
    test = column_test(*cells.tested, ordered)
    tested = {
        **blank,
        "n": cells.n,
        "m": cells.m,
        "binning": cells.binning.id,
        "precision": cells.precision,
        "p_value": test.p_value,
        "details": {**blank["details"], "test": test.details["test"]},
    }
    with np.errstate(over="ignore", invalid="ignore"):
        found = [_found(name, sides, settings) for name in choice.metrics]
    values = [_fields(tested, name, sides, one) for name, one in zip(choice.metrics, found, strict=True)]
    if values[0]["value"] is not None:
        values[0]["details"] |= _description(choice.metrics[0], sides, test.details, show_levels)
    return [MetricValue(**fields) for fields in values]


def _found(name: str, sides: Sides, settings: ComparisonSettings) -> Found:
    """What one metric finds: a number, or why there is none and (in ``details``) what it would need."""
    metric = DRIFT_METRICS[name]
    if metric.needs is Needs.VALUES and sides.histograms is None:
        return Found(reason=Reason.NO_DATA)
    if metric.per_cell and name == sides.choice.primary:
        needed = settings.rows_per_cell * int(np.count_nonzero(sides.cells.reference[: sides.cells.binning.named]))
        if sides.cells.m < needed:
            return Found(reason=Reason.INSUFFICIENT_DATA, details={"needed": {"current_rows": needed}})
    found = metric.compute(sides)
    if found.value is None:
        return Found(reason=found.reason or Reason.NO_DATA)
    finite = math.isfinite(found.value) and math.isfinite(found.p_value or 0.0)
    return found if finite else Found(reason=Reason.NOT_FINITE)


def _fields(tested: Fields, name: str, sides: Sides, found: Found) -> Fields:
    """One metric's value, with the column's p-value unless it has its own."""
    value = {**tested, "name": name, "primary": name == sides.choice.primary}
    if DRIFT_METRICS[name].needs is Needs.VALUES:
        value |= {"n": sides.reference.count, "m": sides.current.count, "binning": None}
    if found.value is None:
        return _without(value, found.reason or Reason.NO_DATA, **found.details)
    if found.p_value is not None:
        value["p_value"] = found.p_value
    details = {**tested["details"], **found.details}
    return value | {"value": found.value, "critical_value": found.critical_value, "details": details}


def _description(name: str, sides: Sides, test: dict[str, Any], show_levels: bool) -> dict[str, Any]:
    """What the cells of the primary value say, and what the column's p-value is made of where it has that one."""
    return {
        **({} if METRICS[name].test else test),
        "scheme": sides.cells.binning.scheme.value,
        "cells": sides.cells.used,
        "moved": moved(sides.cells, show_levels=show_levels, current=sides.current),
        **_medians(sides),
    }


def _medians(sides: Sides) -> dict[str, Any]:
    """Both sides' medians, within half a bucket; of numbers and lengths."""
    ours, theirs = values_of(sides.reference), values_of(sides.current)
    if not (isinstance(ours, Histogram) and isinstance(theirs, Histogram) and ours.total and theirs.total):
        return {}
    return {"median": {"reference": ours.quantile(0.5), "current": theirs.quantile(0.5)}}


def moved(cells: Cells, *, show_levels: bool = True, current: ColumnProfile | None = None) -> list[dict[str, Any]]:
    """The at most five cells whose share changed most: ``cell``, ``reference`` and ``current`` share.

    A level that must not be named is ``__level__``; what is no level is ``__missing__``, ``__unseen__``, ``__other__``.
    ``rest`` is true of an interval without the values in it that are a cell each; ``infinite`` of ``__missing__`` where
    it holds infinite values as well; ``levels`` are the most frequent of the levels that the baseline does not have.

    :param current: the current rows, where their levels may be named.
    """
    p, q = distances.shares(cells.reference, cells.current)
    gap = np.abs(q - p)
    broken_up = _broken_up(cells.binning)
    result = []
    for i in _largest(gap, cells.binning.labels):
        hidden = cells.precision is None and not show_levels and i < cells.binning.named
        label = "__level__" if hidden else printable(cells.binning.labels[i], _LABEL_LENGTH)
        if label.startswith("__") and not hidden and i < cells.binning.named:
            label = f"\\u005f{label[1:]}"  # a level that reads like one of this module's own words
        entry = {"cell": label, "reference": round(float(p[i]), 6), "current": round(float(q[i]), 6)}
        if i in broken_up:
            entry["rest"] = True
        if label == MISSING and current is not None and current.positive_inf + current.negative_inf:
            entry["infinite"] = True
        if label == UNSEEN and show_levels and current is not None and current.levels is not None:
            entry |= _new_levels(current.levels, cells.binning)
        result.append(entry)
    return result


def _largest(gaps: npt.NDArray[np.float64], labels: Sequence[str]) -> list[int]:
    """Places of the at most five largest gaps above 0, to twelve digits; of two as large by their labels."""
    least = np.partition(gaps, -_MOVED)[-_MOVED] if gaps.size > _MOVED else 0.0
    near = np.flatnonzero((gaps > 0) & (gaps >= least - 2e-12)).tolist()
    return sorted(near, key=lambda place: (-round(float(gaps[place]), 12), labels[place]))[:_MOVED]


def _broken_up(binning: Binning) -> set[int]:
    """Places of intervals from which a value was taken as a cell of its own."""
    if binning.edges is None or binning.outside:
        return set()
    return set(np.searchsorted(binning.edges, binning.values, side="right").tolist())


def _new_levels(levels: LevelCounts, binning: Binning) -> dict[str, Any]:
    rows = {level: count for level, count in rows_by_level(levels).items() if level not in binning.known}
    return {"levels": named_levels(rows)} if all(isinstance(level, str) for level in rows) else {}


def named_levels(rows: Mapping[Any, int]) -> list[str]:
    """The at most five most frequent of some levels, fit to be shown."""
    ranked = sorted(rows, key=lambda level: (-rows[level], level))
    return [printable(level, _LABEL_LENGTH) for level in ranked[:_MOVED]]


def _rows(column: ColumnProfile, rule: BinningRule) -> int:
    return column.count if rule.missing is Missing.DROP else column.rows


def _blank(column: ColumnProfile, reference: ColumnProfile | None, current: ColumnProfile | None) -> Fields:
    details: dict[str, Any] = {"role": column.role.value}
    if column.kind is ColumnKind.TEXT:
        details["of"] = "length"
    return {
        "kind": ResultKind.CONCEPT_DRIFT if column.role is ColumnRole.ACTUAL else ResultKind.DATA_DRIFT,
        "direction": Direction.LOWER_IS_BETTER,
        "column": column.name,
        "n": reference.rows if reference is not None else None,
        "m": current.rows if current is not None else None,
        "missing_reference": missing_share(reference) if reference is not None else None,
        "missing_current": missing_share(current) if current is not None else None,
        "details": details,
    }


def _without(fields: Fields, reason: Reason, **details: Any) -> Fields:
    without = {"value": None, "p_value": None, "reason": reason, "details": {**fields["details"], **details}}
    return {**fields, **without}


def _all_without(blank: Fields, choice: Choice, reason: Reason, **details: Any) -> list[MetricValue]:
    fields = (_without(blank, reason, **details) for _ in choice.metrics)
    return [
        MetricValue(**each, name=name, primary=name == choice.primary)
        for name, each in zip(choice.metrics, fields, strict=True)
    ]


def _nothing_applies(blank: Fields) -> MetricValue:
    """A column for which the definition names no metric that it can have is not passed over in silence."""
    return MetricValue(**_without(blank, Reason.NOT_APPLICABLE), name=NUMERIC_DEFAULT[0], primary=True)
