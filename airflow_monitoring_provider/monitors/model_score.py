"""One verdict on the model from the drift of its features: by share, by mean, by importance, or by counts of both.

Features count over all rows (no segment), where they could be judged, and unless they are excluded. ``drift_share`` is
always there; a definition's ``model_score``, or its ``drift.parity``, names the rule that decides instead of the
features one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_monitoring_provider.definitions.model_score import ModelRule, ModelScore
from airflow_monitoring_provider.definitions.terms import ResultStatus
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.values import Direction, MetricValue, ResultKind
from airflow_monitoring_provider.monitors.thresholds import Limits

if TYPE_CHECKING:
    from airflow_monitoring_provider.monitors.evaluate import Result

DRIFT_SHARE = "drift_share"
DRIFT_SCORE = "drift_score"
DRIFTED_FEATURES = "drifted_features"

_SHARE_LIMITS = Limits(None, 0.5)  # Evidently's drift_share
_SCORE_LIMITS = Limits(0.10, 0.25)  # those of the values that it is a mean of
_NAMED = 20


def counts(result: Result, rule: ModelScore | None) -> bool:
    """Whether a result is a feature's that counts in the model's score."""
    metric = result.metric
    feature = metric.primary and metric.segment is None and metric.details.get("role") == "feature"
    return feature and (rule is None or metric.column not in rule.excluded_features)


def drift_share(features: Sequence[Result]) -> MetricValue:
    """Share of the features that are detected, over those that could be judged."""
    judged = [result for result in features if result.status is not ResultStatus.IRRELEVANT]
    detected = sum(result.status is ResultStatus.DETECTED for result in judged)
    share = detected / len(judged) if judged else None
    return _value(DRIFT_SHARE, features, judged, share, detected=detected)


def drift_score(features: Sequence[Result], rule: ModelScore) -> MetricValue:
    """``sum(w d) / sum(w)`` over the features judged: w their importance (1 each for ``drift_mean``), d their drift, 0
    where it is not significant.

    The drift of a small batch is never 0 by itself: without the significance any clean one would have a score.
    """
    judged = [result for result in features if result.status is not ResultStatus.IRRELEVANT]
    alike = rule.rule is ModelRule.DRIFT_MEAN
    weights = [1.0 if alike else rule.importances.get(result.column or "", 0.0) for result in judged]
    total = sum(weights)
    if not total:
        return _value(DRIFT_SCORE, features, judged, None)
    parts = [
        weight * (result.value or 0.0) if result.significant else 0.0
        for weight, result in zip(weights, judged, strict=True)
    ]
    leading = sorted(zip(parts, judged, strict=True), key=lambda pair: (-pair[0], pair[1].column or ""))
    names = [result.column for part, result in leading[:_NAMED] if part > 0]
    return _value(DRIFT_SCORE, features, judged, sum(parts) / total, rule=rule.rule.value, leading=names)


def drifted_features(features: Sequence[Result], rule: ModelScore) -> tuple[MetricValue, ResultStatus]:
    """How many features drift (a warning counts), and what that many of high and low importance mean."""
    judged = [result for result in features if result.status is not ResultStatus.IRRELEVANT]
    largest = max((rule.importances.get(result.column or "", 0.0) for result in features), default=0.0)
    high: list[str] = []
    low: list[str] = []
    for result in judged:
        if result.status > ResultStatus.NO_DETECTION and result.column is not None:
            (high if _is_high(result.column, largest, rule) else low).append(result.column)
    found = float(len(high) + len(low)) if judged else None
    value = _value(DRIFTED_FEATURES, features, judged, found, high=sorted(high)[:_NAMED], low=sorted(low)[:_NAMED])
    if not judged:
        return value, ResultStatus.IRRELEVANT
    for status, limits in (
        (ResultStatus.DETECTED, (rule.high_importance_failing_count, rule.low_importance_failing_count)),
        (ResultStatus.POTENTIAL_DETECTION, (rule.high_importance_warning_count, rule.low_importance_warning_count)),
    ):
        if any(limit and len(side) >= limit for limit, side in zip(limits, (high, low), strict=True)):
            return value, status
    return value, ResultStatus.NO_DETECTION


def limits_of(rule: ModelScore) -> Limits:
    """The limits of a score or share: the definition's, else the defaults."""
    own = Limits(rule.warning, rule.critical)
    if not own.empty:
        return own
    return _SHARE_LIMITS if rule.rule is ModelRule.DRIFT_SHARE else _SCORE_LIMITS


def _is_high(column: str, largest: float, rule: ModelScore) -> bool:
    if column in rule.starred_features:
        return True
    importance = rule.importances.get(column, 0.0)
    return importance > 0 and importance >= rule.importance_threshold * largest


def _value(
    name: str, features: Sequence[Result], judged: Sequence[Result], value: float | None, **details: object
) -> MetricValue:
    reasons = [result.reason for result in features if result.reason is not None]
    missing = max(sorted(set(reasons)), key=reasons.count) if reasons else Reason.NO_DATA.value
    if judged:
        missing = Reason.ZERO_DENOMINATOR.value  # no feature that could be judged has an importance
    return MetricValue(
        name=name,
        kind=ResultKind.DATA_DRIFT,
        direction=Direction.LOWER_IS_BETTER,
        value=value,
        reason=missing if value is None else None,
        details={"columns": len(features), "judged": len(judged), **details},
    )
