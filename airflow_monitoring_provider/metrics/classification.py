"""Scores of a classifier from counts: confusion tables and score histograms per actual class. Pure array functions.

A function gives a number, or the :class:`Reason` why there is none: a share of nothing is undefined, not zero.
Confusion tables are int64 of shape ``(K, K)``, row = actual class, column = predicted class; a binary table has the
negative class first. Score counts are int64 of shape ``(S,)`` over the same score buckets in ascending order, one array
per actual class; the scores inside one bucket count as tied. Definitions and names are scikit-learn's. The formulas are
those of :mod:`.tables` and :mod:`.curves`; here is why there is no number.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from airflow_monitoring_provider.metrics import curves, tables
from airflow_monitoring_provider.metrics.reasons import Reason

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Score = float | Reason

F_SCORES = {"f1": 1.0, "f0.5": 0.5, "f2": 2.0}
"""Name -> how much more recall weighs than precision."""
TOP_SCORES = tuple(f"{name}_top_{share}" for share in curves.TOP_SHARES for name in ("rate", "gain", "lift"))


def binary_scores(confusion: Counts) -> dict[str, Score]:
    """Every threshold-dependent score of a binary table ``[[tn, fp], [fn, tp]]``, in a fixed order.

    ``tpr`` and ``tnr`` are recall and specificity under the names that thresholds may use as well.
    """
    (tn, fp), (fn, tp) = ((int(cell) for cell in row) for row in confusion)
    actual, other = tp + fn, tn + fp
    missed = Reason.ONE_CLASS
    return {
        "accuracy": accuracy(confusion),
        "balanced_accuracy": balanced_accuracy(confusion),
        "precision": _share(tp, tp + fp),
        "recall": _share(tp, actual, missed),
        "tpr": _share(tp, actual, missed),
        "specificity": _share(tn, other, missed),
        "tnr": _share(tn, other, missed),
        "fpr": _share(fp, other, missed),
        "fnr": _share(fn, actual, missed),
        "npv": _share(tn, tn + fn),
        **{name: _or(tables.f_score(confusion, beta), Reason.ZERO_DENOMINATOR) for name, beta in F_SCORES.items()},
        "mcc": mcc(confusion),
        "kappa": kappa(confusion),
    }


def accuracy(confusion: Counts) -> Score:
    """Share of rows whose predicted class is the actual one."""
    return _or(tables.accuracy(confusion), Reason.NO_DATA)


def balanced_accuracy(confusion: Counts) -> Score:
    """Mean recall over the classes that occur among the actuals; undefined where one class only occurs."""
    return _or(tables.balanced_accuracy(confusion), Reason.ONE_CLASS)


def mcc(confusion: Counts) -> Score:
    """Matthews correlation coefficient in [-1, 1]; undefined where one class only is predicted or occurs."""
    return _or(tables.mcc(confusion), Reason.ZERO_DENOMINATOR)


def kappa(confusion: Counts) -> Score:
    """Cohen's kappa, unweighted, in [-1, 1]; undefined where one class only is predicted and occurs."""
    return _or(tables.kappa(confusion), Reason.ZERO_DENOMINATOR)


def averaged_scores(confusion: Counts) -> dict[str, tuple[Score, int]]:
    """``macro_``, ``micro_`` and ``weighted_`` precision, recall and f1: the score and over how many classes."""
    return {
        name: (_or(score, Reason.ZERO_DENOMINATOR), int(count))
        for name, (score, count) in tables.averages(confusion).items()
    }


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
    return _or(curves.roc_auc(negatives, positives), Reason.ONE_CLASS)


def roc_auc_bound(negatives: Counts, positives: Counts) -> float:
    """How far :func:`roc_auc` may be from that of the raw scores: half the sum of products of shares per bucket.

    That is what ties cost; where every bucket holds one value there are none to hide and callers report 0.
    """
    return float(np.sum((negatives / max(negatives.sum(), 1)) * (positives / max(positives.sum(), 1))) / 2)


def average_precision(negatives: Counts, positives: Counts) -> Score:
    """``sum (R_k - R_(k-1)) P_k`` over descending thresholds; undefined without rows of both classes."""
    return _or(curves.average_precision(negatives, positives), Reason.ONE_CLASS)


def ks_score(negatives: Counts, positives: Counts) -> Score:
    """Largest gap of true and false positive rate over all thresholds, in [0, 1]."""
    return _or(curves.ks_score(negatives, positives), Reason.ONE_CLASS)


def top_scores(negatives: Counts, positives: Counts) -> dict[str, Score]:
    """``rate``, ``gain`` and ``lift`` of the best-scored 5 and 10 %; undefined where one class only occurs."""
    if not negatives.sum() or not positives.sum():
        return dict.fromkeys(TOP_SCORES, Reason.ONE_CLASS)
    return {name: _or(score, Reason.ONE_CLASS) for name, score in curves.top_scores(negatives, positives).items()}


def calibration_error(rows: Counts, score_sums: Floats, positives: Counts) -> Score:
    """Expected calibration error: mean over bins, by rows, of ``|mean score - share of positives|``; in [0, 1]."""
    total = int(rows.sum())
    if not total:
        return Reason.NO_DATA
    return float(np.sum(np.abs(score_sums - positives)) / total)


def _or(score: Floats, reason: Reason) -> Score:
    return reason if np.isnan(score) else float(score)


def _share(above: int, below: int, reason: Reason = Reason.ZERO_DENOMINATOR) -> Score:
    return above / below if below else reason
