"""Scores of many score curves at once, NaN where one is undefined; each formula stands here and nowhere else.

A curve is two int64 arrays of shape ``(..., S)``: rows of the negative and of the positive class per score bucket, in
ascending order of the score; scores inside one bucket count as tied. Results have the shape ``(...)``.
:mod:`.classification` says of one curve why it has no score, and :mod:`.intervals` draws five hundred.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from airflow_monitoring_provider.metrics.tables import ratio

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

TOP_SHARES = (5, 10)
"""Percents of the rows, best-scored first."""


def roc_auc(negatives: Counts, positives: Counts) -> Floats:
    """Area under the ROC curve: the chance that a positive outscores a negative, ties counting half."""
    below = np.cumsum(negatives, axis=-1) - negatives
    won = (positives * (below + negatives / 2)).sum(axis=-1)
    return ratio(ratio(won, negatives.sum(axis=-1)), positives.sum(axis=-1))


def average_precision(negatives: Counts, positives: Counts) -> Floats:
    """``sum (R_k - R_(k-1)) P_k`` over descending thresholds, as ``sklearn.metrics.average_precision_score``."""
    hits = positives[..., ::-1]
    found = np.cumsum(hits, axis=-1)
    taken = found + np.cumsum(negatives[..., ::-1], axis=-1)
    area = ratio((hits * (found / np.maximum(taken, 1))).sum(axis=-1), hits.sum(axis=-1))
    return np.where(negatives.sum(axis=-1) > 0, area, np.nan)


def ks_score(negatives: Counts, positives: Counts) -> Floats:
    """Largest gap of true and false positive rate over all thresholds, in [0, 1]."""
    n, p = (ratio(np.cumsum(counts, axis=-1), counts.sum(axis=-1, keepdims=True)) for counts in (negatives, positives))
    gaps = np.abs(n - p)
    return np.asarray(gaps.max(axis=-1)) if gaps.shape[-1] else np.full(gaps.shape[:-1], np.nan)


def top_scores(negatives: Counts, positives: Counts) -> dict[str, Floats]:
    """What the best-scored 5 % and 10 % of the rows hold, as ``rate_top_5``, ``gain_top_5``, ``lift_top_5`` and so on.

    Rate is the share of positives among them, gain their share of all positives, both in [0, 1]; lift is the rate over
    that of all rows. Rows that tie at the border, and a border within a row, are taken in part: the mean over every
    order of the ties.
    """
    both, hits = ((negatives + positives)[..., ::-1], positives[..., ::-1])
    taken, found = np.cumsum(both, axis=-1), np.cumsum(hits, axis=-1)
    rows, total = both.sum(axis=-1), hits.sum(axis=-1)
    result: dict[str, Floats] = {}
    for share in TOP_SHARES:
        wanted = rows * (share / 100)
        at = np.minimum((taken < wanted[..., None]).sum(axis=-1, keepdims=True), both.shape[-1] - 1)
        bucket, of_it, so_far, so_found = (
            np.take_along_axis(counts, at, axis=-1)[..., 0] for counts in (both, hits, taken, found)
        )
        part = ratio(wanted - (so_far - bucket), bucket)  # of the bucket that holds the border
        gained = so_found - of_it + part * of_it
        result[f"rate_top_{share}"] = ratio(gained, wanted)
        result[f"gain_top_{share}"] = ratio(gained, total)
        result[f"lift_top_{share}"] = ratio(gained, total) / (share / 100)
    return result
