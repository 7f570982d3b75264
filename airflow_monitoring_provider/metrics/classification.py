"""Scores of a classifier from counts: confusion tables and score histograms per actual class. Pure array functions.

A function gives a number, or the :class:`Reason` why there is none: a share of nothing is undefined, not zero.
Confusion tables are int64 of shape ``(K, K)``, row = actual class, column = predicted class; a binary table has the
negative class first. Score counts are int64 of shape ``(S,)`` over the same score buckets in ascending order, one array
per actual class; the scores inside one bucket count as tied. Definitions and names are scikit-learn's.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from airflow_monitoring_provider.metrics.reasons import Reason

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Score = float | Reason


def binary_scores(confusion: Counts) -> dict[str, Score]:
    """Every threshold-dependent score of a binary table ``[[tn, fp], [fn, tp]]``, in a fixed order."""
    (tn, fp), (fn, tp) = ((int(cell) for cell in row) for row in confusion)
    actual, other = tp + fn, tn + fp
    missed = Reason.ONE_CLASS
    return {
        "accuracy": accuracy(confusion),
        "balanced_accuracy": (tp / actual + tn / other) / 2 if actual and other else missed,
        "precision": _share(tp, tp + fp),
        "recall": _share(tp, actual, missed),
        "specificity": _share(tn, other, missed),
        "fpr": _share(fp, other, missed),
        "fnr": _share(fn, actual, missed),
        "f1": _share(2 * tp, 2 * tp + fp + fn),
        "mcc": mcc(confusion),
        "kappa": kappa(confusion),
    }


def accuracy(confusion: Counts) -> Score:
    """Share of rows whose predicted class is the actual one."""
    return _share(int(np.trace(confusion)), int(confusion.sum()), Reason.NO_DATA)


def balanced_accuracy(confusion: Counts) -> Score:
    """Mean recall over the classes that occur among the actuals; undefined where one class only occurs."""
    actual = confusion.sum(axis=1)
    seen = actual > 0
    if np.count_nonzero(seen) < 2:
        return Reason.ONE_CLASS
    return float(np.mean(np.diag(confusion)[seen] / actual[seen]))


def mcc(confusion: Counts) -> Score:
    """Matthews correlation coefficient in [-1, 1], for any number of classes (Gorodkin 2004)."""
    actual, predicted = _margins(confusion)
    rows, right = float(confusion.sum()), float(np.trace(confusion))
    spread = (rows**2 - predicted @ predicted) * (rows**2 - actual @ actual)
    if spread <= 0:
        return Reason.ZERO_DENOMINATOR
    return float((right * rows - predicted @ actual) / np.sqrt(spread))


def kappa(confusion: Counts) -> Score:
    """Cohen's kappa, unweighted, in [-1, 1]."""
    actual, predicted = _margins(confusion)
    rows = float(confusion.sum())
    by_chance = float(actual @ predicted)
    if rows == 0 or rows**2 == by_chance:
        return Reason.ZERO_DENOMINATOR
    return float((rows * float(np.trace(confusion)) - by_chance) / (rows**2 - by_chance))


def averaged_scores(confusion: Counts) -> dict[str, tuple[Score, int]]:
    """``macro_``, ``micro_`` and ``weighted_`` precision, recall and f1: the score and over how many classes.

    Macro and weighted averages run over the classes for which the score is defined (weights: actual rows).
    """
    right = np.diag(confusion).astype(np.float64)
    actual, predicted = _margins(confusion)
    denominators = {"precision": (right, predicted), "recall": (right, actual), "f1": (2 * right, actual + predicted)}
    micro = accuracy(confusion)  # one label per row: micro precision, recall and f1 are all the accuracy
    result: dict[str, tuple[Score, int]] = {}
    for name, (above, below) in denominators.items():
        defined = below > 0
        scores = above[defined] / below[defined]
        count, weights = int(defined.sum()), actual[defined]
        weight = float(weights.sum())
        result[f"macro_{name}"] = (float(scores.mean()) if count else Reason.ZERO_DENOMINATOR, count)
        result[f"micro_{name}"] = (micro, count)
        result[f"weighted_{name}"] = (float(scores @ weights) / weight if weight else Reason.ZERO_DENOMINATOR, count)
    return result


def class_scores(confusion: Counts) -> list[dict[str, float | int | None]]:
    """Per class, in the table's order: actual and predicted rows, precision, recall and f1 (None where undefined)."""
    actual, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    rows: list[dict[str, float | int | None]] = []
    for k in range(confusion.shape[0]):
        right, a, p = int(confusion[k, k]), int(actual[k]), int(predicted[k])
        rows.append(
            {
                "actual": a,
                "predicted": p,
                "precision": right / p if p else None,
                "recall": right / a if a else None,
                "f1": 2 * right / (a + p) if a + p else None,
            }
        )
    return rows


def roc_auc(negatives: Counts, positives: Counts) -> Score:
    """Area under the ROC curve: the chance that a positive outscores a negative, ties counting half."""
    n, p = int(negatives.sum()), int(positives.sum())
    if not n or not p:
        return Reason.ONE_CLASS
    below = np.cumsum(negatives) - negatives
    return float(np.sum(positives * (below + negatives / 2)) / n / p)


def roc_auc_bound(negatives: Counts, positives: Counts) -> float:
    """How far :func:`roc_auc` may be from that of the raw scores: half the sum of products of shares per bucket.

    That is what ties cost; where every bucket holds one value there are none to hide and callers report 0.
    """
    return float(np.sum((negatives / max(negatives.sum(), 1)) * (positives / max(positives.sum(), 1))) / 2)


def average_precision(negatives: Counts, positives: Counts) -> Score:
    """``sum (R_k - R_(k-1)) P_k`` over descending thresholds, as ``sklearn.metrics.average_precision_score``."""
    p = int(positives.sum())
    if not p or not int(negatives.sum()):
        return Reason.ONE_CLASS
    hits, found = positives[::-1], np.cumsum(positives[::-1])
    taken = found + np.cumsum(negatives[::-1])
    used = hits > 0
    return float(np.sum(hits[used] / p * found[used] / taken[used]))


def ks_score(negatives: Counts, positives: Counts) -> Score:
    """Largest gap of true and false positive rate over all thresholds, in [0, 1]."""
    n, p = int(negatives.sum()), int(positives.sum())
    if not n or not p:
        return Reason.ONE_CLASS
    return float(np.max(np.abs(np.cumsum(negatives) / n - np.cumsum(positives) / p)))


def calibration_error(rows: Counts, score_sums: Floats, positives: Counts) -> Score:
    """Expected calibration error: mean over bins, by rows, of ``|mean score - share of positives|``; in [0, 1]."""
    total = int(rows.sum())
    if not total:
        return Reason.NO_DATA
    return float(np.sum(np.abs(score_sums - positives)) / total)


def _margins(confusion: Counts) -> tuple[Floats, Floats]:
    return confusion.sum(axis=1).astype(np.float64), confusion.sum(axis=0).astype(np.float64)


def _share(above: int, below: int, reason: Reason = Reason.ZERO_DENOMINATOR) -> Score:
    return above / below if below else reason
