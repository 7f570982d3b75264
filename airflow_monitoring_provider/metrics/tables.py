"""Scores of many confusion tables at once, NaN where one is undefined; each formula stands here and nowhere else.

Tables are int64 of shape ``(..., K, K)``, row = actual class, column = predicted class, of two classes the negative one
first; results have the shape ``(...)``. :mod:`.classification` says of one table why it has no score, and
:mod:`.intervals` draws five hundred.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

AVERAGES = ("macro", "micro", "weighted")


def accuracy(tables: Counts) -> Floats:
    """Share of rows whose predicted class is the actual one."""
    return ratio(np.trace(tables, axis1=-2, axis2=-1), tables.sum(axis=(-2, -1)))


def balanced_accuracy(tables: Counts) -> Floats:
    """Mean recall over the classes that occur among the actuals; NaN where one class only occurs."""
    right, actual, _ = _margins(tables)
    classes = np.count_nonzero(actual, axis=-1)
    return ratio(np.nansum(ratio(right, actual), axis=-1), np.where(classes > 1, classes, 0))


def f_score(tables: Counts, beta: float) -> Floats:
    """``(1 + b^2) tp / ((1 + b^2) tp + b^2 fn + fp)`` of binary tables; beta > 1 weighs recall more than precision.

    van Rijsbergen's F, ``sklearn.metrics.fbeta_score``.
    """
    above = (1 + beta * beta) * tables[..., 1, 1]
    return ratio(above, above + beta * beta * tables[..., 1, 0] + tables[..., 0, 1])


def mcc(tables: Counts) -> Floats:
    """Matthews correlation coefficient in [-1, 1], for any number of classes (Gorodkin 2004)."""
    right, actual, predicted = _margins(tables)
    rows = actual.sum(axis=-1)
    spread = (rows**2 - np.square(predicted).sum(axis=-1)) * (rows**2 - np.square(actual).sum(axis=-1))
    return ratio(right.sum(axis=-1) * rows - (predicted * actual).sum(axis=-1), np.sqrt(np.maximum(spread, 0.0)))


def kappa(tables: Counts) -> Floats:
    """Cohen's kappa, unweighted, in [-1, 1]."""
    right, actual, predicted = _margins(tables)
    rows = actual.sum(axis=-1)
    by_chance = (actual * predicted).sum(axis=-1)
    return ratio(rows * right.sum(axis=-1) - by_chance, rows**2 - by_chance)


def averages(tables: Counts) -> dict[str, tuple[Floats, Counts]]:
    """``macro_``, ``micro_`` and ``weighted_`` precision, recall and f1: the scores, and over how many classes each.

    Macro and weighted averages run over the classes for which the score is defined (weights: actual rows).
    """
    right, actual, predicted = _margins(tables)
    shares = {"precision": (right, predicted), "recall": (right, actual), "f1": (2 * right, actual + predicted)}
    micro = accuracy(tables)  # one label per row: micro precision, recall and f1 are all the accuracy
    result: dict[str, tuple[Floats, Counts]] = {}
    for name, (above, below) in shares.items():
        scores, defined = ratio(above, below), below > 0
        count = np.asarray(defined.sum(axis=-1), np.int64)
        weight = (actual * defined).sum(axis=-1)
        result[f"macro_{name}"] = (ratio(np.nansum(scores, axis=-1), count), count)
        result[f"micro_{name}"] = (micro, count)
        result[f"weighted_{name}"] = (ratio(np.nansum(scores * actual, axis=-1), weight), count)
    return result


def ratio(above: npt.ArrayLike, below: npt.ArrayLike) -> Floats:
    """``above / below``, float64; NaN where ``below`` is 0."""
    divisor = np.asarray(below, np.float64)
    return np.asarray(np.asarray(above, np.float64) / np.where(divisor == 0, np.nan, divisor), np.float64)


def _margins(tables: Counts) -> tuple[Floats, Floats, Floats]:
    """Of each class, ``(..., K)``: rows predicted rightly, actual rows, predicted rows."""
    right = np.diagonal(tables, axis1=-2, axis2=-1)
    return right.astype(np.float64), tables.sum(axis=-1).astype(np.float64), tables.sum(axis=-2).astype(np.float64)
