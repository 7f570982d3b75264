"""How a deployment does: three indicators over its last batches, or its last days where batch monitoring is off.

Service: shares of requests that were refused or broke. Drift: how many features drift, by importance, and whether the
predictions do. Accuracy: one metric against its baseline or against limits of its own. All are made now from what the
store holds, so a batch that is deleted, restated or added to counts at once as it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime
from typing import Any

from airflow_monitoring_provider.definitions.deployment import (
    INTERVALS,
    AccuracyHealth,
    DeploymentSettings,
    DriftHealth,
    Health,
    HealthRange,
    ServiceHealth,
)
from airflow_monitoring_provider.definitions.terms import ResultStatus, TargetType
from airflow_monitoring_provider.jobs.selection import DefinitionPart, Selection, newest_batches
from airflow_monitoring_provider.metrics.values import Direction
from airflow_monitoring_provider.monitors.evaluate import Result
from airflow_monitoring_provider.monitors.model_score import counts, drifted_features
from airflow_monitoring_provider.store.batch_store import BatchStore
from airflow_monitoring_provider.store.queries import PAGE_LIMIT
from airflow_monitoring_provider.store.report_records import ServiceStats

_ORDER = (Health.UNAVAILABLE, Health.UNKNOWN, Health.PASSING, Health.WARNING, Health.FAILING)
_OF_STATUS = {
    ResultStatus.IRRELEVANT: Health.UNKNOWN,
    ResultStatus.NO_DETECTION: Health.PASSING,
    ResultStatus.POTENTIAL_DETECTION: Health.WARNING,
    ResultStatus.DETECTED: Health.FAILING,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Indicator:
    """One respect in which a deployment does well or badly, why, and of what time its predictions are."""

    status: Health
    message: str
    start: datetime | None = None
    end: datetime | None = None
    batches: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class DeploymentHealth:
    """The three indicators of a deployment."""

    deployment_id: str
    service: Indicator
    drift: Indicator
    accuracy: Indicator

    @property
    def worst(self) -> Health:
        """Failing before warning before passing before unknown."""
        return max((self.service.status, self.drift.status, self.accuracy.status), key=_ORDER.index)

    def to_dict(self) -> dict[str, Any]:
        """JSON-clean form: instants as ISO 8601 text."""
        found: dict[str, Any] = {"deployment_id": self.deployment_id, "status": self.worst.value}
        for name in ("service", "drift", "accuracy"):
            indicator: Indicator = getattr(self, name)
            times = {end: at.isoformat() if (at := getattr(indicator, end)) else None for end in ("start", "end")}
            found[name] = dataclasses.asdict(indicator) | times | {"status": indicator.status.value}
        return found


def deployment_health(store: BatchStore, deployment_id: str, now: datetime) -> DeploymentHealth:
    """Judge a deployment by its settings.

    :param now: aware; where time ranges end.
    :raises NotFound: there is no such deployment.
    """
    settings = store.deployment(deployment_id).settings
    health = settings.health
    seen: dict[object, Selection] = {}

    def selected(reach: HealthRange) -> Selection:
        by_batch = settings.batch_monitoring.enabled
        key = reach.batch_count if by_batch else reach.time_interval
        if key not in seen:
            since = None if by_batch else now - INTERVALS[reach.time_interval]
            count = reach.batch_count if by_batch else PAGE_LIMIT
            seen[key] = newest_batches(store, deployment_id, count, since=since)
        return seen[key]

    service, drift, accuracy = (selected(reach) for reach in (health.service, health.data_drift, health.accuracy))
    return DeploymentHealth(
        deployment_id=deployment_id,
        service=_over(service, *service_health(service.service, health.service)),
        drift=_over(drift, *_worst_of(drift, lambda part: drift_health(part, health.data_drift, settings))),
        accuracy=_over(accuracy, *_worst_of(accuracy, lambda part: accuracy_health(part, health.accuracy))),
    )


def service_health(stats: ServiceStats, rule: ServiceHealth) -> tuple[Health, str]:
    """By the shares of requests that went wrong."""
    if not stats.requests:
        return Health.UNKNOWN, "no requests"
    broke, refused = stats.server_errors / stats.requests, stats.user_errors / stats.requests
    told = f"{stats.requests} requests, {stats.server_errors} broke, {stats.user_errors} were refused"
    if broke > rule.server_error_rate_failing:
        return Health.FAILING, told
    return (Health.WARNING if refused > rule.user_error_rate_warning else Health.PASSING), told


def drift_health(part: DefinitionPart, rule: DriftHealth, settings: DeploymentSettings) -> tuple[Health, str]:
    """By how many features drift, and by whether the predictions do; what is not tracked does not count."""
    tracked = (settings.feature_drift.enabled, settings.target_drift.enabled)
    if not any(tracked):
        return Health.UNAVAILABLE, "neither features nor predictions are tracked"
    if not part.compared:
        return Health.UNKNOWN, "there is no baseline yet"
    found = []
    if tracked[0]:
        importances = settings.feature_importances or (
            {} if part.definition.model_score is None else part.definition.model_score.importances
        )
        score = rule.rule(importances)
        features = [_decided(each, rule) for each in part.evaluation.results if counts(each, score)]
        value, status = drifted_features(features, score)
        many = 0 if value.value is None else int(value.value)
        found.append((_OF_STATUS[status], f"{many} of {value.details['judged']} features drift"))
    if tracked[1]:
        for result in part.evaluation.results:
            if result.primary and result.segment is None and result.metric.details.get("role") == "prediction":
                one = _decided(result, rule)
                found.append((_OF_STATUS[one.status], f"predictions: {one.name} {_shown(one.value)}"))
    status_of_all = max((status for status, _ in found), key=_ORDER.index, default=Health.UNKNOWN)
    return status_of_all, "; ".join(text for _, text in found) or "nothing is compared"


def accuracy_health(part: DefinitionPart, rule: AccuracyHealth) -> tuple[Health, str]:
    """By one metric: its value, or how many percent worse than the baseline it is."""
    target = part.profile.plan.target
    if target is None or (
        target.actual_column is None and not part.definition.monitoring_columns.association_id_column
    ):
        return Health.UNAVAILABLE, "the definition names neither actuals nor an association id"
    if part.profile.target is None or not part.profile.target.labelled:
        return Health.UNKNOWN, "no actuals yet"
    name = rule.metric or ("rmse" if target.target_type is TargetType.REGRESSION else "log_loss")
    result = next(
        (each for each in part.evaluation.results if each.name == name and each.column is None and not each.segment),
        None,
    )
    if result is None:
        return Health.UNAVAILABLE, f"{name} is not among the metrics of this target"
    if result.value is None:
        return Health.UNKNOWN, f"{name}: {result.metric.reason}"
    if rule.measurement == "percent":
        before = result.metric.details.get("baseline_value")
        if not isinstance(before, int | float) or not before:
            return Health.UNKNOWN, f"{name} {_shown(result.value)}, and the baseline has none to compare with"
        change = 100.0 * (result.value - before) / abs(before)
        measured, told = change, f"{name} {_shown(result.value)}, {change:+.3g} % of the baseline's {_shown(before)}"
    else:
        measured, told = result.value, f"{name} {_shown(result.value)}"
    up_is_worse = result.metric.direction is Direction.LOWER_IS_BETTER
    if rule.measurement == "percent" and not up_is_worse:
        measured, up_is_worse = -measured, True
    for status, limit in ((Health.FAILING, rule.failing_threshold), (Health.WARNING, rule.warning_threshold)):
        if measured >= limit if up_is_worse else measured <= limit:
            return status, told
    return Health.PASSING, told


def _decided(result: Result, rule: DriftHealth) -> Result:
    """The result under the deployment's own threshold, where it has one."""
    if rule.drift_threshold is None or result.value is None or result.status is ResultStatus.IRRELEVANT:
        return result
    beyond = result.value >= rule.drift_threshold
    return dataclasses.replace(result, status=ResultStatus.DETECTED if beyond else ResultStatus.NO_DETECTION)


def _worst_of(selection: Selection, judge: Callable[[DefinitionPart], tuple[Health, str]]) -> tuple[Health, str]:
    """The worst that any definition says; with none, nothing is known."""
    found = [judge(part) for part in selection.parts]
    status, message = max(found, key=lambda pair: _ORDER.index(pair[0]), default=(Health.UNKNOWN, "no predictions"))
    return status, message


def _over(selection: Selection, status: Health, message: str) -> Indicator:
    return Indicator(status, message, selection.earliest, selection.latest, len(selection.batch_ids))


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"
