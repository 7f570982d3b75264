"""Two histograms on common ground: the larger shift of the two, the union of their buckets, the precision left."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from airflow_monitoring_provider.metrics.distances import Counts
from airflow_monitoring_provider.profiles.histogram import Histogram


def common_precision(reference: Histogram, current: Histogram) -> tuple[Histogram, Histogram]:
    """Both histograms at the larger of the two shifts."""
    shift = max(reference.shift, current.shift)
    return reference.coarsen(shift), current.coarsen(shift)


def precision_of(reference: Histogram, current: Histogram) -> dict[str, float]:
    """Shift and largest bucket's share of two histograms: 0 and the error bound of what is computed from them."""
    largest = max(reference.largest_share, current.largest_share)
    return {"shift": float(max(reference.shift, current.shift)), "largest_bucket": largest}


def shared_buckets(reference: Histogram, current: Histogram) -> tuple[Counts, Counts]:
    """Counts of both sides over the union of their buckets at the common precision, in the order of the values."""
    a, b = common_precision(reference, current)
    codes = np.union1d(a.codes, b.codes)
    return _spread(codes, a.codes, a.counts), _spread(codes, b.codes, b.counts)


def shared_positions(reference: Histogram, current: Histogram) -> tuple[Counts, Counts, npt.NDArray[np.float64]]:
    """Counts of both sides over the union of the values their own buckets stand for: no precision is given up."""
    ours, theirs = reference.representatives(), current.representatives()
    positions = np.union1d(ours, theirs)
    return _spread(positions, ours, reference.counts), _spread(positions, theirs, current.counts), positions


def _spread(
    places: npt.NDArray[np.int64] | npt.NDArray[np.float64],
    own: npt.NDArray[np.int64] | npt.NDArray[np.float64],
    counts: Counts,
) -> Counts:
    result = np.zeros(places.size, np.int64)
    np.add.at(result, np.searchsorted(places, own), counts)
    return result
