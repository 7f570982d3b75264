"""Every score of a target before it becomes a metric value: a number or a reason, and what it was made of."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from airflow_monitoring_provider.definitions.metric_terms import OF_INTERVALS
from airflow_monitoring_provider.metrics import classification as scores_of
from airflow_monitoring_provider.metrics import curves
from airflow_monitoring_provider.metrics.precision import precision_of, shared_buckets
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.regression import regression_scores
from airflow_monitoring_provider.profiles.histogram import Histogram
from airflow_monitoring_provider.profiles.profile import ClassificationProfile, RegressionProfile
from airflow_monitoring_provider.profiles.regression import IntervalCounts

_CLASSES_SHOWN = 50
_TOP_K = 2

CURVE_SCORES = (
    "roc_auc",
    "gini",
    "average_precision",
    "ks_score",
    *scores_of.TOP_SCORES,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Scored:
    """One score: of ``hits`` out of ``rows`` where it is a plain share."""

    score: float | Reason
    details: dict[str, Any] = dataclasses.field(default_factory=dict)
    share_of: tuple[int, int] | None = None
    precision: dict[str, float] | None = None


def regression(target: RegressionProfile, quantile: float) -> dict[str, Scored]:
    """Every score of a regression, in a fixed order; ``quantile`` is the one that its predictions aim at."""
    errors = target.absolute_error_histogram
    details: dict[str, dict[str, Any]] = {
        "mape": {"rows": target.percentage_errors.count, "zero_actuals": target.zero_actuals},
        "rmsle": {"rows_at_or_below_minus_one": target.log_undefined},
        "pinball": {"quantile": quantile},
    }
    if target.sums is not None:
        outside = {"rows_out_of_domain": target.sums.poisson_undefined}
        details |= {"poisson_deviance": outside, "tweedie_deviance": {"power": 1.5, **outside}}
        details["gamma_deviance"] = {"rows_out_of_domain": target.sums.gamma_undefined}
    return {
        name: Scored(score, details.get(name, {}), precision=precision_of(errors, errors) if name == "medae" else None)
        for name, score in regression_scores(target, quantile).items()
    }


def intervals(found: IntervalCounts | None, level: float, minimum: int) -> dict[str, Scored]:
    """How many of the actuals lie in the intervals that were predicted with them, and how wide these are on the mean.

    :param level: the share that is to lie in them.
    :param minimum: rows that must have an interval.
    """
    if found is None:
        return dict.fromkeys(OF_INTERVALS, Scored(Reason.NOT_RECORDED))
    counts = {"rows": found.rows, "without_interval": found.missing, "crossed": found.crossed}
    details = {"nominal": level, "below": found.below, "above": found.above, **counts}
    if found.rows < max(minimum, 1):
        reason = Reason.INSUFFICIENT_DATA if found.rows else Reason.NO_DATA
        return {"interval_coverage": Scored(reason, details), "mean_interval_width": Scored(reason, counts)}
    return {
        "interval_coverage": Scored(found.inside / found.rows, details, (found.inside, found.rows)),
        "mean_interval_width": Scored(found.widths.mean, counts),
    }


def binary_table(target: ClassificationProfile) -> scores_of.Counts:
    """``[[tn, fp], [fn, tp]]`` of two classes, whichever is the positive one."""
    at = target.classes.index(positive_class(target))
    order = [1 - at, at]
    table: scores_of.Counts = target.confusion[np.ix_(order, order)]
    return table


def positive_class(target: ClassificationProfile) -> str:
    """The class that a binary target's scores speak of."""
    return target.classes[1] if target.positive_class is None else target.positive_class


def binary(target: ClassificationProfile) -> dict[str, Scored]:
    """Every score of two classes, in a fixed order."""
    positive = positive_class(target)
    confusion = binary_table(target)
    (tn, fp), (fn, tp) = confusion.tolist()
    shares = {
        "accuracy": (tp + tn, tp + tn + fp + fn),
        "precision": (tp, tp + fp),
        **dict.fromkeys(("recall", "tpr"), (tp, tp + fn)),
        **dict.fromkeys(("specificity", "tnr"), (tn, tn + fp)),
        "npv": (tn, tn + fn),
        "fpr": (fp, tn + fp),
        "fnr": (fn, tp + fn),
    }
    table = {"tn": tn, "fp": fp, "fn": fn, "tp": tp, "threshold": target.threshold}
    result = {
        name: Scored(score, dict(table) if name == "accuracy" else {}, shares.get(name))
        for name, score in scores_of.binary_scores(confusion).items()
    }
    result |= _curve(target.scores_otherwise.get(positive), target.scores_when.get(positive))
    result |= _losses(target)
    hits = int(target.calibration_positives.sum())
    ratio = float(target.calibration_scores.sum()) / hits if hits else Reason.ZERO_DENOMINATOR
    return {**result, "calibration": Scored(ratio)}


def _curve(negatives: Histogram | None, positives: Histogram | None) -> dict[str, Scored]:
    if negatives is None or positives is None:
        return {name: Scored(Reason.NOT_RECORDED) for name in CURVE_SCORES}
    precision = precision_of(negatives, positives)
    n, p = shared_buckets(negatives, positives)
    auc = scores_of.roc_auc(n, p)
    bound = scores_of.roc_auc_bound(n, p) if precision["shift"] else 0.0
    return {
        "roc_auc": Scored(auc, {"bound": bound}, precision=precision),
        "gini": Scored(auc if isinstance(auc, Reason) else 2 * auc - 1, {"bound": 2 * bound}, precision=precision),
        "average_precision": Scored(scores_of.average_precision(n, p), precision=precision),
        "ks_score": Scored(
            scores_of.ks_score(n, p),
            {"bound": precision["largest_bucket"] if precision["shift"] else 0.0},
            precision=precision,
        ),
        **{name: Scored(score, precision=precision) for name, score in scores_of.top_scores(n, p).items()},
    }


def _losses(target: ClassificationProfile) -> dict[str, Scored]:
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
        "log_loss": Scored(target.log_loss_sum / rows if rows else Reason.NO_ACTUALS),
        "brier": Scored(target.brier_sum / rows if rows else Reason.NO_ACTUALS),
        "ece": Scored(error, {"tenths": tenths}),
    }


def multiclass(target: ClassificationProfile, per_class: int) -> dict[str, Scored]:
    """Every score of three classes or more, in a fixed order.

    :param per_class: rows a class needs on both sides to take part in ``macro_roc_auc``.
    """
    confusion = target.confusion
    rows, right = int(confusion.sum()), int(np.trace(confusion))
    rows_by_class = [
        {"class": name, **scores}
        for name, scores in zip(target.classes, scores_of.class_scores(confusion), strict=True)
    ]
    result = {
        "accuracy": Scored(scores_of.accuracy(confusion), {"classes": rows_by_class[:_CLASSES_SHOWN]}, (right, rows)),
        "balanced_accuracy": Scored(scores_of.balanced_accuracy(confusion)),
        "mcc": Scored(scores_of.mcc(confusion)),
        "kappa": Scored(scores_of.kappa(confusion)),
    }
    for name, (score, count) in scores_of.averaged_scores(confusion).items():
        result[name] = Scored(score, {"classes": count}, (right, rows) if name.startswith("micro_") else None)
    result["macro_roc_auc"] = _one_versus_rest(target, per_class)
    result |= _losses(target)
    if target.renormalised:
        result["log_loss"] = dataclasses.replace(result["log_loss"], details={"renormalised": target.renormalised})
    hits = int(target.top_k_hits[_TOP_K - 1])
    by_k = {str(k): int(found) for k, found in enumerate(target.top_k_hits.tolist(), 1) if k < len(target.classes)}
    top = Scored(hits / rows if rows else Reason.NO_ACTUALS, {"k": _TOP_K, "hits_by_k": by_k}, (hits, rows))
    return {**result, "top_k_accuracy": top}


def compared_areas(target: ClassificationProfile, minimum: int) -> list[tuple[Histogram, Histogram]]:
    """Probabilities of each class over rows of it and of all others, of classes with enough rows on both sides."""
    pairs = [(when, target.scores_otherwise[name]) for name, when in target.scores_when.items()]
    return [pair for pair in pairs if min(pair[0].total, pair[1].total) >= max(minimum, 1)]


def _one_versus_rest(target: ClassificationProfile, minimum: int) -> Scored:
    """Unweighted mean of the AUC of each class against all others, over classes with enough rows on both sides."""
    if not target.scores_when:
        return Scored(Reason.NOT_RECORDED)
    found = compared_areas(target, minimum)
    if not found:
        return Scored(Reason.INSUFFICIENT_DATA if compared_areas(target, 1) else Reason.ONE_CLASS)
    areas, bounds = [], []
    precisions = [precision_of(otherwise, when) for when, otherwise in found]
    for (when, otherwise), precision in zip(found, precisions, strict=True):
        n, p = shared_buckets(otherwise, when)
        areas.append(float(curves.roc_auc(n, p)))
        bounds.append(scores_of.roc_auc_bound(n, p) if precision["shift"] else 0.0)
    details = {"average": "one_versus_rest_macro", "classes": len(areas), "bound": float(np.mean(bounds))}
    return Scored(float(np.mean(areas)), details, precision=max(precisions, key=lambda p: p["shift"]))
