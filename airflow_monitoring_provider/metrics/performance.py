"""How well the predictions met the actuals, as metric values; computed whenever rows have both.

Where there is no number there is a reason: no actuals yet, too few labelled rows, too few rows of a class for what is a
rate within it, one class only, nothing to divide by. Where the baseline has the metric too, ``details`` hold its
``baseline_value`` and the ``change``, and as ``dummy`` what a model without features would score (:mod:`.dummy`). What
is computed from a score histogram says how far the histogram may take it from the raw scores (``details["bound"]``, 0
while the histogram is exact). ``low`` and ``high`` are the 95 % interval of :mod:`.uncertainty`; a plain share has
Wilson's. While fewer predictions have actuals than of the baseline's, ``details`` say that a score is provisional. A
row whose actual is of no known class (or no number, where it must be one) is no labelled row and in no score: which
class it was meant to be nobody knows, and a class of its own could never be predicted. ``details["invalid_actuals"]``
says how many there are, of each score and of ``label_coverage``.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from airflow_monitoring_provider.definitions.metric_terms import OF_INTERVALS
from airflow_monitoring_provider.metrics.dummy import dummy_scores
from airflow_monitoring_provider.metrics.intervals import Interval
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.regression import REGRESSION_SCORES
from airflow_monitoring_provider.metrics.scores import Scored, binary, intervals, multiclass, regression
from airflow_monitoring_provider.metrics.settings import ComparisonSettings
from airflow_monitoring_provider.metrics.significance import wilson_interval
from airflow_monitoring_provider.metrics.subsamples import subsample_deviations
from airflow_monitoring_provider.metrics.uncertainty import intervals_of
from airflow_monitoring_provider.metrics.values import MetricValue, ResultKind, direction_of
from airflow_monitoring_provider.profiles.histogram import Histogram
from airflow_monitoring_provider.profiles.profile import ClassificationProfile, RegressionProfile

Target = ClassificationProfile | RegressionProfile

_ROW_MEANS = {"accuracy", "log_loss", "brier", "ece", "calibration"}
"""Binary scores that are means over rows: they need no rows of each class."""


def performance(
    current: Target,
    baseline: Target | None,
    settings: ComparisonSettings,
    *,
    actuals: tuple[Histogram | None, Histogram | None] = (None, None),
    late: bool = False,
) -> list[MetricValue]:
    """Every performance value of a target, in a fixed order, and the share of scored rows that have an actual.

    :param actuals: the labelled rows' actual numbers, of current and baseline, where they are known.
    :param late: all actuals of the rows come later than the rows.
    """
    theirs = _scores(baseline, settings) if baseline is not None and _same_target(current, baseline) else {}
    values = [_label_coverage(current, baseline if theirs else None, settings, late)]
    told = settings.provisional if "provisional" in values[0].details else {}
    if current.invalid_actual:
        told = {**told, "invalid_actuals": current.invalid_actual}
    dummies = dummy_scores(current, baseline, actuals, settings.quantile) if baseline is not None and theirs else {}
    ends = intervals_of(current, settings) if _too_few(current, settings) is None else {}
    deviations = subsample_deviations(current, settings) if settings.subsampled and ends else {}
    for name, scored in _scores(current, settings).items():
        reference = theirs.get(name)
        before = reference.score if reference is not None else None
        if isinstance(before, float) and not math.isfinite(before):
            before = None  # squares of large errors overflow, and no details can hold that
        if not isinstance(scored.score, Reason):
            dummy = {"dummy": dummies[name]} if math.isfinite(dummies.get(name, math.inf)) else {}
            spread = {"standard_deviation": deviations[name]} if name in deviations else {}
            scored = dataclasses.replace(scored, details={**scored.details, **dummy, **spread, **told})
        rows = baseline.labelled if baseline is not None and theirs else None
        values.append(_value(name, scored, ends.get(name), current.labelled, rows, before))
    return values


def _same_target(current: Target, baseline: Target) -> bool:
    if isinstance(current, ClassificationProfile) and isinstance(baseline, ClassificationProfile):
        return (current.classes, current.positive_class) == (baseline.classes, baseline.positive_class)
    return isinstance(current, RegressionProfile) and isinstance(baseline, RegressionProfile)


def _scores(target: Target, settings: ComparisonSettings) -> dict[str, Scored]:
    """Scores with the minimum numbers of rows applied."""
    reason = _too_few(target, settings)
    if isinstance(target, RegressionProfile):
        return _of_numbers(target, settings, reason)
    two = len(target.classes) == 2
    found = binary(target) if two else multiclass(target, settings.per_class)
    if reason is not None:
        return {name: Scored(reason) for name in found}
    if two and int(target.actual.min()) < settings.per_class:
        return {name: scored if name in _ROW_MEANS else _scarce(scored) for name, scored in found.items()}
    return found


def _of_numbers(target: RegressionProfile, settings: ComparisonSettings, reason: Reason | None) -> dict[str, Scored]:
    """Scores of a regression.

    :param reason: why there are none.
    """
    level, scale = settings.interval_level, settings.scale
    if reason is not None:
        more = (*(() if scale is None else ("mase",)), *(() if level is None else OF_INTERVALS))
        return {name: Scored(reason) for name in (*REGRESSION_SCORES, *more)}
    found = regression(target, settings.quantile)
    if scale is not None:
        unit = scale.value
        scaled = unit if isinstance(unit, Reason) else target.absolute_errors.mean / unit
        found["mase"] = Scored(scaled, dict(scale.details))
    return found if level is None else found | intervals(target.intervals, level, settings.labelled_rows)


def _scarce(scored: Scored) -> Scored:
    """A rate within a class of too few rows; what is undefined anyway keeps the reason why."""
    if isinstance(scored.score, Reason):
        return scored
    return Scored(Reason.INSUFFICIENT_DATA, scored.details, precision=scored.precision)


def _too_few(target: Target, settings: ComparisonSettings) -> Reason | None:
    if not target.scored:
        return Reason.NO_PREDICTIONS
    if not target.labelled:
        return Reason.INVALID_ACTUALS if target.invalid_actual else Reason.NO_ACTUALS
    return Reason.INSUFFICIENT_DATA if target.labelled < settings.labelled_rows else None


def _value(
    name: str,
    scored: Scored,
    ends: Interval | None,
    rows: int,
    baseline_rows: int | None,
    before: float | Reason | None,
) -> MetricValue:
    blank = MetricValue(
        name=name,
        kind=ResultKind.MODEL_PERFORMANCE,
        direction=direction_of(name),
        value=None,
        n=baseline_rows,
        m=rows,
        precision=scored.precision,
    )
    details = dict(scored.details)
    if isinstance(before, float):
        details["baseline_value"] = before
    if isinstance(scored.score, Reason):
        return dataclasses.replace(blank, reason=scored.score, details=details)
    if not math.isfinite(scored.score):
        return dataclasses.replace(blank, reason=Reason.NOT_FINITE, details=details)
    if isinstance(before, float):
        details["change"] = scored.score - before
    if scored.share_of is not None and scored.share_of[1]:
        ends = wilson_interval(*scored.share_of)
    if ends is not None:  # of few rows, resamples may err to one side of the score alone: an interval holds its value
        ends = (min(ends[0], scored.score), max(ends[1], scored.score))
    low, high = ends if ends is not None else (None, None)
    return dataclasses.replace(blank, value=scored.score, low=low, high=high, details=details)


def _label_coverage(target: Target, baseline: Target | None, settings: ComparisonSettings, late: bool) -> MetricValue:
    """Share of scored rows with an actual, *provisional* while it falls short of the baseline's, or where all actuals
    come late (also those of a baseline) of what windows before reached in the end; of 1 while that is not known.
    """
    share = settings.maturity_coverage
    details: dict[str, Any] = {"labelled": target.labelled, "invalid_actuals": target.invalid_actual}
    if baseline is not None and baseline.scored and target.scored:
        details["baseline_value"] = baseline.labelled / baseline.scored
        if not late and target.labelled * baseline.scored < share * (baseline.labelled * target.scored):
            details |= settings.provisional
    expected = settings.final_coverage
    if late and expected is not None:
        details |= {"final_coverage": expected.share, "final_coverage_windows": expected.windows}
    if late and target.labelled < share * (1.0 if expected is None else expected.share) * target.scored:
        details |= settings.provisional
    blank = MetricValue(
        "label_coverage",
        ResultKind.DATA_QUALITY,
        direction_of("label_coverage"),
        None,
        m=target.scored,
        details=details,
    )
    if not target.scored:
        return dataclasses.replace(blank, reason=Reason.NO_PREDICTIONS)
    low, high = wilson_interval(target.labelled, target.scored)
    return dataclasses.replace(blank, value=target.labelled / target.scored, low=low, high=high)
