"""Cells that both sides of a comparison are counted in, cut from the baseline alone.

The current rows never move an edge: cutting is a function of the baseline column (and of the precision both sides
share, which every result carries), so the same baseline gives the same cells for every batch, and the binning id says
which ones. Cutting reads the baseline's histogram or level counts; rows are never seen again.

Schemes of :class:`Scheme`; a column's scheme is decided on the baseline (:func:`scheme_for`). Missing values are a
cell of their own by default (:class:`Missing`), last in order. Infinite and unreadable values count as missing here;
the quality metrics count them apart.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from enum import StrEnum

import numpy as np

from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.metrics.distances import Counts
from airflow_monitoring_provider.metrics.precision import common_precision, precision_of
from airflow_monitoring_provider.profiles.histogram import Histogram
from airflow_monitoring_provider.profiles.levels import LevelCounts
from airflow_monitoring_provider.profiles.profile import ColumnProfile

UNSEEN = "__unseen__"
OTHER = "__other__"
MISSING = "__missing__"

Level = str | int
"""A level's text, or the hash prefix of levels without a name of their own."""


class Scheme(StrEnum):
    """How cells are cut.

    - ``quantile``: B cells of equal baseline mass with open ends (``numpy.quantile``, linear; an edge belongs to the
      cell above it). A value that holds at least 1/B of the baseline is a cell of its own, and the quantiles are cut
      from the rest: cutting them from everything would leave one cell for a column that is 95 % zero, and a PSI of 0
      when the zeros fall to 85 %.
    - ``discrete``: one cell per baseline value or level; levels the baseline does not have are ``__unseen__``, levels
      past the most frequent ``max_levels`` are ``__other__``.
    - ``custom``: between given edges, with open ends.
    """

    QUANTILE = "quantile"
    DISCRETE = "discrete"
    CUSTOM = "custom"


class Missing(StrEnum):
    """What becomes of missing values: a cell, left out, or a cell only where their share grew."""

    BIN = "bin"
    DROP = "drop"
    IF_INCREASED = "if_increased"


@dataclasses.dataclass(frozen=True, slots=True)
class BinningRule:
    """How a column is to be cut.

    :param scheme: None lets :func:`scheme_for` decide.
    :param bins: B of ``quantile``.
    :param edges: increasing inner edges of ``custom``.
    :param discrete_limit: a numeric column with at most so many distinct baseline values is ``discrete``.
    """

    scheme: Scheme | None = None
    bins: int = 10
    edges: tuple[float, ...] = ()
    missing: Missing = Missing.BIN
    max_levels: int = 1000
    discrete_limit: int = 10


@dataclasses.dataclass(frozen=True, slots=True)
class Binning:
    """Cells, in the order of their counts: intervals, single values or levels, unseen, other, missing.

    :param id: names the baseline column's content, the scheme and its parameters.
    :param labels: one text per cell.
    :param shift: histogram precision (or hash precision of levels) the cells were cut at.
    :param edges: inner edges of the intervals, increasing; None where there are no intervals.
    :param values: single values that are a cell each.
    :param levels: levels that are a cell each.
    :param known: every level of the baseline.
    :param named: label positions below this are intervals, values or levels (not unseen, other or missing).
    """

    id: str
    scheme: Scheme
    labels: tuple[str, ...]
    shift: int
    missing: bool
    edges: tuple[float, ...] | None = None
    values: tuple[float, ...] = ()
    levels: tuple[Level, ...] = ()
    known: frozenset[Level] = frozenset()
    named: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Cells:
    """Both sides counted in the same cells.

    :param reference, current: int64 of shape ``(B,)``.
    :param precision: ``{"shift", "largest_bucket"}`` of the histograms (share of the fullest bucket on either side),
        None for levels.
    """

    binning: Binning
    reference: Counts
    current: Counts
    precision: dict[str, float] | None

    @property
    def n(self) -> int:
        """Baseline rows in the cells."""
        return int(self.reference.sum())

    @property
    def m(self) -> int:
        """Current rows in the cells."""
        return int(self.current.sum())

    @property
    def used(self) -> int:
        """Cells that are not empty on both sides."""
        return int(np.count_nonzero(self.reference + self.current))


def values_of(column: ColumnProfile) -> Histogram | LevelCounts | None:
    """What a column's distribution is read from: a text's is that of its length; None for a timestamp.

    Event times always move on, so a distance between two windows' timestamps says nothing of the data.
    """
    if column.kind is ColumnKind.TIMESTAMP:
        return None
    if column.levels is not None:
        return column.levels
    return column.histogram if column.histogram is not None else column.length_histogram


def scheme_for(baseline: ColumnProfile, rule: BinningRule) -> Scheme:
    """The scheme of a column, decided on the baseline alone."""
    values = values_of(baseline)
    if isinstance(values, LevelCounts):
        return Scheme.DISCRETE
    if rule.scheme is not None:
        return rule.scheme
    few = values is not None and values.exact and values.codes.size <= rule.discrete_limit
    return Scheme.DISCRETE if few else Scheme.QUANTILE


def comparable(reference: ColumnProfile, current: ColumnProfile) -> bool:
    """Whether both columns keep their values in the same form, so that they can share cells."""
    ours, theirs = values_of(reference), values_of(current)
    if isinstance(ours, Histogram) and isinstance(theirs, Histogram):
        return ours.mirrored == theirs.mirrored
    return isinstance(ours, LevelCounts) and isinstance(theirs, LevelCounts) and ours.names == theirs.names


def compare_cells(reference: ColumnProfile, current: ColumnProfile, rule: BinningRule) -> Cells:
    """Cut the baseline column at the precision both sides share, and count both.

    :raises ValueError: the columns are not :func:`comparable`, or the baseline column has no values to cut from.
    """
    ours, theirs = values_of(reference), values_of(current)
    if isinstance(ours, LevelCounts) and isinstance(theirs, LevelCounts):
        left, right = ours.align(theirs)
        binning = cut(reference, rule, levels=left)
        missing = _keeps_missing(reference, current, rule)
        binning = binning if missing == binning.missing else _with_missing(binning, missing)
        return Cells(
            binning,
            _with_missing_count(_count_levels(binning, left), reference, missing),
            _with_missing_count(_count_levels(binning, right), current, missing),
            None,
        )
    if not (isinstance(ours, Histogram) and isinstance(theirs, Histogram)):
        raise ValueError("the two columns keep their values in different forms")
    a, b = common_precision(ours, theirs)
    binning = cut(reference, rule, shift=a.shift)
    missing = _keeps_missing(reference, current, rule)
    binning = binning if missing == binning.missing else _with_missing(binning, missing)
    return Cells(
        binning,
        _with_missing_count(_count_values(binning, a, reference), reference, missing),
        _with_missing_count(_count_values(binning, b, current), current, missing),
        precision_of(a, b),
    )


def cut(baseline: ColumnProfile, rule: BinningRule, *, shift: int = 0, levels: LevelCounts | None = None) -> Binning:
    """Cells of a baseline column at its own precision, or at a coarser one.

    :param shift: histogram precision to cut at; a smaller one than the baseline's changes nothing.
    :param levels: the baseline's levels in a coarser form (``LevelCounts.align``).
    :raises ValueError: the baseline column has no values to cut from.
    """
    values = values_of(baseline)
    scheme = scheme_for(baseline, rule)
    name = _binning_id(values, scheme, rule)
    missing = rule.missing is Missing.BIN
    if isinstance(values, LevelCounts):
        return _cut_levels(name, levels or values, rule, missing)
    if values is None or not values.total:
        raise ValueError("a column without values cannot be cut into cells")
    histogram = values.coarsen(shift)
    if scheme is Scheme.DISCRETE:
        found = tuple(histogram.lower_edges().tolist())
        return _numeric(name, scheme, histogram.shift, None, found, missing)
    if scheme is Scheme.CUSTOM:
        return _numeric(name, scheme, histogram.shift, tuple(rule.edges), (), missing)
    edges, heavy = _quantile_cells(histogram, rule.bins)
    return _numeric(name, scheme, histogram.shift, edges, heavy, missing)


def _quantile_cells(histogram: Histogram, bins: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Inner edges, and the values that are cells of their own."""
    lower = histogram.lower_edges()
    is_heavy = histogram.counts * bins >= histogram.total
    heavy = tuple(lower[is_heavy].tolist())
    light = dataclasses.replace(histogram, codes=histogram.codes[~is_heavy], counts=histogram.counts[~is_heavy])
    cells = bins - len(heavy)
    if cells < 2 or light.total < 2:
        return (), heavy
    steps = np.arange(1, cells) / cells
    below = np.concatenate(([0], np.cumsum(light.counts)))
    if light.exact:
        wanted = light.quantiles(steps)
        reached = light.counts_below(wanted)
    else:
        # The boundary between two buckets that comes closest to the share wanted.
        places = np.abs(below[None, :] - (steps * light.total)[:, None]).argmin(axis=1)
        places = np.clip(places, 0, light.codes.size - 1)
        wanted, reached = light.lower_edges()[places], below[places]
    # An edge that leaves no baseline row between itself and the one before cuts nothing.
    kept = (reached > 0) & (reached < light.total) & (np.diff(reached, prepend=0) > 0)
    return tuple(wanted[kept].tolist()), heavy


def _numeric(
    name: str, scheme: Scheme, shift: int, edges: tuple[float, ...] | None, values: tuple[float, ...], missing: bool
) -> Binning:
    labels = [*_interval_labels(edges), *(f"{v:.6g}" for v in values)]
    named = len(labels)
    labels += [UNSEEN] if edges is None else []
    labels += [MISSING] if missing else []
    return Binning(name, scheme, tuple(labels), shift, missing, edges=edges, values=values, named=named)


def _interval_labels(edges: tuple[float, ...] | None) -> list[str]:
    if edges is None:
        return []
    if not edges:
        return ["all"]
    texts = [f"{edge:.6g}" for edge in edges]
    inner = [f"[{a}, {b})" for a, b in itertools.pairwise(texts)]
    return [f"< {texts[0]}", *inner, f">= {texts[-1]}"]


def _cut_levels(name: str, levels: LevelCounts, rule: BinningRule, missing: bool) -> Binning:
    rows = _levels(levels)
    ranked = sorted(rows, key=lambda level: (-rows[level], isinstance(level, int), str(level)))
    kept = sorted(ranked[: rule.max_levels], key=lambda level: (isinstance(level, int), str(level)))
    labels = [_level_label(level) for level in kept] + [UNSEEN]
    labels += [OTHER] if len(rows) > len(kept) else []
    labels += [MISSING] if missing else []
    return Binning(
        name,
        Scheme.DISCRETE,
        tuple(labels),
        levels.shift,
        missing,
        levels=tuple(kept),
        known=frozenset(rows),
        named=len(kept),
    )


def _count_values(binning: Binning, histogram: Histogram, column: ColumnProfile) -> Counts:
    """Counts of the named cells and, where there are no intervals, of what none of them holds."""
    single = np.zeros(len(binning.values), np.int64)
    rest = histogram.counts.copy()
    lower = histogram.lower_edges()
    if single.size:
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
    intervals = np.zeros(len(binning.edges) + 1, np.int64)
    np.add.at(intervals, np.searchsorted(np.array(binning.edges, np.float64), lower, side="right"), rest)
    return np.concatenate((intervals, single))


def _counts_below(edges: tuple[float, ...], histogram: Histogram, column: ColumnProfile) -> Counts:
    """Exact where the plan had the edges counted beside the histogram, else at the histogram's precision."""
    if column.histogram is not None and all(edge in column.edge_counts for edge in edges):
        return np.array([column.edge_counts[edge] for edge in edges], np.int64)
    return histogram.counts_below(edges)


def _count_levels(binning: Binning, levels: LevelCounts) -> Counts:
    rows = _levels(levels)
    named = [rows.pop(level, 0) for level in binning.levels]
    known = sum(count for level, count in rows.items() if level in binning.known)
    unseen = sum(rows.values()) - known
    other = [known] if OTHER in binning.labels[binning.named :] else []
    return np.array([*named, unseen, *other], np.int64)


def _levels(levels: LevelCounts) -> dict[Level, int]:
    return dict(itertools.chain[tuple[Level, int]](levels.counts.items(), levels.hashed.items()))


def _level_label(level: Level) -> str:
    return level if isinstance(level, str) else f"#{level:x}"


def _keeps_missing(reference: ColumnProfile, current: ColumnProfile, rule: BinningRule) -> bool:
    if rule.missing is Missing.IF_INCREASED:
        return missing_share(current) > missing_share(reference)
    return rule.missing is Missing.BIN


def missing_share(column: ColumnProfile) -> float:
    """Share of the rows without a usable value, 0..1 (0 without rows)."""
    return 1 - column.count / column.rows if column.rows else 0.0


def _with_missing(binning: Binning, missing: bool) -> Binning:
    labels = tuple(label for place, label in enumerate(binning.labels) if place < binning.named or label != MISSING)
    return dataclasses.replace(binning, missing=missing, labels=(*labels, MISSING) if missing else labels)


def _with_missing_count(counts: Counts, column: ColumnProfile, missing: bool) -> Counts:
    return np.append(counts, column.rows - column.count).astype(np.int64) if missing else counts


def _binning_id(values: Histogram | LevelCounts | None, scheme: Scheme, rule: BinningRule) -> str:
    """``scheme-`` and 16 hex digits of SHA-256 over the baseline's values, the scheme and its parameters."""
    digest = hashlib.sha256()
    if isinstance(values, Histogram):
        digest.update(f"histogram {values.shift} {values.mirrored} {values.codes.size}\n".encode())
        digest.update(values.codes.astype("<i8").tobytes() + values.counts.astype("<i8").tobytes())
        parameters = f"{rule.bins} {rule.edges}" if scheme is not Scheme.DISCRETE else ""
    else:
        digest.update(f"levels {values.shift if values else None}\n".encode())
        for level, rows in sorted(_levels(values).items(), key=str) if values else ():
            text = _level_label(level).encode(errors="surrogatepass")
            digest.update(f"{isinstance(level, int)} {len(text)} {rows} ".encode() + text)
        parameters = f"{rule.max_levels}"
    digest.update(f"\n{scheme} {parameters} {rule.missing}".encode())
    return f"{scheme}-{digest.hexdigest()[:16]}"
