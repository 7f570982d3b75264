"""Two histograms on common ground: the larger shift of the two, the union of their buckets, the precision left."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from airflow_monitoring_provider.metrics.distances import Counts
from airflow_monitoring_provider.profiles.histogram import Histogram

_Number = TypeVar("_Number", np.int64, np.float64)


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
    return shared_codes(reference, current)[1:]


def shared_codes(reference: Histogram, current: Histogram) -> tuple[npt.NDArray[np.int64], Counts, Counts]:
    """The union of both sides' buckets at the common precision, by their codes, and :func:`shared_buckets`."""
    a, b = common_precision(reference, current)
    codes = _union(a.codes, b.codes)
    return codes, _spread(codes, a.codes, a.counts), _spread(codes, b.codes, b.counts)


def shared_positions(reference: Histogram, current: Histogram) -> tuple[Counts, Counts, npt.NDArray[np.float64]]:
    """Counts of both sides over the union of the values their own buckets stand for: no precision is given up."""
    ours, theirs = reference.representatives(), current.representatives()
    positions = _union(ours, theirs)
    return _spread(positions, ours, reference.counts), _spread(positions, theirs, current.counts), positions


def _union(a: npt.NDArray[_Number], b: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    """What either of two increasing arrays holds, increasing: a quarter of the time of ``numpy.union1d``."""
    joined = np.concatenate((a, b))
    joined.sort(kind="stable")  # two sorted runs: linear
    fresh = np.ones(joined.size, np.bool_)
    np.not_equal(joined[1:], joined[:-1], out=fresh[1:])
    return joined[fresh]


def _spread(places: npt.NDArray[_Number], own: npt.NDArray[_Number], counts: Counts) -> Counts:
    """The counts of increasing places among more of them."""
    result = np.zeros(places.size, np.int64)
    result[places.searchsorted(own)] = counts
    return result
