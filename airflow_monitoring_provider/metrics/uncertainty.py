"""Which score has which 95 % interval; the formulas stand in :mod:`.intervals`.

The area under the ROC curve and gini have DeLong's, means Student's t, the share of positives among the best-scored
rows Wilson's (resamples of a few rows that are all positives never hold another), and what depends on a whole table or
curve the bootstrap. (Plain shares have Wilson's, from their counts; a regression's are in :mod:`.error_intervals`.) A
mean of areas has the mean of their standard deviations, which is the most that its own can be: profiles do not keep how
the scores of two classes go together. There is none for ``ece``, whose resamples are all biased upwards, for the Brier
score of more than two classes, which a profile keeps as a mean only, and for tables of more than 20 classes.
"""

from __future__ import annotations

import math

import numpy as np

from airflow_monitoring_provider.definitions.metric_terms import METRICS
from airflow_monitoring_provider.metrics import curves, intervals, tables
from airflow_monitoring_provider.metrics.classification import F_SCORES
from airflow_monitoring_provider.metrics.error_intervals import regression_intervals
from airflow_monitoring_provider.metrics.intervals import Counts, Floats, Interval
from airflow_monitoring_provider.metrics.precision import shared_buckets
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.scores import binary_table, compared_areas, positive_class
from airflow_monitoring_provider.metrics.settings import ComparisonSettings
from airflow_monitoring_provider.metrics.significance import wilson_interval
from airflow_monitoring_provider.profiles.profile import ClassificationProfile, RegressionProfile

_BIASED = ("ks_score",)
_TABLE_CLASSES = 20
_CURVE_BUCKETS = 100
"""Buckets that a curve is resampled in: how far resampling moves a score hardly depends on finer ones."""
_EPS = float(np.finfo(np.float64).eps)


def intervals_of(
    target: ClassificationProfile | RegressionProfile, settings: ComparisonSettings
) -> dict[str, Interval]:
    """Score -> low and high within the metric's range, where it has an interval; a function of its arguments.

    :param settings: rows that a class needs to take part in ``macro_roc_auc``, and the quantile of ``pinball``.
    """
    if isinstance(target, RegressionProfile):
        found = regression_intervals(target, settings.quantile)
        found["mase"] = _scaled(found["mae"], settings)
    elif len(target.classes) == 2:
        found = _binary(target)
    else:
        found = _multiclass(target, settings.per_class)
    return {
        name: (max(ends[0], METRICS[name].low), min(ends[1], METRICS[name].high))
        for name, ends in found.items()
        if ends is not None and all(map(math.isfinite, ends))
    }


def _scaled(mae: Interval | None, settings: ComparisonSettings) -> Interval | None:
    scale = None if settings.scale is None else settings.scale.value
    return None if mae is None or scale is None or isinstance(scale, Reason) else (mae[0] / scale, mae[1] / scale)


def _binary(target: ClassificationProfile) -> dict[str, Interval | None]:
    result: dict[str, Interval | None] = {**intervals.bootstrap_table(binary_table(target), binary_table_scores)}
    result |= _calibration(target)
    positive = positive_class(target)
    when, otherwise = target.scores_when.get(positive), target.scores_otherwise.get(positive)
    if when is None or otherwise is None or not target.labelled:
        return result
    own, rows = probabilities(target)
    log_loss, brier = target.log_loss_sum / target.labelled, target.brier_sum / target.labelled
    result["log_loss"] = intervals.losses_interval(log_loss, own, rows, log_losses)
    result["brier"] = intervals.losses_interval(brier, own, rows, squared_losses)
    negatives, positives = shared_buckets(otherwise, when)
    if not negatives.sum() or not positives.sum():
        return result
    delong = intervals.delong_interval(negatives, positives)
    result["roc_auc"] = delong
    result["gini"] = None if delong is None else (2 * delong[0] - 1, 2 * delong[1] - 1)
    return {**result, **_curve(negatives, positives)}


def probabilities(target: ClassificationProfile) -> tuple[Floats, Counts]:
    """The probabilities that actual classes were given, to half a bucket, and the rows of each: both ``(S,)``."""
    if len(target.classes) == 2:
        positive = positive_class(target)
        when, otherwise = target.scores_when[positive], target.scores_otherwise[positive]
        own = [when.representatives(), 1.0 - otherwise.representatives()]
        return np.concatenate(own), np.concatenate((when.counts, otherwise.counts))
    histograms = target.scores_when.values()
    return (
        np.concatenate([histogram.representatives() for histogram in histograms]),
        np.concatenate([histogram.counts for histogram in histograms]),
    )


def binary_table_scores(drawn: Counts) -> dict[str, Floats]:
    """Scores of binary tables ``(R, 2, 2)`` that have no interval of their own: ``(R,)``, NaN where undefined."""
    return {
        "balanced_accuracy": tables.balanced_accuracy(drawn),
        **{name: tables.f_score(drawn, beta) for name, beta in F_SCORES.items()},
        "mcc": tables.mcc(drawn),
        "kappa": tables.kappa(drawn),
    }


def _curve(negatives: Counts, positives: Counts) -> dict[str, Interval]:
    coarse = _coarser(negatives, positives)
    exact, rough = curve_scores(negatives, positives), curve_scores(*coarse)
    found: dict[str, Interval] = {}
    for name, (low, high) in intervals.bootstrap_curve(*coarse, curve_scores, _BIASED).items():
        # What resampling moves is taken from the coarse curve; where it starts, from the exact one.
        off = float(exact[name] - rough[name])
        found[name] = (low + off, high + off)
    rows = int(negatives.sum() + positives.sum())
    for share in curves.TOP_SHARES:
        name, taken = f"rate_top_{share}", max(round(rows * share / 100), 1)
        found[name] = wilson_interval(round(float(exact[name]) * taken), taken)
    return found


def curve_scores(negatives: Counts, positives: Counts) -> dict[str, Floats]:
    """Scores of curves ``(..., S)`` that have no variance of their own: ``(...)``, NaN where undefined."""
    return {
        "average_precision": curves.average_precision(negatives, positives),
        "ks_score": curves.ks_score(negatives, positives),
        **curves.top_scores(negatives, positives),
    }


def _coarser(negatives: Counts, positives: Counts) -> tuple[Counts, Counts]:
    """Neighbouring buckets put together until there are at most 100, of about as many rows each where they can be."""
    rows = negatives + positives
    if rows.size <= _CURVE_BUCKETS:
        return negatives, positives
    place = (np.cumsum(rows) - 1) * _CURVE_BUCKETS // int(rows.sum())
    starts = np.flatnonzero(np.diff(place, prepend=-1))
    return np.add.reduceat(negatives, starts), np.add.reduceat(positives, starts)


def _calibration(target: ClassificationProfile) -> dict[str, Interval]:
    """Of mean score over share of positives: rows drawn by tenth of the score and whether it was a hit."""
    counts, hits = target.calibration_counts, target.calibration_positives
    means = target.calibration_scores / np.maximum(counts, 1)

    def scores(cells: Counts) -> dict[str, Floats]:
        return {"calibration": tables.ratio((cells[:, :10] + cells[:, 10:]) @ means, cells[:, :10].sum(axis=1))}

    return intervals.bootstrap_rows(np.concatenate((hits, counts - hits)), scores)


def _multiclass(target: ClassificationProfile, per_class: int) -> dict[str, Interval | None]:
    if len(target.classes) > _TABLE_CLASSES:
        return {}
    result: dict[str, Interval | None] = {**intervals.bootstrap_table(target.confusion, class_table_scores)}
    if len(target.scores_when) < len(target.classes):
        return result
    loss = target.log_loss_sum / max(target.labelled, 1)
    result["log_loss"] = intervals.losses_interval(loss, *probabilities(target), log_losses)
    areas = [shared_buckets(otherwise, when) for when, otherwise in compared_areas(target, per_class)]
    result["macro_roc_auc"] = intervals.mean_area_interval(areas)
    return result


def class_table_scores(drawn: Counts) -> dict[str, Floats]:
    """The same of tables ``(R, K, K)``."""
    return {
        "balanced_accuracy": tables.balanced_accuracy(drawn),
        "mcc": tables.mcc(drawn),
        "kappa": tables.kappa(drawn),
        **{name: score for name, (score, _) in tables.averages(drawn).items() if not name.startswith("micro_")},
    }


def log_losses(own: Floats) -> Floats:
    """Of the probabilities that actual classes were given, clipped as scikit-learn does."""
    return np.asarray(-np.log(np.clip(own, _EPS, 1.0 - _EPS)))


def squared_losses(own: Floats) -> Floats:
    """Of the probabilities that actual classes were given; of two classes Brier's."""
    return np.asarray(np.square(1.0 - own))
