"""Which classes are predicted, and whether their shares moved: the part of prediction drift that a user feels."""

from __future__ import annotations

import dataclasses

from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.settings import ComparisonSettings
from airflow_monitoring_provider.metrics.significance import two_proportions, wilson_interval
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
    baseline, p is of the pooled two-proportion test, and ``details`` hold ``baseline_value`` and ``change``.
    """
    comparable = baseline is not None and baseline.classes == current.classes
    values = []
    for name, column in _columns(plan, current):
        at = current.classes.index(name)
        blank = MetricValue(
            "predicted_share",
            ResultKind.DATA_DRIFT,
            Direction.TWO_SIDED,
            None,
            column=column,
            n=baseline.scored if baseline is not None and comparable else None,
            m=current.scored,
            details={"role": "prediction", "class": name},
        )
        if not current.scored:
            values.append(dataclasses.replace(blank, reason=Reason.NO_PREDICTIONS))
            continue
        if current.scored < settings.current_rows:
            values.append(dataclasses.replace(blank, reason=Reason.INSUFFICIENT_DATA))
            continue
        hits = int(current.predicted[at])
        low, high = wilson_interval(hits, current.scored)
        value = dataclasses.replace(blank, value=hits / current.scored, low=low, high=high)
        if baseline is not None and comparable and baseline.scored >= settings.reference_rows:
            before = int(baseline.predicted[at])
            test = two_proportions(before, baseline.scored, hits, current.scored)
            moved = {"test": test.test, "baseline_value": before / baseline.scored}
            moved["change"] = hits / current.scored - before / baseline.scored
            value = dataclasses.replace(value, p_value=test.p_value, details={**blank.details, **moved})
        values.append(value)
    return values


def _columns(plan: TargetPlan, current: ClassificationProfile) -> list[tuple[str, str]]:
    pairs = [(name, column) for name, column in plan.prediction_columns if name in current.classes]
    if len(current.classes) > 2:
        return sorted(pairs)
    return [(name, column) for name, column in pairs if name == current.positive_class]
