"""How well the scores rank the rows of each query, as means over queries with Student's t interval over them. Pure.

Queries for which a metric is undefined (no relevant row) are left out and counted. One number or the reason why there
is none; the details say how many queries it is the mean of.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from airflow_monitoring_provider.metrics.intervals import t_interval
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.settings import ComparisonSettings
from airflow_monitoring_provider.metrics.values import MetricValue, ResultKind, direction_of
from airflow_monitoring_provider.profiles.moments import Moments
from airflow_monitoring_provider.profiles.profile import Profile
from airflow_monitoring_provider.profiles.ranking import RankingProfile


def ranking_values(
    current: Profile, baseline: Profile | None, settings: ComparisonSettings, *, provisional: bool = False
) -> list[MetricValue]:
    """``ndcg``, ``map``, ``recall`` and ``precision`` at each k, then ``mrr``; nothing where the plan does not rank.

    :param provisional: too few of the rows have actuals yet.
    """
    plan = current.plan.ranking
    if plan is None:
        return []
    same = baseline is not None and baseline.plan.ranking is not None and _alike(baseline, current)
    before = baseline if same else None
    return [_value(name, current, before, settings, provisional) for name in plan.names]


def _alike(baseline: Profile, current: Profile) -> bool:
    """The same metric of both sides is the same measure of the same queries."""
    then, now = baseline.plan.ranking, current.plan.ranking
    return then is not None and now is not None and dataclasses.replace(then, k=now.k) == now


def _value(
    name: str, current: Profile, baseline: Profile | None, settings: ComparisonSettings, provisional: bool
) -> MetricValue:
    found, theirs = current.ranking, baseline.ranking if baseline is not None else None
    reference = theirs is not None and _reason(name, theirs, settings) is None
    before = theirs.scores[name].mean if theirs is not None and reference else None
    details: dict[str, Any] = {} if before is None else {"baseline_value": before}
    blank = MetricValue(
        name,
        ResultKind.MODEL_PERFORMANCE,
        direction_of(name),
        None,
        n=theirs.rows if theirs is not None else None,
        m=found.rows if found is not None else None,
        details=details,
    )
    reason = Reason.NOT_RECORDED if found is None else _reason(name, found, settings, current)
    if found is not None and not found.beyond:
        moments = found.scores.get(name, Moments())
        details |= {"queries": moments.count, "undefined_queries": found.queries - moments.count}
        details |= {"rows_without_query": found.without_query}
    if found is None or reason is not None:
        return dataclasses.replace(blank, reason=reason)
    details |= {} if before is None else {"change": moments.mean - before}
    details |= settings.provisional if provisional else {}
    low, high = _interval(moments)
    return dataclasses.replace(blank, value=min(moments.mean, 1.0), low=low, high=high)


def _reason(name: str, found: RankingProfile, settings: ComparisonSettings, of: Profile | None = None) -> Reason | None:
    """Why there is no mean over queries; None where there is one."""
    target = of.target if of is not None else None
    if found.beyond:
        return Reason.TOO_MANY_ROWS
    if target is not None and not target.scored:
        return Reason.NO_PREDICTIONS
    if not found.rows:
        return Reason.NO_ACTUALS if not found.without_query else Reason.NO_DATA
    if found.rows < settings.labelled_rows:
        return Reason.INSUFFICIENT_DATA
    if name.startswith("ndcg") and found.negative:
        return Reason.OUT_OF_DOMAIN
    moments = found.scores.get(name)
    if moments is None:
        return Reason.NOT_RECORDED
    return None if moments.count else Reason.ZERO_DENOMINATOR


def _interval(moments: Moments) -> tuple[float | None, float | None]:
    """Within the range of the metrics, 0 to 1."""
    ends = t_interval(moments.mean, moments.variance() if moments.count > 1 else math.nan, moments.count)
    return (None, None) if ends is None else (max(ends[0], 0.0), min(ends[1], 1.0))
