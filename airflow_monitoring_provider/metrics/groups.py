"""Whether groups of rows are treated alike, and how well each is ranked within itself.

Groups are those that a definition's segments make by one column. Of a binary target each such column has, over its
groups with at least ``segment_rows`` scored rows:

- ``selection_rate_difference``: largest minus smallest share of scored rows that are predicted positive, in [0, 1];
- ``selection_rate_ratio``: smallest over largest share (disparate impact; the four-fifths rule asks for 0.8);
- ``tpr_difference``, ``fpr_difference``: the same difference of the shares of actual positives, and of actual
  negatives, that are predicted positive, over groups with at least ``per_class`` of them;
- ``group_auc``: mean area under the ROC curve within groups, weighted by labelled rows (Zhu et al. 2017), over groups
  with at least ``per_class`` rows of both classes; in [0, 1], with the interval of independent groups.

Fairlearn's definitions (``demographic_parity_difference`` and ``_ratio``, ``MetricFrame.difference``). Rows without a
value of the column are no group. Levels without a segment of their own are one group together, but not for
``group_auc``, which must not rank rows of one against rows of another. ``details`` name the groups, their rows and
rates. A difference or ratio has the p-value of the test that all rates are equal instead of an interval: the largest of
many small groups always differs from the smallest.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import ndtri

from airflow_monitoring_provider.metrics import curves
from airflow_monitoring_provider.metrics.contingency import guarded_chi_square
from airflow_monitoring_provider.metrics.intervals import CONFIDENCE, delong_variance
from airflow_monitoring_provider.metrics.labels import has_actuals
from airflow_monitoring_provider.metrics.precision import shared_buckets
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.scores import binary_table, positive_class
from airflow_monitoring_provider.metrics.settings import ComparisonSettings
from airflow_monitoring_provider.metrics.values import MetricValue, ResultKind, direction_of
from airflow_monitoring_provider.profiles.plan import MISSING, OTHER, SegmentPlan
from airflow_monitoring_provider.profiles.profile import ClassificationProfile, Profile

_GROUPS_SHOWN = 50

Groups = Mapping[str, ClassificationProfile]


@dataclasses.dataclass(frozen=True, slots=True)
class _Rate:
    group: str
    hits: int
    rows: int

    @property
    def share(self) -> float:
        return self.hits / self.rows


def group_values(current: Profile, baseline: Profile | None, settings: ComparisonSettings) -> list[MetricValue]:
    """Every value, under the column that makes the groups, in the order of the columns; none without such a column.

    Where two ways to group use one column, the first in the definition speaks for it. ``baseline_value`` and ``change``
    stand beside where the baseline has the same groups.
    """
    values: list[MetricValue] = []
    for column, way in sorted(_ways(current).items()):
        before = {}
        if baseline is not None and _ways(baseline).get(column) == way:
            before = {value.name: value for value in _of(column, way, baseline, settings)}
        values += [_beside(value, before.get(value.name)) for value in _of(column, way, current, settings)]
    return values


def _ways(profile: Profile) -> dict[str, SegmentPlan]:
    target = profile.target
    if profile.plan.target is None or not isinstance(target, ClassificationProfile) or len(target.classes) != 2:
        return {}
    ways: dict[str, SegmentPlan] = {}
    for way in profile.plan.segments:
        if not way.where:
            ways.setdefault(way.column, way)
    return ways


def _of(column: str, way: SegmentPlan, profile: Profile, settings: ComparisonSettings) -> list[MetricValue]:
    groups = {
        name: segment.target
        for name in way.ids
        if (segment := profile.segments.get(name)) is not None
        and name != f"{way.name}={MISSING}"
        and isinstance(segment.target, ClassificationProfile)
        and segment.target.scored >= max(settings.segment_rows, 1)
    }
    selected = [_selection(name, target) for name, target in groups.items()]
    values = [
        _difference("selection_rate_difference", column, selected),
        _difference("selection_rate_ratio", column, selected),
    ]
    if not has_actuals(profile):
        return values
    least = max(settings.per_class, 1)
    tables = {name: binary_table(target) for name, target in groups.items()}
    for metric, actual in (("tpr_difference", 1), ("fpr_difference", 0)):
        rates = [_Rate(name, int(table[actual, 1]), int(table[actual].sum())) for name, table in tables.items()]
        values.append(_difference(metric, column, [rate for rate in rates if rate.rows >= least]))
    alone = {name: target for name, target in groups.items() if name != f"{way.name}={OTHER}"}
    return [*values, _group_auc(column, alone, least)]


def _selection(name: str, target: ClassificationProfile) -> _Rate:
    return _Rate(name, int(target.predicted[target.classes.index(positive_class(target))]), target.scored)


def _difference(metric: str, column: str, rates: list[_Rate]) -> MetricValue:
    shown = [{"group": r.group, "rows": r.rows, "rate": r.share} for r in rates[:_GROUPS_SHOWN]]
    blank = _blank(metric, column, sum(rate.rows for rate in rates), shown)
    if len(rates) < 2:
        return dataclasses.replace(blank, reason=Reason.INSUFFICIENT_DATA)
    lowest, highest = min(rates, key=lambda r: r.share), max(rates, key=lambda r: r.share)
    if metric == "selection_rate_ratio" and not highest.hits:
        return dataclasses.replace(blank, reason=Reason.ZERO_DENOMINATOR)
    value = highest.share - lowest.share
    if metric == "selection_rate_ratio":
        value = lowest.share / highest.share
    test, p_value = _equal_rates(rates)
    details = {**blank.details, "lowest": lowest.group, "highest": highest.group, "test": test}
    return dataclasses.replace(blank, value=value, p_value=p_value, details=details)


def _equal_rates(rates: list[_Rate]) -> tuple[str, float]:
    hits = np.array([rate.hits for rate in rates], np.int64)
    others = np.array([rate.rows for rate in rates], np.int64) - hits
    if not hits.sum() or not others.sum():
        return "chi_square", 1.0
    found = guarded_chi_square(others, hits)
    return found.test, found.p_value


def _group_auc(column: str, groups: Groups, least: int) -> MetricValue:
    areas: list[tuple[str, int, float, float | None]] = []
    for name, target in groups.items():
        positive = positive_class(target)
        when, otherwise = target.scores_when.get(positive), target.scores_otherwise.get(positive)
        if when is None or otherwise is None or min(when.total, otherwise.total) < least:
            continue
        pair = shared_buckets(otherwise, when)
        areas.append((name, target.labelled, float(curves.roc_auc(*pair)), delong_variance(*pair)))
    rows = sum(labelled for _, labelled, _, _ in areas)
    shown = [{"group": name, "rows": labelled, "roc_auc": area} for name, labelled, area, _ in areas[:_GROUPS_SHOWN]]
    blank = _blank("group_auc", column, rows, shown)
    if not areas:
        return dataclasses.replace(blank, reason=Reason.INSUFFICIENT_DATA)
    mean = sum(labelled * area for _, labelled, area, _ in areas) / rows
    low, high = _around(mean, [(labelled / rows, variance) for _, labelled, _, variance in areas])
    return dataclasses.replace(blank, value=mean, low=low, high=high)


def _around(mean: float, parts: Sequence[tuple[float, float | None]]) -> tuple[float | None, float | None]:
    """Of a weighted mean of independent areas; parts are (weight, variance). None where a variance is none or 0."""
    if not all(variance for _, variance in parts):
        return None, None
    half = float(ndtri(0.5 + CONFIDENCE / 2)) * math.sqrt(sum(w * w * variance for w, variance in parts if variance))
    return max(mean - half, 0.0), min(mean + half, 1.0)


def _blank(metric: str, column: str, rows: int, groups: list[dict[str, object]]) -> MetricValue:
    return MetricValue(
        metric,
        ResultKind.MODEL_PERFORMANCE,
        direction_of(metric),
        None,
        column=column,
        m=rows,
        details={"groups": groups},
    )


def _beside(value: MetricValue, before: MetricValue | None) -> MetricValue:
    if before is None or before.value is None:
        return value
    details = {**value.details, "baseline_value": before.value}
    if value.value is not None:
        details["change"] = value.value - before.value
    return dataclasses.replace(value, n=before.m, details=details)
