"""From values to statuses: of each value, and of the batch.

A value is *detected* when it has reached its critical limit and a *potential detection* when it has reached its warning
limit; where it has a p-value and the guard is on, the adjusted p-value must be at or under alpha as well, for primary
and other values alike (a distance without a test of its own carries that of its column). A performance value has no
p-value but an interval, and is held to each limit by its better end: the whole interval must have reached it; so are
the rates of rejected rows and unreadable values, by a wider one, because they have limits by default.
Otherwise it is *no detection*, with reason ``not_significant`` if only p-value or interval spoke against it. Without a
value or a limit it is *irrelevant*, with the reason: silence is never reported as good news.

The batch takes the worst status of the values that decide: the primary drift value of each column (features,
predictions, actuals), and every data-quality and performance value that has a limit. Other drift values describe. One
drifting column is enough: p-values are adjusted over the batch, so that no more than about 5 % of unchanged batches are
flagged however many columns they have. Where the definition's ``model_score`` names a rule, that rule decides instead
of the features one by one (:mod:`.model_score`). A batch is *no detection* only if some primary drift value could be
judged (or there is none to judge); a batch without rows or without a baseline is irrelevant, unless its quality is at
fault.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence

from airflow_monitoring_provider.definitions.metric_terms import METRICS
from airflow_monitoring_provider.definitions.model_score import ModelRule
from airflow_monitoring_provider.definitions.terms import ResultStatus
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.significance import wilson_interval
from airflow_monitoring_provider.metrics.values import Direction, MetricValue, ResultKind
from airflow_monitoring_provider.monitors import model_score
from airflow_monitoring_provider.monitors.model_score import DRIFT_SHARE
from airflow_monitoring_provider.monitors.thresholds import Limits, Rules, neutral_of, severity

LEVELS = frozenset({"rejected_rate", "type_mismatch_share"})
"""Rates with default limits and without a p-value, as they are not compared with the baseline's."""
_LEVEL_CONFIDENCE = 0.998  # a source whose rate lies just below a limit is detected in one batch of a thousand

_DRIFT = (ResultKind.DATA_DRIFT, ResultKind.CONCEPT_DRIFT)


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """A metric value and what is thought of it.

    :param reason: why there is no verdict, or what it was that spoke against a detection.
    :param warning, critical: the limits it was judged by.
    :param severity: how far past the limit of its status it is, in units of the limit; None without a detection.
    :param significant: chance alone would hardly bring the value; True where nothing speaks of chance.
    :param overruled: a rule for the whole model decides in its place; ``counted``: and counts it.
    :param ruled: it is the result of that rule.
    """

    metric: MetricValue
    status: ResultStatus
    reason: str | None = None
    warning: float | None = None
    critical: float | None = None
    severity: float | None = None
    significant: bool = True
    overruled: bool = False
    counted: bool = False
    ruled: bool = False

    @property
    def name(self) -> str:
        """The metric's id."""
        return self.metric.name

    @property
    def kind(self) -> ResultKind:
        """What the metric speaks of."""
        return self.metric.kind

    @property
    def column(self) -> str | None:
        """Its column; None: the batch."""
        return self.metric.column

    @property
    def segment(self) -> str | None:
        """Its segment; None: all rows."""
        return self.metric.segment

    @property
    def value(self) -> float | None:
        """The number, or None."""
        return self.metric.value

    @property
    def primary(self) -> bool:
        """It decides its column's verdict."""
        return self.metric.primary

    @property
    def decides(self) -> bool:
        """The batch's status depends on it."""
        if self.kind in _DRIFT:
            return (self.primary and not self.overruled) or self.ruled or (self.name == DRIFT_SHARE and self.limited)
        return self.limited

    @property
    def limited(self) -> bool:
        """There is a limit to judge it by."""
        return self.warning is not None or self.critical is not None


@dataclasses.dataclass(frozen=True, slots=True)
class Evaluation:
    """The verdict on one batch.

    :param results: one per value, in the same order.
    :param status: of the batch.
    :param reason: why the batch is irrelevant, None where it is not.
    :param drifted_columns: columns whose primary value is detected, sorted; ``suspected_columns`` potentially.
    :param model_results: of the whole model: the share of feature columns that are detected, over those that could be
        judged, and the result of the definition's rule where it names another one.
    :param worst: the deciding result that is furthest past its limit; None where nothing was detected.
    """

    results: tuple[Result, ...]
    status: ResultStatus
    reason: str | None
    drifted_columns: tuple[str, ...]
    suspected_columns: tuple[str, ...]
    model_results: tuple[Result, ...]
    worst: Result | None

    @property
    def drift_share(self) -> Result:
        """The share of feature columns that are detected."""
        return self.model_results[0]


def evaluate(values: Sequence[MetricValue], rules: Rules) -> Evaluation:
    """Judge every value and the batch; evaluating again gives the same."""
    results = tuple(_overruled(judge(value, rules), rules) for value in values)
    primaries = [result for result in results if result.primary]
    of_model = _model_results(results, rules)
    deciding = [result for result in (*results, *of_model) if result.decides]
    worst = next(iter(gravest_first(deciding)), None)
    silent = [result for result in of_model if result.ruled and result.reason == Reason.ZERO_DENOMINATOR]
    status = worst.status if worst is not None else _quiet(primaries, silent or deciding, overruled=bool(silent))
    return Evaluation(
        results=results,
        status=status,
        reason=_common_reason(silent or primaries or deciding) if status is ResultStatus.IRRELEVANT else None,
        drifted_columns=_columns(primaries, ResultStatus.DETECTED),
        suspected_columns=_columns(primaries, ResultStatus.POTENTIAL_DETECTION),
        model_results=of_model,
        worst=worst,
    )


def judge(value: MetricValue, rules: Rules) -> Result:
    """The status of one value."""
    return _against(value, rules.limits_for(value.name, value.column, _late(value)), rules)


def _late(value: MetricValue) -> Limits | None:
    """No limits by default for how many actuals are missing: most come late, and ``label_coverage`` counts them."""
    actual = value.name == "missing_rate_change" and value.details.get("role") == "actual"
    return Limits() if actual else None


def _against(value: MetricValue, limits: Limits, rules: Rules) -> Result:
    significant = not rules.guard or _significant(value, rules.alpha)
    return dataclasses.replace(_judged(value, limits, rules, significant), significant=significant)


def _judged(value: MetricValue, limits: Limits, rules: Rules, significant: bool) -> Result:
    if value.value is None:
        return _result(value, limits, ResultStatus.IRRELEVANT, value.reason or Reason.NO_DATA)
    if limits.empty and value.primary and value.name in METRICS and METRICS[value.name].test:
        found = _significant(value, rules.alpha)
        status, reason = (
            (ResultStatus.DETECTED, value.reason) if found else (ResultStatus.NO_DETECTION, Reason.NOT_SIGNIFICANT)
        )
        return _result(value, limits, status, reason, _margin(value, rules.alpha) if found else None)
    if limits.empty:
        return _result(value, limits, ResultStatus.IRRELEVANT, Reason.NO_THRESHOLD)
    past = {
        ResultStatus.DETECTED: severity(value, limits.critical),
        ResultStatus.POTENTIAL_DETECTION: severity(value, limits.warning),
    }
    if all(amount is None for amount in past.values()):
        return _result(value, limits, ResultStatus.IRRELEVANT, Reason.BASELINE_MISSING)
    reached = {status: amount for status, amount in past.items() if amount is not None and amount >= 0}
    for status, amount in reached.items():
        limit = limits.critical if status is ResultStatus.DETECTED else limits.warning
        if significant and not (rules.guard and _may_be_within(value, limit)):
            return _result(value, limits, status, value.reason, amount)
    reason = Reason.NOT_SIGNIFICANT if reached else value.reason
    return _result(value, limits, ResultStatus.NO_DETECTION, reason)


def _may_be_within(value: MetricValue, limit: float | None) -> bool:
    """The interval of a performance value, or of a rate that is judged by its level, holds some number that has not
    reached the limit.
    """
    if value.name in LEVELS and limit is not None and value.value is not None and value.m:
        return wilson_interval(round(value.value * value.m), value.m, _LEVEL_CONFIDENCE)[0] < limit
    if value.kind is not ResultKind.MODEL_PERFORMANCE or value.low is None or value.high is None:
        return False
    ends = [severity(dataclasses.replace(value, value=end), limit) for end in (value.low, value.high)]
    neutral = neutral_of(value)
    between = value.direction is Direction.TWO_SIDED and neutral is not None and value.low <= neutral <= value.high
    return between or any(end is not None and end < 0 for end in ends)


def _significant(value: MetricValue, alpha: float) -> bool:
    p_value = value.adjusted_p_value if value.adjusted_p_value is not None else value.p_value
    return p_value is None or p_value <= alpha


def _margin(value: MetricValue, alpha: float) -> float:
    """How far below alpha the p-value lies, in units of alpha: 0..1."""
    p_value = value.adjusted_p_value if value.adjusted_p_value is not None else value.p_value
    return 1 - (p_value or 0.0) / alpha


def _result(
    value: MetricValue, limits: Limits, status: ResultStatus, reason: str | None, amount: float | None = None
) -> Result:
    text = str(reason) if reason is not None else None
    return Result(value, status, text, limits.warning, limits.critical, amount)


def _overruled(result: Result, rules: Rules) -> Result:
    """A feature's verdict where a rule for the whole model, or its exclusion from it, takes the decision away."""
    if rules.model is None or not model_score.counts(result, None):
        return result
    return dataclasses.replace(result, overruled=True, counted=model_score.counts(result, rules.model))


def _model_results(results: Sequence[Result], rules: Rules) -> tuple[Result, ...]:
    rule = rules.model
    features = [result for result in results if model_score.counts(result, rule)]
    share = judge(model_score.drift_share(features), rules)
    if rule is None:
        return (share,)
    if rule.rule is ModelRule.IMPORTANCE_COUNTS:
        value, status = model_score.drifted_features(features, rule)
        return share, dataclasses.replace(_result(value, Limits(), status, value.reason), ruled=True)
    value = share.metric if rule.rule is ModelRule.DRIFT_SHARE else model_score.drift_score(features, rule)
    ruled = dataclasses.replace(
        _against(value, rules.limits_for(value.name, None, model_score.limits_of(rule)), rules), ruled=True
    )
    return (ruled,) if rule.rule is ModelRule.DRIFT_SHARE else (share, ruled)


def _quiet(primaries: Sequence[Result], deciding: Sequence[Result], *, overruled: bool) -> ResultStatus:
    judged = any(result.status is not ResultStatus.IRRELEVANT for result in (not overruled and primaries) or deciding)
    return ResultStatus.NO_DETECTION if judged else ResultStatus.IRRELEVANT


def gravest_first(results: Sequence[Result]) -> list[Result]:
    """Those that have reached a limit, what stands furthest past its limit first."""
    found = [result for result in results if result.status > ResultStatus.NO_DETECTION]
    order = {kind: place for place, kind in enumerate(ResultKind)}
    return sorted(
        found,
        key=lambda r: (-int(r.status), -(r.severity or 0.0), order[r.kind], r.name, r.column or "", r.segment or ""),
    )


def _columns(primaries: Sequence[Result], status: ResultStatus) -> tuple[str, ...]:
    return tuple(sorted({r.column for r in primaries if r.status is status and r.column is not None}))


def _common_reason(results: Sequence[Result]) -> str | None:
    """The reason that most results share, ties by name."""
    counted = collections.Counter(result.reason for result in results if result.reason is not None)
    return min(counted, key=lambda reason: (-counted[reason], reason)) if counted else None
