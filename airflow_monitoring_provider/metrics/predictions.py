"""Which classes are predicted, and whether their shares moved: the part of prediction drift that a user feels."""

from __future__ import annotations

import dataclasses

from airflow_monitoring_provider.metrics.novelty import share_change
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.settings import ComparisonSettings
from airflow_monitoring_provider.metrics.significance import wilson_interval
from airflow_monitoring_provider.metrics.values import Direction, MetricValue, ResultKind
from airflow_monitoring_provider.profiles.plan import TargetPlan
from airflow_monitoring_provider.profiles.profile import ClassificationProfile


def predicted_shares(
    plan: TargetPlan,
    current: ClassificationProfile,
    baseline: ClassificationProfile | None,
    settings: ComparisonSettings,
) -> list[MetricValue]:
    """``predicted_share`` per class that has a prediction column (binary: the positive class), under that column.

    The value is the share of scored rows for which the class is predicted, with Wilson's 95 % interval; against a
    baseline, p is of Fisher's exact test (with many rows of the pooled z test), and
    ``details`` hold ``baseline_value`` and ``change``.
    """
    before = baseline if baseline is not None and baseline.classes == current.classes else None
    return [_share(name, column, current, before, settings) for name, column in _columns(plan, current)]


def _share(
    name: str,
    column: str,
    current: ClassificationProfile,
    baseline: ClassificationProfile | None,
    settings: ComparisonSettings,
) -> MetricValue:
    at = current.classes.index(name)
    blank = MetricValue(
        "predicted_share",
        ResultKind.DATA_DRIFT,
        Direction.TWO_SIDED,
        None,
        column=column,
        n=baseline.scored if baseline is not None else None,
        m=current.scored,
        details={"role": "prediction", "class": name},
    )
    if not current.scored:
        return dataclasses.replace(blank, reason=Reason.NO_PREDICTIONS)
    if current.scored < settings.current_rows:
        return dataclasses.replace(blank, reason=Reason.INSUFFICIENT_DATA)
    hits, share = int(current.predicted[at]), int(current.predicted[at]) / current.scored
    low, high = wilson_interval(hits, current.scored)
    value = dataclasses.replace(blank, value=share, low=low, high=high)
    if baseline is None or not baseline.scored or baseline.scored < settings.reference_rows:
        return value
    test = share_change(int(baseline.predicted[at]), baseline.scored, hits, current.scored)
    before = int(baseline.predicted[at]) / baseline.scored
    moved = {"test": test.test, "baseline_value": before, "change": share - before}
    return dataclasses.replace(value, p_value=test.p_value, details={**blank.details, **moved})


def _columns(plan: TargetPlan, current: ClassificationProfile) -> list[tuple[str, str]]:
    pairs = [(name, column) for name, column in plan.prediction_columns if name in current.classes]
    if len(current.classes) > 2:
        return sorted(pairs)
    return [(name, column) for name, column in pairs if name == current.positive_class]
