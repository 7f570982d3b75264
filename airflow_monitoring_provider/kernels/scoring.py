"""Where the probabilities of two classes met what became of them, in one reading."""

from __future__ import annotations

import ctypes
import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from airflow_monitoring_provider.kernels.counting import IntArray, address, laid_out
from airflow_monitoring_provider.kernels.library import c_function, library

FloatArray = npt.NDArray[np.float64]

_TENTHS = 10
_WHOLE, _DOUBLE = ctypes.c_int64, ctypes.c_double
_ASKED: dict[str, Any] = {
    **dict.fromkeys(("threshold", "least"), _DOUBLE),
    "positive": _WHOLE,
    **dict.fromkeys(("when", "otherwise"), ctypes.c_void_p),
}
_FOUND: dict[str, Any] = {
    "unlabelled": _WHOLE * 2,
    "cells": _WHOLE * (4 * _TENTHS),
    "scores": _DOUBLE * _TENTHS,
    **dict.fromkeys(("were", "were_not"), _WHOLE),
    **dict.fromkeys(("brier", "product"), _DOUBLE),
    "exponent": _WHOLE,
}


class _Block(ctypes.Structure):
    """The struct of scoring.c."""

    _fields_ = [*_ASKED.items(), *_FOUND.items()]


@dataclasses.dataclass(frozen=True)
class Scored:
    """What one block holds; all but ``predicted`` is of its labelled rows.

    :param predicted: (2,), rows per predicted class.
    :param confusion: (2, 2), by actual and predicted class.
    :param when, otherwise: scores of the rows that were positive, and that were not, in their order; they lie in
        ``split``.
    :param log_sum: of the logarithms of what was given to the class that it was.
    :param brier_sum: of the squares of what was not.
    :param tenths, scores, positives: (10,), rows, their scores added up and the positive ones, by tenth of the score.
    """

    predicted: IntArray
    confusion: IntArray
    when: FloatArray
    otherwise: FloatArray
    log_sum: float
    brier_sum: float
    tenths: IntArray
    scores: FloatArray
    positives: IntArray


def score_classes(
    scores: FloatArray, actual: IntArray, split: FloatArray, *, positive: int, threshold: float, least: float
) -> Scored | None:
    """Score the rows of a block.

    :param scores: (n,), the probability of the positive class.
    :param actual: (n,), 0 or 1, below 0 where the class is not known.
    :param split: (2, n or more), will hold ``when`` and ``otherwise``.
    :param positive: index of the positive class.
    :param threshold: from which probability on it is predicted.
    :param least: probabilities nearer to 0 or 1 count as this near, in the logarithm; at least 2**-60.
    :returns: None without compiled kernels, or where a score is no probability.
    :raises ValueError: the lengths do not fit.
    """
    found = library()
    if found is None:
        return None
    scores, actual, rows = laid_out(scores), laid_out(actual), scores.size
    if split.ndim != 2 or len(split) != 2 or split.shape[1] < rows:
        raise ValueError(f"{rows} scores cannot be split into arrays of {split.shape}")
    start = address(split, np.dtype(np.float64), split.size, writeable=True)
    places = (start, start + split.itemsize * split.shape[1])
    block = _Block(threshold, least, positive, *places)
    scored = c_function(found, "score_classes", "pppn")(
        ctypes.byref(block),
        address(scores, np.dtype(np.float64), rows),
        address(actual, np.dtype(np.int64), rows),
        rows,
    )
    if scored < rows:
        return None
    cells = np.array(block.cells[:]).reshape(2, 2, _TENTHS)
    return Scored(
        cells.sum(axis=(0, 2)) + np.array(block.unlabelled[:]),
        cells.sum(axis=2),
        split[0, : block.were],
        split[1, : block.were_not],
        math.log(block.product) + block.exponent * math.log(2.0),
        block.brier,
        cells.sum(axis=(0, 1)),
        np.array(block.scores[:]),
        cells[positive].sum(axis=0),
    )
