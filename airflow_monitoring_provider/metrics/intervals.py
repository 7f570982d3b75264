"""How far chance alone may move a score: 95 % intervals from what a profile keeps. Pure functions.

Wilson's interval of a plain share stands in :mod:`.significance`. Here are Student's t for means, DeLong's for the area
under the ROC curve, and the bootstrap for what has no formula of its own. A bootstrap draws counts and not rows: a
confusion table or score histogram resampled is what resampling the rows would give. It does not draw within each actual
class: how many rows a class has is chance as well, and a gain or an average weighted by classes moves with it (within
classes its intervals hold 84 to 91 % at any size, ``benchmarks/coverage_of_intervals.py``).

The percentiles of a score that is a largest gap are corrected for bias (Efron 1981): its resamples lie above it, as it
lies above the truth.
Its randomness is seeded by the counts that it draws from, so the same rows always have the same interval, in whatever
order or parts they came.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri, stdtrit

from airflow_monitoring_provider.metrics.curves import roc_auc

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]
Scores = Mapping[str, Floats]

CONFIDENCE = 0.95
RESAMPLES = 500
_TAILS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
_DEFINED = 0.9  # share of the resamples that must have a score for their percentiles to stand for all


def t_interval(mean: float, variance: float, count: int) -> Interval | None:
    """Of a mean, ``mean -+ t sqrt(variance / count)``; as ``scipy.stats.t.interval``.

    :param variance: of the sample, ddof 1.
    :returns: None for fewer than two values, or where the variance is no finite number.
    """
    if count < 2 or not math.isfinite(variance):
        return None
    half = float(stdtrit(count - 1, 0.5 + CONFIDENCE / 2)) * math.sqrt(max(variance, 0.0) / count)
    return mean - half, mean + half


def losses_interval(loss: float, own: Floats, rows: Counts, of: Callable[[Floats], Floats]) -> Interval | None:
    """:func:`t_interval` of a mean loss that depends on the actual class's probability alone.

    The mean is exact; the variance takes each probability for the middle of its bucket.

    :param own: the probabilities that actual classes were given, ``(S,)``, and ``rows`` of each.
    :param of: probabilities -> losses, both of shape ``(S,)``.
    """
    count = int(rows.sum())
    if count < 2:
        return None
    return t_interval(loss, _variance(of(own), rows), count)


def delong_variance(negatives: Counts, positives: Counts) -> float | None:
    """Variance of the area under the ROC curve (DeLong, DeLong and Clarke-Pearson 1988), ties counting half.

    From int64 counts of shape ``(S,)`` per score bucket; O(S) where the sum over pairs of rows is O(n m). It is that of
    the bucketed scores, whose area is off by ``roc_auc_bound``. None with fewer than two rows of a class.
    """
    n, p = int(negatives.sum()), int(positives.sum())
    if n < 2 or p < 2:
        return None
    of_positive = (np.cumsum(negatives) - negatives / 2) / n  # share of negatives that a positive outscores
    of_negative = 1.0 - (np.cumsum(positives) - positives / 2) / p
    return _variance(of_positive, positives) / p + _variance(of_negative, negatives) / n


def delong_interval(negatives: Counts, positives: Counts) -> Interval | None:
    """Of the area under the ROC curve: ``area -+ z sd`` by :func:`delong_variance`, within [0, 1].

    None where the variance is undefined or 0: no variance (every positive outscores every negative, say) would claim a
    certainty that no finite sample has.
    """
    return mean_area_interval([(negatives, positives)])


def mean_area_interval(areas: Sequence[tuple[Counts, Counts]]) -> Interval | None:
    """Of the mean area of several curves over the same rows, never too narrow; None where a variance is undefined or 0.

    The standard deviation of a mean is at most the mean of the standard deviations, whatever their correlations.

    :param areas: negatives and positives per score bucket, of each curve.
    """
    variances = [delong_variance(*pair) for pair in areas]
    if not variances or not all(variances):
        return None
    mean = float(np.mean([roc_auc(*pair) for pair in areas]))
    half = float(ndtri(0.5 + CONFIDENCE / 2)) * float(np.mean([math.sqrt(v) for v in variances if v]))
    return max(mean - half, 0.0), min(mean + half, 1.0)


def bootstrap_table(confusion: Counts, scores: Callable[[Counts], Scores]) -> dict[str, Interval]:
    """Bootstrap of scores of a confusion table ``(K, K)``.

    :param scores: tables ``(R, K, K)`` -> scores ``(R,)``, NaN where undefined.
    """
    return bootstrap_rows(confusion.ravel(), lambda cells: scores(cells.reshape(-1, *confusion.shape)))


def bootstrap_curve(
    negatives: Counts, positives: Counts, scores: Callable[[Counts, Counts], Scores], biased: Collection[str] = ()
) -> dict[str, Interval]:
    """Bootstrap of scores of two score histograms ``(S,)``.

    :param scores: histograms ``(R, S)`` of both classes -> scores ``(R,)``, NaN where undefined.
    :param biased: scores whose percentiles are corrected.
    """
    cut = negatives.size
    return bootstrap_rows(np.append(negatives, positives), lambda c: scores(c[:, :cut], c[:, cut:]), biased)


def bootstrap_rows(
    cells: Counts, scores: Callable[[Counts], Scores], biased: Collection[str] = ()
) -> dict[str, Interval]:
    """Bootstrap of scores of rows counted in cells ``(C,)``.

    :param scores: cells ``(R, C)`` -> scores ``(R,)``, NaN where undefined.
    :param biased: scores whose percentiles are corrected.
    :returns: nothing of a score that more than a tenth of the resamples leave undefined.
    """
    total = int(cells.sum())
    if not total:
        return {}
    drawn = generator_of(cells).multinomial(total, cells / total, size=RESAMPLES)
    own = scores(cells[None]) if biased else {}
    result: dict[str, Interval] = {}
    for name, sample in scores(drawn).items():
        found = sample[~np.isnan(sample)]
        if found.size >= _DEFINED * RESAMPLES:
            low, high = np.quantile(found, _tails(found, float(own[name][0])) if name in biased else _TAILS)
            result[name] = (float(low), float(high))
    return result


def _tails(sample: Floats, value: float) -> tuple[float, float]:
    """Between which shares of the resamples the interval lies, from how many of them lie below the value."""
    below = float(np.mean(sample < value) + np.mean(sample == value) / 2)
    shift = 2 * float(ndtri(np.clip(below, 0.5 / sample.size, 1 - 0.5 / sample.size)))
    z = float(ndtri(_TAILS[1]))
    return float(ndtr(shift - z)), float(ndtr(shift + z))


def generator_of(counts: Counts) -> np.random.Generator:
    """Randomness that is a function of the counts alone."""
    digest = hashlib.sha256(np.ascontiguousarray(counts, "<i8").tobytes())
    return np.random.default_rng(int.from_bytes(digest.digest()[:16], "little"))


def _variance(values: Floats, counts: Counts) -> float:
    total = int(counts.sum())
    around = values - float(values @ counts) / total
    return float(np.square(around) @ counts) / (total - 1)
