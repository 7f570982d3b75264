"""SageMaker Model Monitor's standard deviation of a score: of five draws of 80 % of the rows, from 200 rows on.

It draws rows; profiles keep counts, and rows drawn without putting them back are a multivariate hypergeometric draw of
the counts. It says how much a score of 80 % of these rows differs from draw to draw, which is about half of its
standard error: intervals are the better answer, this is for those who are used to it. Of scores that a profile makes of
sums (``r2``, ``mape``, deviances and others) there are no counts to draw: they have the one that such draws tend to,
``se sqrt((1 - 0.8) / 0.8)``, with the standard error of their interval (a finite population's, Cochran 1977). There is
none for ``max_error``, whose draws say nothing but whether they hold that one row, for the Brier score of more than two
classes, of which a profile keeps the mean only, and for ``macro_roc_auc``, as no profile keeps how classes go together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from scipy.special import stdtrit

from airflow_monitoring_provider.metrics import curves, tables
from airflow_monitoring_provider.metrics.error_intervals import regression_intervals
from airflow_monitoring_provider.metrics.intervals import CONFIDENCE, Counts, Floats, generator_of
from airflow_monitoring_provider.metrics.precision import shared_buckets
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.scores import binary_table, positive_class
from airflow_monitoring_provider.metrics.settings import ComparisonSettings
from airflow_monitoring_provider.metrics.uncertainty import (
    binary_table_scores,
    class_table_scores,
    curve_scores,
    log_losses,
    probabilities,
    squared_losses,
)
from airflow_monitoring_provider.profiles.profile import ClassificationProfile, RegressionProfile

DRAWS = 5
SHARE = 0.8
LEAST_ROWS = 200
_DRAWN = ("mae", "mse", "rmse", "medae")
_ROOTS = ("rmsle",)
_MOST_ROWS = 10**9  # of NumPy's draws; of more, a score hardly differs


def subsample_deviations(
    target: ClassificationProfile | RegressionProfile, settings: ComparisonSettings
) -> dict[str, float]:
    """Score -> standard deviation (``ddof=1``) of five draws, in the score's unit; nothing of a score that one of the
    draws leaves undefined. Seeded by the counts, so that the same rows have the same.
    """
    if not LEAST_ROWS <= target.labelled < _MOST_ROWS:
        return {}
    if isinstance(target, RegressionProfile):
        with np.errstate(over="ignore", invalid="ignore"):  # squares of large errors; what is not finite is not told
            errors = _told(_errors(target))
            return errors | _of_numbers(target, settings, errors.get("mae"))
    found = _binary(target) if len(target.classes) == 2 else _multiclass(target)
    return _told(found)


def _told(samples: Mapping[str, Floats]) -> dict[str, float]:
    deviations = {name: float(np.std(sample, ddof=1)) for name, sample in samples.items()}
    return {name: deviation for name, deviation in deviations.items() if math.isfinite(deviation)}


def _drawn(cells: Counts, *values: Floats) -> Counts:
    """(draws, cells): how many of the rows in each cell are drawn.

    :param values: what the cells stand for: rows that all differ have the same counts in every window, and are not to
        have the same draws.
    """
    rows = round(SHARE * int(cells.sum()))
    seed = np.concatenate([cells.astype(np.int64), *(np.ascontiguousarray(each).view(np.int64) for each in values)])
    drawn: Counts = generator_of(seed).multivariate_hypergeometric(cells, rows, size=DRAWS)
    return drawn


def _binary(target: ClassificationProfile) -> dict[str, Floats]:
    drawn = _drawn(binary_table(target).ravel()).reshape(-1, 2, 2)
    tn, fp, fn, tp = (drawn[:, place // 2, place % 2] for place in range(4))
    found = {
        "accuracy": tables.accuracy(drawn),
        "precision": tables.ratio(tp, tp + fp),
        **dict.fromkeys(("recall", "tpr"), tables.ratio(tp, tp + fn)),
        **dict.fromkeys(("specificity", "tnr"), tables.ratio(tn, tn + fp)),
        "npv": tables.ratio(tn, tn + fn),
        "fpr": tables.ratio(fp, tn + fp),
        "fnr": tables.ratio(fn, tp + fn),
        **binary_table_scores(drawn),
    }
    positive = positive_class(target)
    when, otherwise = target.scores_when.get(positive), target.scores_otherwise.get(positive)
    if when is None or otherwise is None:
        return found
    negatives, positives = shared_buckets(otherwise, when)
    both = _drawn(np.append(negatives, positives))
    n, p = both[:, : negatives.size], both[:, negatives.size :]
    area = curves.roc_auc(n, p)
    own = probabilities(target)
    losses = _means(own[1], {"log_loss": log_losses(own[0]), "brier": squared_losses(own[0])})
    found["ece"] = _calibration_errors(target)
    return {**found, "roc_auc": area, "gini": 2 * area - 1, **curve_scores(n, p), **losses}


def _multiclass(target: ClassificationProfile) -> dict[str, Floats]:
    classes = len(target.classes)
    drawn = _drawn(target.confusion.ravel()).reshape(-1, classes, classes)
    right = tables.accuracy(drawn)
    found = dict.fromkeys(("accuracy", "micro_precision", "micro_recall", "micro_f1"), right)
    found |= class_table_scores(drawn)
    if target.calibration_counts.any():
        found["ece"] = _calibration_errors(target)
    if len(target.scores_when) < classes:
        return found
    own = probabilities(target)
    return found | _means(own[1], {"log_loss": log_losses(own[0])})


def _calibration_errors(target: ClassificationProfile) -> Floats:
    """``ece`` of each draw: of the rows of a tenth, hits and others, at the mean score that the tenth has."""
    counts, hits = target.calibration_counts, target.calibration_positives
    cells = np.concatenate((hits, counts - hits))
    drawn = _drawn(cells)
    right, rows = drawn[:, : hits.size], drawn[:, : hits.size] + drawn[:, hits.size :]
    scores = rows * (target.calibration_scores / np.maximum(counts, 1))
    return np.asarray(np.abs(scores - right).sum(axis=1) / rows.sum(axis=1))


def _errors(target: RegressionProfile) -> dict[str, Floats]:
    histogram = target.absolute_error_histogram
    with np.errstate(over="ignore", invalid="ignore"):
        sizes = histogram.representatives()
        found = _means(histogram.counts, {"mae": sizes, "mse": np.square(sizes)})
        drawn = np.cumsum(_drawn(histogram.counts, sizes), axis=1)
    middle = (drawn[:, -1:] + 1) // 2
    found["medae"] = sizes[np.argmax(drawn >= middle, axis=1)]
    counts = target.intervals
    if counts is not None and counts.rows >= LEAST_ROWS:
        cells = np.array([counts.inside, counts.below + counts.above])
        found |= _means(cells, {"interval_coverage": np.array([1.0, 0.0])})
    return {**found, "rmse": np.sqrt(found["mse"])}


def _of_numbers(target: RegressionProfile, settings: ComparisonSettings, mae: float | None) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, ends in regression_intervals(target, settings.quantile).items():
        if name not in _DRAWN and ends is not None and all(map(math.isfinite, ends)):
            rows = target.percentage_errors.count if name == "mape" else target.labelled
            low, high = (end * end for end in ends) if name in _ROOTS else ends
            error = (high - low) / 2 / float(stdtrit(rows - 1, 0.5 + CONFIDENCE / 2))
            if name in _ROOTS and ends[0] <= 0:
                continue  # an end that was held at 0 says no error
            error = error / (2 * math.sqrt((high + low) / 2)) if name in _ROOTS else error
            found[name] = error * math.sqrt((1 - SHARE) / SHARE)
    unit = None if settings.scale is None else settings.scale.value
    if unit is not None and not isinstance(unit, Reason) and mae is not None:
        found["mase"] = mae / unit
    return found


def _means(cells: Counts, values: Mapping[str, Floats]) -> dict[str, Floats]:
    """The mean of the values of the rows in each draw."""
    drawn = _drawn(cells, *values.values())
    rows = drawn.sum(axis=1)
    return {name: (drawn @ value) / rows for name, value in values.items()}
