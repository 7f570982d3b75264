"""Which values are made of actuals, whether a batch has any, and how many are expected."""

from __future__ import annotations

import dataclasses

from airflow_monitoring_provider.metrics.custom import is_custom
from airflow_monitoring_provider.metrics.values import MetricValue, ResultKind
from airflow_monitoring_provider.profiles.profile import Profile


@dataclasses.dataclass(frozen=True, slots=True)
class FinalCoverage:
    """What label coverage windows reach whose actuals have had their time.

    :param share: their median, over 0. :param windows: how many there are.
    """

    share: float
    windows: int


def of_labels(value: MetricValue) -> bool:
    """Whether late actuals may change a value."""
    if is_custom(value):
        return False
    return value.kind is ResultKind.MODEL_PERFORMANCE or value.name in (
        "label_coverage",
        "label_lag_p50",
        "label_lag_p95",
    )


def has_actuals(profile: Profile) -> bool:
    """The rows bring actuals, or late ones were joined."""
    plan, target = profile.plan.target, profile.target
    if plan is None or target is None:
        return False
    return plan.actual_column is not None or bool(target.labelled or target.invalid_actual)
