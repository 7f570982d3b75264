"""How well the predictions met the actuals, as metric values; computed whenever rows have both.

Where there is no number there is a reason: no actuals yet, too few labelled rows, too few rows of a class for what is a
rate within it, one class only, nothing to divide by. Where the baseline has the metric too, ``details`` hold its
``baseline_value`` and the ``change``. What is computed from a score histogram says how far the histogram may take it
from the raw scores (``details["bound"]``, 0 while the histogram is exact).
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from airflow_monitoring_provider.metrics import classification as scores_of
from airflow_monitoring_provider.metrics.precision import precision_of, shared_buckets
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.regression import REGRESSION_SCORES, regression_scores
from airflow_monitoring_provider.metrics.settings import ComparisonSettings
from airflow_monitoring_provider.metrics.significance import wilson_interval
from airflow_monitoring_provider.metrics.values import MetricValue, ResultKind, direction_of
from airflow_monitoring_provider.profiles.histogram import Histogram
from airflow_monitoring_provider.profiles.profile import ClassificationProfile, RegressionProfile

Target = ClassificationProfile | RegressionProfile

_ROW_MEANS = {"accuracy", "log_loss", "brier", "ece", "calibration"}
"""Binary scores that are means over rows: they need no rows of each class."""
_CLASSES_SHOWN = 50
_TOP_K = 2


@dataclasses.dataclass(frozen=True, slots=True)
class _Scored:
    """One score before it becomes a metric value: of ``hits`` out of ``rows`` where it is a plain share."""

    score: float | Reason
    details: dict[str, Any] = dataclasses.field(default_factory=dict)
    share_of: tuple[int, int] | None = None
    precision: dict[str, float] | None = None


def performance(current: Target, baseline: Target | None, settings: ComparisonSettings) -> list[MetricValue]:
    """Every performance value of a target, in a fixed order, and the share of scored rows that have an actual."""
    theirs = _scores(baseline, settings) if baseline is not None and _same_target(current, baseline) else {}
    values = [_label_coverage(current)]
    for name, scored in _scores(current, settings).items():
        reference = theirs.get(name)
        before = reference.score if reference is not None else None
        values.append(
            _value(
                name, scored, current.labelled, baseline.labelled if baseline is not None and theirs else None, before
            )
        )
    return values


def _same_target(current: Target, baseline: Target) -> bool:
    if isinstance(current, ClassificationProfile) and isinstance(baseline, ClassificationProfile):
        return (current.classes, current.positive_class) == (baseline.classes, baseline.positive_class)
    return isinstance(current, RegressionProfile) and isinstance(baseline, RegressionProfile)


def _scores(target: Target, settings: ComparisonSettings) -> dict[str, _Scored]:
    """Scores with the minimum numbers of rows applied."""
    reason = _too_few(target, settings)
    if isinstance(target, RegressionProfile):
        if reason is not None:
            return {name: _Scored(reason) for name in REGRESSION_SCORES}
        return _regression(target)
    binary = len(target.classes) == 2
    found = _binary(target) if binary else _multiclass(target, settings)
    if reason is not None:
        return {name: _Scored(reason) for name in found}
    if binary and int(target.actual.min()) < settings.per_class:
        return {name: scored if name in _ROW_MEANS else _scarce(scored) for name, scored in found.items()}
    return found


def _scarce(scored: _Scored) -> _Scored:
    """A rate within a class of too few rows; what is undefined anyway keeps the reason why."""
    if isinstance(scored.score, Reason):
        return scored
    return _Scored(Reason.INSUFFICIENT_DATA, scored.details, precision=scored.precision)


def _too_few(target: Target, settings: ComparisonSettings) -> Reason | None:
    if not target.scored:
        return Reason.NO_PREDICTIONS
    if not target.labelled:
        return Reason.NO_ACTUALS
    return Reason.INSUFFICIENT_DATA if target.labelled < settings.labelled_rows else None


def _regression(target: RegressionProfile) -> dict[str, _Scored]:
    errors = target.absolute_error_histogram
    details: dict[str, dict[str, Any]] = {
        "mape": {"rows": target.percentage_errors.count, "zero_actuals": target.zero_actuals},
        "rmsle": {"rows_at_or_below_minus_one": target.log_undefined},
    }
    return {
        name: _Scored(score, details.get(name, {}), precision=precision_of(errors, errors) if name == "medae" else None)
        for name, score in regression_scores(target).items()
    }


def _binary(target: ClassificationProfile) -> dict[str, _Scored]:
    positive = target.classes[1] if target.positive_class is None else target.positive_class
    at = target.classes.index(positive)
    order = [1 - at, at]
    confusion = target.confusion[np.ix_(order, order)]
    (tn, fp), (fn, tp) = confusion.tolist()
    shares = {
        "accuracy": (tp + tn, tp + tn + fp + fn),
        "precision": (tp, tp + fp),
        "recall": (tp, tp + fn),
        "specificity": (tn, tn + fp),
        "fpr": (fp, tn + fp),
        "fnr": (fn, tp + fn),
    }
    table = {"tn": tn, "fp": fp, "fn": fn, "tp": tp, "threshold": target.threshold}
    result = {
        name: _Scored(score, dict(table) if name == "accuracy" else {}, shares.get(name))
        for name, score in scores_of.binary_scores(confusion).items()
    }
    result |= _curve(target.scores_otherwise.get(positive), target.scores_when.get(positive))
    result |= _losses(target)
    hits = int(target.calibration_positives.sum())
    ratio = float(target.calibration_scores.sum()) / hits if hits else Reason.ZERO_DENOMINATOR
    return {**result, "calibration": _Scored(ratio)}


def _curve(negatives: Histogram | None, positives: Histogram | None) -> dict[str, _Scored]:
    names = ("roc_auc", "gini", "average_precision", "ks_score")
    if negatives is None or positives is None:
        return {name: _Scored(Reason.NOT_RECORDED) for name in names}
    precision = precision_of(negatives, positives)
    n, p = shared_buckets(negatives, positives)
    auc = scores_of.roc_auc(n, p)
    bound = scores_of.roc_auc_bound(n, p) if precision["shift"] else 0.0
    return {
        "roc_auc": _Scored(auc, {"bound": bound}, precision=precision),
        "gini": _Scored(auc if isinstance(auc, Reason) else 2 * auc - 1, {"bound": 2 * bound}, precision=precision),
        "average_precision": _Scored(scores_of.average_precision(n, p), precision=precision),
        "ks_score": _Scored(
            scores_of.ks_score(n, p),
            {"bound": precision["largest_bucket"] if precision["shift"] else 0.0},
            precision=precision,
        ),
    }


def _losses(target: ClassificationProfile) -> dict[str, _Scored]:
    rows = target.labelled
    filled = np.flatnonzero(target.calibration_counts).tolist()
    tenths = [
        {
            "tenth": i,
            "rows": int(target.calibration_counts[i]),
            "mean_score": float(target.calibration_scores[i]) / int(target.calibration_counts[i]),
            "hits": int(target.calibration_positives[i]),
        }
        for i in filled
    ]
    error = scores_of.calibration_error(
        target.calibration_counts, target.calibration_scores, target.calibration_positives
    )
    return {
        "log_loss": _Scored(target.log_loss_sum / rows if rows else Reason.NO_ACTUALS),
        "brier": _Scored(target.brier_sum / rows if rows else Reason.NO_ACTUALS),
        "ece": _Scored(error, {"tenths": tenths}),
    }


def _multiclass(target: ClassificationProfile, settings: ComparisonSettings) -> dict[str, _Scored]:
    confusion = target.confusion
    rows, right = int(confusion.sum()), int(np.trace(confusion))
    per_class = [
        {"class": name, **scores}
        for name, scores in zip(target.classes, scores_of.class_scores(confusion), strict=True)
    ]
    result = {
        "accuracy": _Scored(scores_of.accuracy(confusion), {"classes": per_class[:_CLASSES_SHOWN]}, (right, rows)),
        "balanced_accuracy": _Scored(scores_of.balanced_accuracy(confusion)),
        "mcc": _Scored(scores_of.mcc(confusion)),
        "kappa": _Scored(scores_of.kappa(confusion)),
    }
    for name, (score, count) in scores_of.averaged_scores(confusion).items():
        result[name] = _Scored(score, {"classes": count})
    result["macro_roc_auc"] = _one_versus_rest(target, settings.per_class)
    result |= _losses(target)
    if target.renormalised:
        result["log_loss"] = dataclasses.replace(result["log_loss"], details={"renormalised": target.renormalised})
    hits = int(target.top_k_hits[_TOP_K - 1])
    by_k = {str(k): int(found) for k, found in enumerate(target.top_k_hits.tolist(), 1) if k < len(target.classes)}
    top = _Scored(hits / rows if rows else Reason.NO_ACTUALS, {"k": _TOP_K, "hits_by_k": by_k}, (hits, rows))
    return {**result, "top_k_accuracy": top}


def _one_versus_rest(target: ClassificationProfile, minimum: int) -> _Scored:
    """Unweighted mean of the AUC of each class against all others, over classes with enough rows on both sides."""
    if not target.scores_when:
        return _Scored(Reason.NOT_RECORDED)
    areas, bounds, precisions = [], [], []
    scarce = False
    for name, positives in target.scores_when.items():
        negatives = target.scores_otherwise[name]
        if min(positives.total, negatives.total) < minimum:
            scarce = scarce or min(positives.total, negatives.total) > 0
            continue
        n, p = shared_buckets(negatives, positives)
        area = scores_of.roc_auc(n, p)
        if isinstance(area, Reason):
            continue
        precisions.append(precision_of(negatives, positives))
        areas.append(area)
        bounds.append(scores_of.roc_auc_bound(n, p) if precisions[-1]["shift"] else 0.0)
    if not areas:
        return _Scored(Reason.INSUFFICIENT_DATA if scarce else Reason.ONE_CLASS)
    details = {"average": "one_versus_rest_macro", "classes": len(areas), "bound": float(np.mean(bounds))}
    return _Scored(float(np.mean(areas)), details, precision=max(precisions, key=lambda p: p["shift"]))


def _value(
    name: str, scored: _Scored, rows: int, baseline_rows: int | None, before: float | Reason | None
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
    low, high = wilson_interval(*scored.share_of) if scored.share_of and scored.share_of[1] else (None, None)
    return dataclasses.replace(blank, value=scored.score, low=low, high=high, details=details)


def _label_coverage(target: Target) -> MetricValue:
    details = {"labelled": target.labelled, "invalid_actuals": target.invalid_actual}
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
