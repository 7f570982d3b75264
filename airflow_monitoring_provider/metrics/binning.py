"""Cells that both sides of a comparison are counted in (:mod:`.cells` counts), cut from the baseline alone.

The current rows never move an edge: cutting is a function of the baseline column (and of the precision both sides
share, which every result carries), so the same baseline gives the same cells for every batch, and the binning id says
which ones. Cutting reads the baseline's histogram or level counts; rows are never seen again.

Schemes are those of ``definitions.drift.Scheme``; a column's is decided on the baseline (:func:`scheme_for`). Missing
values are a cell of their own by default, last in order. Infinite and unreadable values count as missing here; the
quality metrics count them apart. Only the schemes of a tool that cuts both sides together are given the current rows.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Iterable
from typing import cast

import numpy as np
import numpy.typing as npt

from airflow_monitoring_provider.definitions.drift import Missing, Scheme
from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.metrics.schemes import Summary, edges_of, one_cell_per_value
from airflow_monitoring_provider.profiles.histogram import Histogram
from airflow_monitoring_provider.profiles.levels import LevelCounts
from airflow_monitoring_provider.profiles.profile import ColumnProfile

UNSEEN = "__unseen__"
OTHER = "__other__"
MISSING = "__missing__"
OUTSIDE = "__outside__"

Level = str | int
"""A level's text, or the hash prefix of levels without a name of their own."""


@dataclasses.dataclass(frozen=True, slots=True)
class BinningRule:
    """How a column is to be cut.

    :param scheme: None lets :func:`scheme_for` decide.
    :param bins: B of ``quantile`` and ``uniform``.
    :param edges: increasing inner edges of ``custom``.
    :param discrete_limit: without a scheme, a numeric column with at most so many distinct baseline values is
        ``discrete``.
    :param combined: levels that only the current rows have are a cell each, instead of ``__unseen__`` together.
    """

    scheme: Scheme | None = None
    bins: int = 10
    edges: tuple[float, ...] = ()
    missing: Missing = Missing.BIN
    max_levels: int = 1000
    discrete_limit: int = 10
    combined: bool = False


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
    :param outside: what lies below the first and above the last edge is one cell, the last of the intervals.
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
    outside: bool = False


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
        few = values is not None and one_cell_per_value(rule.scheme, values)
        return Scheme.DISCRETE if few else rule.scheme
    few = values is not None and values.exact and values.codes.size <= rule.discrete_limit
    return Scheme.DISCRETE if few else Scheme.QUANTILE


def cut(
    baseline: ColumnProfile,
    rule: BinningRule,
    *,
    shift: int = 0,
    levels: LevelCounts | None = None,
    current: ColumnProfile | None = None,
) -> Binning:
    """Cells of a baseline column at its own precision, or at a coarser one.

    :param shift: histogram precision to cut at; a smaller one than the baseline's changes nothing.
    :param levels: the baseline's levels in a coarser form (``LevelCounts.align``).
    :param current: the other side, for the schemes that cut both together.
    :raises ValueError: the baseline column has no values to cut from.
    """
    values = values_of(baseline)
    scheme = scheme_for(baseline, rule)
    missing = rule.missing is Missing.BIN
    if isinstance(values, LevelCounts):
        name = _binning_id(values, scheme, rule)
        theirs = values_of(current) if rule.combined and current is not None else None
        also = rows_by_level(theirs) if isinstance(theirs, LevelCounts) else ()
        return _cut_levels(name, levels or values, rule, missing, also)
    if values is None or not values.total:
        raise ValueError("a column without values cannot be cut into cells")
    joint = baseline
    if current is not None and scheme is Scheme.STURGES_COMBINED:
        joint = dataclasses.replace(current, name=baseline.name, role=baseline.role).merge(baseline)
    histogram = values_of(joint)
    assert isinstance(histogram, Histogram)  # noqa: S101  the same kind of column as the baseline
    name = _binning_id(histogram, scheme, rule)
    histogram = histogram.coarsen(shift)
    if scheme is Scheme.DISCRETE:
        found = values.coarsen(shift).lower_edges()
        theirs = values_of(current) if rule.combined and current is not None else None
        if isinstance(theirs, Histogram):
            found = np.union1d(found, theirs.coarsen(shift).lower_edges())
        return _numeric(name, scheme, values.coarsen(shift).shift, None, tuple(found.tolist()), missing)
    if scheme is Scheme.CUSTOM:
        return _numeric(name, scheme, histogram.shift, tuple(rule.edges), (), missing)
    if scheme is Scheme.QUANTILE:
        edges, heavy = _quantile_cells(histogram, rule.bins)
        return _numeric(name, scheme, histogram.shift, edges, heavy, missing)
    return _spread_cells(name, scheme, joint, histogram, rule, missing)


def rows_by_level(levels: LevelCounts) -> dict[Level, int]:
    """Rows of every level, with a name or without."""
    return cast("dict[Level, int]", levels.counts) | cast("dict[Level, int]", levels.hashed)


def _spread_cells(
    name: str, scheme: Scheme, column: ColumnProfile, histogram: Histogram, rule: BinningRule, missing: bool
) -> Binning:
    """Cells by range or spread, their edges moved to bounds of buckets."""
    edges = edges_of(scheme, Summary.of(column, histogram), rule.bins)
    # The last edge lies just above the greatest value: its bucket belongs below it.
    snapped = np.unique(np.append(histogram.snap(edges[:-1]), edges[-1]))
    if scheme is Scheme.MEDIAN:
        below = histogram.counts_below(snapped)
        outermost = [i for i, empty in ((0, below[0] == 0), (-1, below[-1] == histogram.total)) if empty]
        snapped = np.delete(snapped, outermost) if snapped.size > len(outermost) else snapped[:0]
    binning = _numeric(name, scheme, histogram.shift, tuple(snapped.tolist()), (), missing)
    if scheme is not Scheme.DOANE:
        return binning
    labels = (*binning.labels[1 : binning.named - 1], OUTSIDE, *binning.labels[binning.named :])
    return dataclasses.replace(binning, labels=labels, outside=True, named=binning.named - 1)


def _quantile_cells(histogram: Histogram, bins: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Inner edges, and the values that are cells of their own."""
    lower = histogram.lower_edges()
    is_heavy = histogram.counts * bins >= histogram.total
    heavy = tuple(lower[is_heavy].tolist())
    light = histogram
    if heavy:
        lower = lower[~is_heavy]
        light = dataclasses.replace(histogram, codes=histogram.codes[~is_heavy], counts=histogram.counts[~is_heavy])
    cells = bins - len(heavy)
    if cells < 2 or light.total < 2:
        return (), heavy
    steps = np.arange(1, cells) / cells
    if light.exact:
        wanted = light.quantiles(steps)
        reached = light.counts_below(wanted)
    else:
        # The boundary between two buckets that comes closest to the share wanted.
        below = np.concatenate(([0], light.counts.cumsum()))
        places = np.minimum(_nearest(below, steps * light.total), light.codes.size - 1)
        wanted, reached = lower[places], below[places]
    # An edge that leaves no baseline row between itself and the one before cuts nothing.
    kept = (reached < light.total) & (reached > np.concatenate(([0], reached[:-1])))
    return tuple(wanted[kept].tolist()), heavy


def _nearest(increasing: npt.NDArray[np.int64], wanted: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Places of the values that lie closest, of two as close the first."""
    above = np.minimum(increasing.searchsorted(wanted), increasing.size - 1)
    under = np.maximum(above - 1, 0)
    return np.where(wanted - increasing[under] <= np.abs(increasing[above] - wanted), under, above)


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


def _cut_levels(name: str, levels: LevelCounts, rule: BinningRule, missing: bool, also: Iterable[Level]) -> Binning:
    rows = {**dict.fromkeys(also, 0), **rows_by_level(levels)}
    frequent: Iterable[Level] = rows
    if len(rows) > rule.max_levels:
        ranked = sorted(rows, key=lambda level: (-rows[level], isinstance(level, int), str(level)))
        frequent = ranked[: rule.max_levels]
    texts = sorted(level for level in frequent if isinstance(level, str))
    prefixes = sorted((level for level in frequent if isinstance(level, int)), key=str)
    kept: list[Level] = [*texts, *prefixes]
    labels = [*texts, *map(_prefix_label, prefixes), UNSEEN]
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


def _prefix_label(prefix: int) -> str:
    return f"#{prefix:x}"


def _told(level: Level, rows: int) -> str:
    """A level and its rows as :func:`_binning_id` reads them: whether it is a prefix, its bytes, rows and text."""
    prefix, text = (False, level) if isinstance(level, str) else (True, _prefix_label(level))
    size = len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
    return f"{prefix} {size} {rows} {text}"


def _binning_id(values: Histogram | LevelCounts | None, scheme: Scheme, rule: BinningRule) -> str:
    """``scheme-`` and 16 hex digits of SHA-256 over the baseline's values, the scheme and its parameters."""
    digest = hashlib.sha256()
    if isinstance(values, Histogram):
        digest.update(f"histogram {values.shift} {values.mirrored} {values.codes.size}\n".encode())
        digest.update(values.codes.astype("<i8", copy=False).data)
        digest.update(values.counts.astype("<i8", copy=False).data)
        parameters = f"{rule.bins} {rule.edges}" if scheme is not Scheme.DISCRETE else ""
        parameters += " combined" if rule.combined else ""
    else:
        digest.update(f"levels {values.shift if values else None}\n".encode())
        rows = rows_by_level(values) if values else {}
        told = [_told(level, rows[level]) for level in sorted(rows, key=repr)]
        digest.update("".join(told).encode(errors="surrogatepass"))
        parameters = f"{rule.max_levels}" + (" combined" if rule.combined else "")
    digest.update(f"\n{scheme} {parameters} {rule.missing}".encode())
    return f"{scheme}-{digest.hexdigest()[:16]}"
