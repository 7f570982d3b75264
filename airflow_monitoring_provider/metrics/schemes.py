"""Edges of the schemes that other tools cut numbers by, from a column's summary: count, range, spread, median.

Each function gives every edge in increasing order, the outermost ones included. Cells are ``[a, b)``; where a tool's
last cell holds its upper end (``numpy.histogram``), the last edge is the next double above it.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from airflow_monitoring_provider.definitions.drift import Scheme
from airflow_monitoring_provider.profiles.histogram import Histogram
from airflow_monitoring_provider.profiles.moments import Moments
from airflow_monitoring_provider.profiles.profile import ColumnProfile

Edges = npt.NDArray[np.float64]

_HIST_CELLS = 20
_FEW_VALUES = 20


@dataclasses.dataclass(frozen=True, slots=True)
class Summary:
    """What edges are made from: how many values, their range and median, and their moments."""

    count: int
    low: float
    high: float
    median: float
    moments: Moments

    @classmethod
    def of(cls, column: ColumnProfile, histogram: Histogram) -> Summary:
        """The summary of a column with values; ``histogram`` is that of its numbers or lengths."""
        moments = column.moments if column.moments is not None else column.lengths
        if moments is None:
            raise ValueError("a column without moments has no numbers to be cut by")
        low, high = column.minimum, column.maximum
        return cls(
            histogram.total,
            float(low if low is not None else histogram.lower_edges()[0]),
            float(high if high is not None else histogram.upper_edges()[-1]),
            histogram.quantile(0.5),
            moments,
        )


def one_cell_per_value(scheme: Scheme, histogram: Histogram) -> bool:
    """Whether a tool takes the numbers of this baseline for levels."""
    return scheme is Scheme.STURGES_COMBINED and histogram.exact and histogram.codes.size <= _FEW_VALUES


def edges_of(scheme: Scheme, summary: Summary, bins: int) -> Edges:
    """Every edge of a scheme that is cut by range or spread.

    :param bins: cells between the ends of ``uniform``.
    :raises ValueError: the scheme is cut in another way, or the range is not finite.
    """
    if scheme is Scheme.MEDIAN:
        step = summary.moments.std(ddof=0) / 3
        with np.errstate(over="ignore", invalid="ignore"):
            return _distinct(np.asarray(summary.median + step * np.arange(-4, 5), np.float64))
    if scheme is Scheme.UNIFORM:
        top = summary.high + (abs(summary.high) * 1e-10 + 1e-23)
        return _distinct(_spaced(summary.low, max(top, math.nextafter(summary.high, math.inf)), bins))
    if scheme is Scheme.HIST20:
        return _closed(summary, _HIST_CELLS)
    if scheme is Scheme.STURGES_COMBINED:
        return _closed(summary, _cells(summary, math.log2(summary.count) + 1))
    if scheme is Scheme.DOANE:
        return _closed(summary, _cells(summary, _doane(summary)))
    raise ValueError(f"{scheme} is not cut by range or spread")


def _doane(summary: Summary) -> float:
    """How many cells Doane (1976) asks for, as ``numpy.histogram_bin_edges`` has it; 0 where it gives one cell."""
    n = summary.count
    if n <= 2 or not summary.moments.std(ddof=0) > 0:
        return 0.0
    spread = math.sqrt(6 * (n - 2) / ((n + 1) * (n + 3)))
    return 1 + math.log2(n) + math.log2(1 + abs(summary.moments.skew) / spread)


def _cells(summary: Summary, wanted: float) -> int:
    # numpy rounds the quotient of range and width, which is not the same as rounding the number of cells.
    span = summary.high - summary.low
    if not span > 0 or not wanted > 0:
        return 1
    return max(math.ceil(span / (span / wanted) if math.isfinite(span) else wanted), 1)


def _closed(summary: Summary, cells: int) -> Edges:
    low, high = (summary.low, summary.high) if summary.high > summary.low else (summary.low - 0.5, summary.high + 0.5)
    edges = _spaced(low, high, cells)
    edges[-1] = math.nextafter(edges[-1], math.inf)  # infinite above the greatest double, and then no edge
    return _distinct(edges)


def _spaced(low: float, high: float, cells: int) -> Edges:
    with np.errstate(over="ignore", invalid="ignore"):
        edges = np.linspace(low, high, cells + 1)
        if not np.isfinite(edges).all():  # the range of the doubles is twice the greatest one
            edges = 2 * np.linspace(low / 2, high / 2, cells + 1)
    edges[0], edges[-1] = low, high
    return edges


def _distinct(edges: Edges) -> Edges:
    """Edges that are one double are one edge: a column may be narrower than its digits."""
    return np.unique(edges[np.isfinite(edges)])
