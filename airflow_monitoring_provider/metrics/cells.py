"""Both sides of a comparison counted in the cells of one binning.

Columns share cells only at a precision that both have, so the baseline is cut at the coarser one of the two.

Cells that hold "what the baseline does not have" are made by the baseline: it has no row in them, whatever the column
does. A distance has to say so of new levels, but no test may be asked of it: of five thousand levels, as frequent as
words are, a baseline of 10 000 rows misses some that make up a tenth of the next 10 000, and every test finds that
impossible. So tests have cells of their own there (:attr:`Cells.tested`), one for each level or value of either side,
which both sides make alike.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from airflow_monitoring_provider.definitions.drift import Missing, Scheme
from airflow_monitoring_provider.metrics.binning import (
    MISSING,
    OTHER,
    Binning,
    BinningRule,
    cut,
    rows_by_level,
    values_of,
)
from airflow_monitoring_provider.metrics.distances import Counts
from airflow_monitoring_provider.metrics.precision import common_precision, precision_of, shared_buckets
from airflow_monitoring_provider.profiles.histogram import Histogram
from airflow_monitoring_provider.profiles.levels import LevelCounts
from airflow_monitoring_provider.profiles.profile import ColumnProfile

_TESTED = 1000


@dataclasses.dataclass(frozen=True)
class Cells:
    """Both sides counted in the same cells.

    :param reference, current: int64 of shape ``(B,)``.
    :param precision: ``{"shift", "largest_bucket"}`` of the histograms (share of the fullest bucket on either side),
        None for levels.
    :param tested: both sides in the cells that tests are asked of: those where they are intervals, else one for each
        level or value that either side has.
    """

    binning: Binning
    reference: Counts
    current: Counts
    precision: dict[str, float] | None
    tested: tuple[Counts, Counts]

    @functools.cached_property
    def n(self) -> int:
        """Baseline rows in the cells."""
        return int(self.reference.sum())

    @functools.cached_property
    def m(self) -> int:
        """Current rows in the cells."""
        return int(self.current.sum())

    @functools.cached_property
    def used(self) -> int:
        """Cells that are not empty on both sides."""
        return int(np.count_nonzero(self.reference + self.current))


def comparable(reference: ColumnProfile, current: ColumnProfile) -> bool:
    """Whether both columns keep their values in the same form, so that they can share cells."""
    ours, theirs = values_of(reference), values_of(current)
    if isinstance(ours, Histogram) and isinstance(theirs, Histogram):
        return ours.mirrored == theirs.mirrored
    return isinstance(ours, LevelCounts) and isinstance(theirs, LevelCounts) and ours.names == theirs.names


def compare_cells(reference: ColumnProfile, current: ColumnProfile, rule: BinningRule) -> Cells:
    """Cut the baseline column at the precision both sides share, and count both.

    A parity scheme that cuts both sides together (``sturges_combined``) is given both.

    :raises ValueError: the columns are not :func:`comparable`, or the baseline column has no values to cut from.
    """
    ours, theirs = values_of(reference), values_of(current)
    if isinstance(ours, LevelCounts) and isinstance(theirs, LevelCounts):
        left, right = ours.align(theirs)
        binning = cut(reference, rule, levels=left, current=dataclasses.replace(current, levels=right))
        missing = _keeps_missing(reference, current, rule)
        binning = binning if missing == binning.missing else _with_missing(binning, missing)
        counted, tested = (_count_levels(binning, left), _count_levels(binning, right)), _levels_of_both(left, right)
        return _cells(binning, counted, tested, (reference, current), None)
    if not (isinstance(ours, Histogram) and isinstance(theirs, Histogram)):
        raise ValueError("the two columns keep their values in different forms")
    a, b = common_precision(ours, theirs)
    binning = cut(reference, rule, shift=a.shift, current=current)
    missing = _keeps_missing(reference, current, rule)
    binning = binning if missing == binning.missing else _with_missing(binning, missing)
    counted = _count_values(binning, a, reference), _count_values(binning, b, current)
    tested = shared_buckets(a, b) if binning.edges is None else counted
    return _cells(binning, counted, tested, (reference, current), precision_of(a, b))


def _cells(
    binning: Binning,
    counted: tuple[Counts, Counts],
    tested: tuple[Counts, Counts],
    columns: tuple[ColumnProfile, ColumnProfile],
    precision: dict[str, float] | None,
) -> Cells:
    """With the missing rows of both sides, where they are a cell."""
    a, b = (_with_missing_count(own, column, binning.missing) for own, column in zip(counted, columns, strict=True))
    if tested is counted:
        return Cells(binning, a, b, precision, (a, b))
    most = _rarest_together(*tested) if binning.edges is None else tested
    c, d = (_with_missing_count(own, column, binning.missing) for own, column in zip(most, columns, strict=True))
    return Cells(binning, a, b, precision, (c, d))


def _levels_of_both(left: LevelCounts, right: LevelCounts) -> tuple[Counts, Counts]:
    ours, theirs = rows_by_level(left), rows_by_level(right)
    levels = list(ours | theirs)
    return (
        np.array([ours.get(level, 0) for level in levels], np.int64),
        np.array([theirs.get(level, 0) for level in levels], np.int64),
    )


def _rarest_together(reference: Counts, current: Counts) -> tuple[Counts, Counts]:
    """At most about a thousand cells, the rarest of both sides together in one; those with as many rows alike."""
    together = reference + current
    if together.size <= _TESTED:
        return reference, current
    kept = together > np.partition(together, together.size - _TESTED)[together.size - _TESTED]
    return np.append(reference[kept], reference[~kept].sum()), np.append(current[kept], current[~kept].sum())


def missing_share(column: ColumnProfile) -> float:
    """Share of the rows without a usable value, 0..1 (0 without rows)."""
    return 1 - column.count / column.rows if column.rows else 0.0


def _count_values(binning: Binning, histogram: Histogram, column: ColumnProfile) -> Counts:
    """Counts of the named cells and, where there are no intervals, of what none of them holds."""
    single = np.zeros(len(binning.values), np.int64)
    rest = histogram.counts
    lower = histogram.lower_edges()
    if single.size:
        rest = rest.copy()
        order = np.argsort(np.array(binning.values))
        places = np.searchsorted(np.array(binning.values)[order], lower)
        found = np.flatnonzero(np.isin(lower, binning.values))
        np.add.at(single, order[places[found]], rest[found])
        rest[found] = 0
    if binning.edges is None:
        return np.concatenate((single, [rest.sum()])).astype(np.int64)
    if binning.scheme is Scheme.CUSTOM:
        below = _counts_below(binning.edges, histogram, column)
        return np.diff(np.concatenate(([0], below, [histogram.total]))).astype(np.int64)
    places = lower.searchsorted(np.array(binning.edges, np.float64))
    reached = np.concatenate(([0], rest.cumsum()))
    below = reached[places]
    intervals = np.concatenate((below, reached[-1:]))
    intervals[1:] -= below
    if binning.outside:
        intervals = np.append(intervals[1:-1], intervals[0] + intervals[-1])
    return np.concatenate((intervals, single))


def _counts_below(edges: tuple[float, ...], histogram: Histogram, column: ColumnProfile) -> Counts:
    """Exact where the plan had the edges counted beside the histogram, else at the histogram's precision."""
    if column.histogram is not None and all(edge in column.edge_counts for edge in edges):
        return np.array([column.edge_counts[edge] for edge in edges], np.int64)
    return histogram.counts_below(edges)


def _count_levels(binning: Binning, levels: LevelCounts) -> Counts:
    rows = rows_by_level(levels)
    named = [rows.get(level, 0) for level in binning.levels]
    other = []
    if OTHER in binning.labels[binning.named :]:
        other = [sum(rows.get(level, 0) for level in binning.known.difference(binning.levels))]
    unseen = levels.total - sum(named) - sum(other)
    return np.array([*named, unseen, *other], np.int64)


def _keeps_missing(reference: ColumnProfile, current: ColumnProfile, rule: BinningRule) -> bool:
    if rule.missing is Missing.IF_INCREASED:
        return missing_share(current) > missing_share(reference)
    return rule.missing is Missing.BIN


def _with_missing(binning: Binning, missing: bool) -> Binning:
    labels = tuple(label for place, label in enumerate(binning.labels) if place < binning.named or label != MISSING)
    return dataclasses.replace(binning, missing=missing, labels=(*labels, MISSING) if missing else labels)


def _with_missing_count(counts: Counts, column: ColumnProfile, missing: bool) -> Counts:
    return np.concatenate((counts, [column.rows - column.count])) if missing else counts
