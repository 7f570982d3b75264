"""The profile of one column, and the builder that collects it batch by batch.

Every row of a column is exactly one of: missing (null or NaN), invalid (a value that cannot be of the column's kind),
positive infinite, negative infinite, or a value. All statistics speak of the values.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.kernels.gathering import Gathered, Rows
from airflow_monitoring_provider.profiles import scratch
from airflow_monitoring_provider.profiles.arrays import from_texts
from airflow_monitoring_provider.profiles.histogram import DEFAULT_BUCKETS, Histogram, HistogramBuilder
from airflow_monitoring_provider.profiles.levels import DEFAULT_CAP, LevelCounts, LevelsBuilder
from airflow_monitoring_provider.profiles.moments import Moments, MomentsBuilder
from airflow_monitoring_provider.profiles.plan import ColumnPlan, ColumnRole
from airflow_monitoring_provider.profiles.wholes import WholeCounts

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Number = int | float

_LEVELLED = (ColumnKind.CATEGORICAL, ColumnKind.BOOLEAN)
_MEASURED = (ColumnKind.CATEGORICAL, ColumnKind.TEXT)


@dataclasses.dataclass(frozen=True)
class ColumnProfile:
    """What is remembered of one column.

    :param rows: all rows, :attr:`count` + ``missing`` + ``invalid`` + the infinite ones.
    :param zero, negative: values equal to and below zero (numeric).
    :param minimum, maximum: of the values (numeric); a Python int, exact, for integers beyond 2**53, else a float.
    :param moments, histogram: of the values (numeric).
    :param edge_counts: the plan's edge -> values strictly below it (numeric).
    :param levels: rows per level (categorical, boolean).
    :param lengths, length_histogram: characters per text (text; categorical columns of texts).
    :param earliest, latest: microseconds since 1970 UTC (timestamp); their ``histogram`` is of seconds since 1970.
    """

    name: str
    kind: ColumnKind
    role: ColumnRole = ColumnRole.FEATURE
    rows: int = 0
    missing: int = 0
    invalid: int = 0
    positive_inf: int = 0
    negative_inf: int = 0
    zero: int = 0
    negative: int = 0
    minimum: Number | None = None
    maximum: Number | None = None
    moments: Moments | None = None
    histogram: Histogram | None = None
    edge_counts: dict[float, int] = dataclasses.field(default_factory=dict)
    levels: LevelCounts | None = None
    lengths: Moments | None = None
    length_histogram: Histogram | None = None
    earliest: int | None = None
    latest: int | None = None

    @classmethod
    def of(
        cls,
        values: Iterable[Any],
        name: str = "x",
        kind: ColumnKind = ColumnKind.NUMERIC,
        role: ColumnRole = ColumnRole.FEATURE,
        *,
        mirrored: bool = False,
        edges: Sequence[float] = (),
        named_levels: Sequence[str] = (),
        buckets: int = DEFAULT_BUCKETS,
        cap: int = DEFAULT_CAP,
        level_names: str = "keep",
    ) -> ColumnProfile:
        """Profile plain Python values: numbers; canonical texts of levels; texts; int microseconds. None is missing."""
        plan = ColumnPlan(name, kind, role, mirrored, tuple(edges), tuple(named_levels))
        builder = ColumnBuilder(plan, buckets=buckets, level_cap=cap, level_names=level_names)
        if kind is ColumnKind.NUMERIC:
            numbers = np.asarray(values if isinstance(values, np.ndarray) else list(values))
            doubles = np.asarray(numbers, np.float64)  # None becomes NaN
            builder.add_numbers(doubles, numbers if numbers.dtype.kind in "iu" and numbers.size else None)
            return builder.finish()
        everything = list(values)
        present = [value for value in everything if value is not None]
        builder.add_missing(len(everything) - len(present))
        if kind is ColumnKind.TIMESTAMP:
            builder.add_instants(np.asarray(present, np.int64))
            return builder.finish()
        if kind in _LEVELLED:
            builder.add_levels(from_texts(present), np.ones(len(present), np.int64))
        if kind in _MEASURED:
            builder.add_lengths(np.array([len(text) for text in present], np.int64), counted=kind is ColumnKind.TEXT)
        return builder.finish()

    @property
    def count(self) -> int:
        """Rows that hold a value."""
        return self.rows - self.missing - self.invalid - self.positive_inf - self.negative_inf

    @property
    def distinct(self) -> int | None:
        """Distinct values; None where the kind keeps none. See :attr:`distinct_exact`."""
        if self.levels is not None:
            return self.levels.distinct
        return int(self.histogram.codes.size) if self.histogram is not None else None

    @property
    def distinct_exact(self) -> bool:
        """:attr:`distinct` is a count; otherwise an estimate (levels) or a lower bound (histogram)."""
        if self.levels is not None:
            return self.levels.distinct_exact
        return self.histogram is not None and self.histogram.exact

    def merge(self, *others: ColumnProfile) -> ColumnProfile:
        """The profile of all sets of rows.

        :raises ValueError: they are not the same column.
        """
        for other in others:
            if (self.name, self.kind, self.role) != (other.name, other.kind, other.role):
                raise ValueError(
                    f"columns {self.name!r} ({self.kind}) and {other.name!r} ({other.kind}) cannot be merged"
                )
        parts = (self, *others)
        counted = ("rows", "missing", "invalid", "positive_inf", "negative_inf", "zero", "negative")
        edges = set(self.edge_counts).intersection(*(other.edge_counts for other in others))
        return ColumnProfile(
            self.name,
            self.kind,
            self.role,
            **{field: sum(getattr(part, field) for part in parts) for field in counted},
            minimum=functools.reduce(_least, (part.minimum for part in parts)),
            maximum=functools.reduce(_greatest, (part.maximum for part in parts)),
            moments=_merged([part.moments for part in parts]),
            histogram=_merged([part.histogram for part in parts]),
            edge_counts={edge: sum(part.edge_counts[edge] for part in parts) for edge in sorted(edges)},
            levels=_merged([part.levels for part in parts]),
            lengths=_merged([part.lengths for part in parts]),
            length_histogram=_merged([part.length_histogram for part in parts]),
            earliest=functools.reduce(_least, (part.earliest for part in parts)),
            latest=functools.reduce(_greatest, (part.latest for part in parts)),
        )


class ColumnBuilder:
    """Collects one column; each row is added by exactly one call that counts rows."""

    def __init__(
        self,
        plan: ColumnPlan,
        *,
        buckets: int = DEFAULT_BUCKETS,
        level_cap: int = DEFAULT_CAP,
        level_names: str = "keep",
    ) -> None:
        self._plan = plan
        self._rows = self._missing = self._invalid = self._positive_inf = self._negative_inf = 0
        self._zero = 0
        self._low: Number | None = None
        self._high: Number | None = None
        self._moments = MomentsBuilder()
        self._histogram = HistogramBuilder(buckets, mirrored=plan.mirrored and plan.kind is ColumnKind.NUMERIC)
        self._wholes = WholeCounts()
        self._edges = dict.fromkeys(sorted(plan.edges), 0)
        self._levels = LevelsBuilder(level_cap, named=plan.named_levels, names=level_names)
        self._lengths = Moments()
        self._length_histogram = HistogramBuilder(buckets)

    def add_missing(self, rows: int) -> None:
        """Count rows that are null."""
        self._rows += rows
        self._missing += rows

    def add_invalid(self, rows: int) -> None:
        """Count rows whose value cannot be of the column's kind."""
        self._rows += rows
        self._invalid += rows

    def add_numbers(self, values: FloatArray, integers: npt.NDArray[Any] | None = None) -> None:
        """Count rows of a numeric column; NaN is missing, a value outside [0, 1] of a mirrored column invalid.

        :param integers: the same values before they became doubles, where the source had whole numbers.
        """
        self._rows += values.size
        for start in range(0, values.size, scratch.BLOCK):
            block = slice(start, start + scratch.BLOCK)
            self._add_block(values[block], None if integers is None else integers[block])

    def add_rows(self, rows: Rows) -> int:
        """The same for numbers as they lie in memory, in one reading by a compiled kernel, which there has to be.

        :returns: how many rows were counted; those that are null were not.
        """
        first = seen = 0
        if rows.dtype.kind in "iu" and not self._plan.mirrored:
            first, seen = self._wholes.count(rows)
        for start in range(first, rows.size, scratch.BLOCK):
            stop = min(start + scratch.BLOCK, rows.size)
            pivot, table = self._moments.pivot, self._histogram.table()
            found = rows.gather(
                start, stop, scratch.gathering(), pivot=pivot, mirrored=self._plan.mirrored, table=table
            )
            seen += found.seen
            self._add_gathered(found)
        self._rows += seen
        return seen

    def _add_wholes(self) -> None:
        """What was counted of whole numbers becomes part of the rest; their rows were counted."""
        wholes, counts = self._wholes.drain()
        if not wholes:
            return
        values = np.array(list(map(float, wholes)))
        for edge in self._edges:
            self._edges[edge] += int(counts[values < edge].sum())
        self._zero += int(counts[values == 0].sum())
        self._moments.merge(Moments.of_counts(values, counts))
        self._histogram.update_counts(values, counts)
        self._widen(float(values[0]), float(values[-1]), (wholes[0], wholes[-1]))

    def _add_gathered(self, found: Gathered) -> None:
        self._missing += found.nan
        self._positive_inf += found.positive_inf
        self._negative_inf += found.negative_inf
        self._invalid += found.invalid
        self._zero += found.zero
        values = found.values
        if not values.size:
            return
        self._count_edges(values)
        self._moments.update(values, found.powers)
        self._histogram.update_rest(found.rest, values.size)
        low, high = found.bounds or _bounds(values)
        self._widen(low, high, None if found.invalid else found.wholes)

    def _add_block(self, values: FloatArray, integers: npt.NDArray[Any] | None) -> None:
        low, high = float(values.min()), float(values.max())  # NaN if any value is
        if not (math.isfinite(low) and math.isfinite(high)):
            values = self._without_special(values)
            low, high = _bounds(values)
        if self._plan.mirrored and not (low >= 0.0 and high <= 1.0):
            inside = (values >= 0.0) & (values <= 1.0)
            self._invalid += int(values.size - np.count_nonzero(inside))
            values, integers = values[inside], None
            low, high = _bounds(values)
        if not values.size:
            return
        if low <= 0 and self._plan.mirrored:
            self._zero += int(np.count_nonzero(values == 0))
        self._count_edges(values)
        self._moments.update(values)
        self._histogram.update_block(values, low, high)
        self._widen(low, high, None if integers is None else (int(integers.min()), int(integers.max())))

    def _count_edges(self, values: FloatArray) -> None:
        for edge in self._edges:
            self._edges[edge] += int(np.count_nonzero(values < edge))

    def _widen(self, low: float, high: float, wholes: tuple[int, int] | None) -> None:
        """Take in the bounds of a block; the integers themselves where a double cannot hold every integer."""
        least, greatest = (low, high) if wholes is None else (_exact(wholes[0], low), _exact(wholes[1], high))
        self._low, self._high = _least(self._low, least + 0), _greatest(self._high, greatest + 0)

    def add_levels(self, levels: pa.Array, rows: IntArray) -> None:
        """Count ``rows[i]`` rows of canonical text ``levels[i]`` (a string array without nulls)."""
        self._rows += int(rows.sum())
        self._levels.update(levels, rows)

    def add_lengths(self, lengths: IntArray, rows: IntArray | None = None, *, counted: bool) -> None:
        """Measure texts of the given lengths in characters, ``rows[i]`` times each (once without).

        :param counted: these rows have not been counted by :meth:`add_levels`.
        """
        if not lengths.size:
            return
        distinct, inverse = np.unique(lengths, return_inverse=True)
        times = np.bincount(inverse, rows).astype(np.int64)
        if counted:
            self._rows += int(times.sum())
        sizes, times = distinct[times > 0].astype(np.float64), times[times > 0]
        self._lengths = self._lengths.merge(Moments.of_counts(sizes, times))
        self._length_histogram.update_counts(sizes, times)

    def add_instants(self, microseconds: IntArray) -> None:
        """Count rows of a timestamp column, as microseconds since 1970 UTC."""
        self._rows += microseconds.size
        if microseconds.size:
            self._low = _least(self._low, int(microseconds.min()))
            self._high = _greatest(self._high, int(microseconds.max()))
            self._histogram.update(microseconds / 1e6)

    def finish(self) -> ColumnProfile:
        """The profile of everything so far."""
        self._add_wholes()
        kind = self._plan.kind
        numeric, timed = kind is ColumnKind.NUMERIC, kind is ColumnKind.TIMESTAMP
        levelled, measured = kind in _LEVELLED, kind in _MEASURED
        histogram = self._histogram.finish() if numeric or timed else None
        return ColumnProfile(
            name=self._plan.name,
            kind=kind,
            role=self._plan.role,
            rows=self._rows,
            missing=self._missing,
            invalid=self._invalid,
            positive_inf=self._positive_inf,
            negative_inf=self._negative_inf,
            zero=self._zero + self._histogram.zeros if numeric else 0,
            negative=_negative(histogram) if numeric and histogram is not None else 0,
            minimum=self._low if numeric else None,
            maximum=self._high if numeric else None,
            moments=self._moments.finish() if numeric else None,
            histogram=histogram,
            edge_counts=dict(self._edges) if numeric else {},
            levels=self._levels.finish() if levelled else None,
            lengths=self._lengths if measured else None,
            length_histogram=self._length_histogram.finish() if measured else None,
            earliest=int(self._low) if timed and self._low is not None else None,
            latest=int(self._high) if timed and self._high is not None else None,
        )

    def _without_special(self, values: FloatArray) -> FloatArray:
        finite = np.isfinite(values)
        special = values[~finite]
        nan = int(np.count_nonzero(np.isnan(special)))
        positive = int(np.count_nonzero(special > 0))
        self._missing += nan
        self._positive_inf += positive
        self._negative_inf += special.size - nan - positive
        return values[finite]


def _negative(histogram: Histogram) -> int:
    """Values below zero: no bucket holds some of them and others."""
    return 0 if histogram.mirrored else int(histogram.counts[histogram.codes < 0].sum())


def _bounds(values: FloatArray) -> tuple[float, float]:
    return (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)


def _exact(whole: int, rounded: float) -> Number:
    return whole if abs(whole) > 1 << 53 else rounded


def _least(a: Any, b: Any) -> Any:
    """The smaller; of an equal int and float the int, so that the order of merging does not show."""
    if a is None or b is None:
        return b if a is None else a
    if a == b:
        return b if isinstance(b, int) else a
    return min(a, b)


def _greatest(a: Any, b: Any) -> Any:
    if a is None or b is None:
        return b if a is None else a
    if a == b:
        return b if isinstance(b, int) else a
    return max(a, b)


def _merged(parts: list[Any]) -> Any:
    return None if any(part is None for part in parts) else parts[0].merge(*parts[1:])
