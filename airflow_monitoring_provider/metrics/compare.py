"""The whole comparison of one batch: two profiles in, metric values in long form out. Pure, and in a fixed order.

Order: the batch's quality; then each column by role (features, predictions, actuals) and name, drift before quality;
then embeddings by name, likewise; then the shares of predicted classes; then performance; then how alike groups are
treated; then the same of each segment by its id, of columns and embeddings the primary drift value only. No result
depends on the order of rows, columns or levels.

p-values are adjusted over the batch (:mod:`.multiplicity`): features, predictions and actuals together, because any of
them can turn the batch's verdict.
"""

from __future__ import annotations

import dataclasses
import math
from datetime import datetime

from airflow_monitoring_provider.metrics.batch_quality import batch_quality, label_lags, row_counts
from airflow_monitoring_provider.metrics.checks import column_checks
from airflow_monitoring_provider.metrics.drift import column_drift
from airflow_monitoring_provider.metrics.embeddings import embedding_values
from airflow_monitoring_provider.metrics.groups import group_values
from airflow_monitoring_provider.metrics.labels import has_actuals
from airflow_monitoring_provider.metrics.multiplicity import adjusted
from airflow_monitoring_provider.metrics.performance import performance
from airflow_monitoring_provider.metrics.predictions import predicted_shares
from airflow_monitoring_provider.metrics.quality import column_quality
from airflow_monitoring_provider.metrics.ranking import ranking_values
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.settings import ComparisonSettings
from airflow_monitoring_provider.metrics.values import MetricValue, changed
from airflow_monitoring_provider.profiles.histogram import Histogram
from airflow_monitoring_provider.profiles.plan import ColumnRole, SchemaChanges
from airflow_monitoring_provider.profiles.profile import (
    ClassificationProfile,
    ColumnProfile,
    Profile,
    RegressionProfile,
)

__all__ = ["ComparisonSettings", "compare"]

_ROLES = (ColumnRole.FEATURE, ColumnRole.PREDICTION, ColumnRole.ACTUAL)


def compare(
    current: Profile,
    baseline: Profile | None,
    settings: ComparisonSettings,
    *,
    schema_changes: SchemaChanges | None = None,
    null_timestamps: int = 0,
    as_of: datetime | None = None,
) -> list[MetricValue]:
    """Everything two profiles say of each other, without a status.

    :param baseline: None while there is none: drift values are then None with reason ``baseline_missing``; quality and
        performance are computed all the same.
    :param schema_changes: how the columns found differ from the frozen ones; None where nobody looked.
    :param null_timestamps: rows of the source without an event time, which belong to no window.
    :param as_of: when the rows were to be there: the end of their window, or the moment of the job if it was earlier.
    """
    settings = settings.scaled(current, baseline)
    changes = _seen(schema_changes or SchemaChanges(), current, baseline, settings)
    values = batch_quality(current, baseline, changes, null_timestamps, identified=settings.identified, as_of=as_of)
    for name in _columns(current, baseline, changes):
        values += _column(name, current, baseline, settings, changes)
    values += embedding_values(current, baseline, settings)
    values += _target(current, baseline, settings)
    values += group_values(current, baseline, settings)
    comparable = _comparable_segments(current, baseline)
    for segment in sorted(
        current.segments.keys() | (set() if baseline is None else comparable & baseline.segments.keys())
    ):
        values += _segment(segment, current, baseline if segment in comparable else None, settings, changes)
    return adjusted([_finite(value) for value in values], settings.adjustment)


def compare_labels(current: Profile, baseline: Profile | None, settings: ComparisonSettings) -> list[MetricValue]:
    """What late actuals may change of the values of :func:`compare`: how long they took, and performance."""
    settings = settings.scaled(current, baseline)
    values = [*label_lags(current, baseline), *_performance(current, baseline, settings)]
    values += group_values(current, baseline, settings)
    comparable = _comparable_segments(current, baseline)
    before = baseline.segments if baseline is not None else {}
    for segment in sorted(current.segments.keys() | (comparable & before.keys())):
        rows, reference = _segment_sides(segment, current, baseline if segment in comparable else None)
        found = _performance(rows, reference, settings)
        if rows.rows < settings.segment_rows:
            found = [_unsupported(value, settings.segment_rows) for value in found]
        values += [changed(value, segment=segment) for value in found]
    return adjusted([_finite(value) for value in values], settings.adjustment)


def _comparable_segments(current: Profile, baseline: Profile | None) -> set[str]:
    """Ids that stand for the same rows on both sides: an edited definition may give one to others than it did."""
    if baseline is None or current.plan.level_names != baseline.plan.level_names:
        return set()
    now, then = (
        {name: meaning for segment in side.plan.segments for name, meaning in segment.meanings().items()}
        for side in (current, baseline)
    )
    return {name for name, meaning in now.items() if name in then and then[name] == meaning}


def _segment(
    segment: str, current: Profile, baseline: Profile | None, settings: ComparisonSettings, changes: SchemaChanges
) -> list[MetricValue]:
    """What is said of one segment: its rows, each column's primary drift value, predicted classes and performance."""
    rows, before = _segment_sides(segment, current, baseline)
    empty = not rows.rows or (before is not None and not before.rows)
    values: list[MetricValue] = []
    reason = Reason.NO_DATA if empty else None
    for name in _columns(rows, before, changes):
        values += [value for value in _column(name, rows, before, settings, changes, reason) if value.primary]
    values += [value for value in embedding_values(rows, before, settings, reason=reason) if value.primary]
    values += _target(rows, before, settings)
    if rows.rows < settings.segment_rows:
        values = [_unsupported(value, settings.segment_rows) for value in values]
    return [changed(value, segment=segment) for value in (*row_counts(rows, before), *values)]


def _segment_sides(segment: str, current: Profile, baseline: Profile | None) -> tuple[Profile, Profile | None]:
    """The profiles of a segment; empty where no row is in it."""
    rows = current.segments.get(segment, Profile(current.plan.of_segment()))
    return rows, None if baseline is None else baseline.segments.get(segment, Profile(rows.plan))


def _unsupported(value: MetricValue, needed: int) -> MetricValue:
    if value.value is None:
        return value
    details = {**value.details, "needed": {"segment_rows": needed}}
    return dataclasses.replace(
        value, value=None, p_value=None, low=None, high=None, reason=Reason.INSUFFICIENT_DATA, details=details
    )


def _seen(
    changes: SchemaChanges, current: Profile, baseline: Profile | None, settings: ComparisonSettings
) -> SchemaChanges:
    """The changes without the types of columns that hold nothing: in a CSV file such a column has none to change.

    That it is empty has results of its own. A kind that a check asks for is not made from the baseline's values.
    """

    def typed(name: str) -> bool:
        column, before = current.columns.get(name), None if baseline is None else baseline.columns.get(name)
        check = settings.checks.get(name)
        checked = check is not None and check.asked_kind is not None
        return not _without_values(column) and (checked or not _without_values(before))

    return dataclasses.replace(changes, retyped=tuple(change for change in changes.retyped if typed(change[0])))


def _without_values(column: ColumnProfile | None) -> bool:
    return column is not None and column.missing == column.rows


def _columns(current: Profile, baseline: Profile | None, changes: SchemaChanges) -> list[str]:
    """Every column that either side has, by role and name; of the baseline's features those that are still watched."""
    watched = {column.name for column in current.plan.columns} | set(changes.missing)
    found = {name: column for name, column in current.columns.items() if name not in changes.missing}
    if baseline is not None:
        found |= {
            name: column
            for name, column in baseline.columns.items()
            if name in watched or column.role is not ColumnRole.FEATURE
        }
    return sorted(found, key=lambda name: (_ROLES.index(found[name].role), name))


def _column(
    name: str,
    current: Profile,
    baseline: Profile | None,
    settings: ComparisonSettings,
    changes: SchemaChanges,
    reason: Reason | None = None,
) -> list[MetricValue]:
    """What is said of one column.

    :param reason: why there is nothing to compare, where it is known beforehand.
    """
    column = current.columns.get(name) if name not in changes.missing else None
    reference = baseline.columns.get(name) if baseline is not None else None
    if baseline is None:
        reason = Reason.BASELINE_MISSING
    elif reason is None and name in {retyped for retyped, _, _ in changes.retyped}:
        reason = Reason.COLUMN_RETYPED
    show_levels = all(p.plan.level_names == "keep" for p in (current, baseline) if p is not None)
    values = column_drift(reference, column, settings, reason=reason, show_levels=show_levels)
    if column is None:
        return values
    check = settings.checks.get(name)
    return values + column_quality(column, reference) + (column_checks(column, check) if check is not None else [])


def _target(current: Profile, baseline: Profile | None, settings: ComparisonSettings) -> list[MetricValue]:
    plan, target = current.plan.target, current.target
    if plan is None or target is None:
        return []
    before = baseline.target if baseline is not None else None
    values: list[MetricValue] = []
    if isinstance(target, ClassificationProfile):
        values += predicted_shares(
            plan, target, before if isinstance(before, ClassificationProfile) else None, settings
        )
    return values + _performance(current, baseline, settings)


def _performance(current: Profile, baseline: Profile | None, settings: ComparisonSettings) -> list[MetricValue]:
    """How predictions met actuals, where the rows have them or late ones were joined."""
    target = current.target
    if target is None or not has_actuals(current):
        return []
    before = baseline.target if baseline is not None else None
    actuals = [None if side is None else _actuals(side) for side in (current, baseline)]
    late = current.plan.target is not None and current.plan.target.actual_column is None
    values = performance(target, before, settings, actuals=(actuals[0], actuals[1]), late=late)
    provisional = "provisional" in values[0].details
    return [*values, *ranking_values(current, baseline, settings, provisional=provisional)]


def _actuals(profile: Profile) -> Histogram | None:
    """The actual numbers, where they are those of the rows that performance is about."""
    plan, target = profile.plan.target, profile.target
    if plan is None or plan.actual_column is None or not isinstance(target, RegressionProfile):
        return None
    column = profile.columns.get(plan.actual_column)
    histogram = None if column is None else column.histogram
    return histogram if histogram is not None and histogram.total == target.labelled else None


def _finite(value: MetricValue) -> MetricValue:
    """No NaN and no infinity leaves this room: JSON and databases disagree on both."""
    if value.value is not None and not math.isfinite(value.value):
        return dataclasses.replace(value, value=None, p_value=None, reason=Reason.NOT_FINITE)
    return value
