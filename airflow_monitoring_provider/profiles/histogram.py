"""The self-coarsening histogram: exact while few values are distinct, bounded after, a function of the values alone.

A double is mapped to an int64 that keeps the order of the numbers, its low ``shift`` bits are dropped, and equal codes
are counted. While at most ``buckets`` codes are occupied the shift is 0 and the histogram *is* the multiset of values;
when more are, one more bit goes until they fit. No baseline, no parameters, no randomness: any split, order, chunk size
or merge tree of the same values gives the same bytes. Relatives: HdrHistogram, DDSketch's uniform collapse,
OpenTelemetry's exponential histogram.

Relative precision is spent near zero; the ``mirrored`` form, for probabilities, spends it at both ends of [0, 1]
(:mod:`.order_codes`).
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from airflow_monitoring_provider.kernels.gathering import Rows, Table, can_gather
from airflow_monitoring_provider.profiles import buckets as kernel
from airflow_monitoring_provider.profiles import scratch
from airflow_monitoring_provider.profiles.order_codes import MAGNITUDE, code_of, decode, encode

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Outside = npt.NDArray[np.bool_] | None

DEFAULT_BUCKETS = 2048

_FEW = 8
_NO_SHARE = "quantiles must lie between 0 and 1"


@dataclasses.dataclass(frozen=True, eq=False)
class Histogram:
    """Counts of finite doubles in buckets that are intervals of the real line, in increasing order.

    :param shift: bits of precision dropped, 0..63; 0 means that every value is kept exactly.
    :param codes: int64, strictly increasing; bucket ``codes[i]`` holds the doubles whose order code, shifted, is it.
    :param counts: int64, > 0, of the same length.
    :param buckets: most buckets that may be occupied (>= 2).
    :param mirrored: the values lie in [0, 1] and have their precision at both ends.
    """

    shift: int
    codes: IntArray
    counts: IntArray
    buckets: int = DEFAULT_BUCKETS
    mirrored: bool = False

    def __post_init__(self) -> None:
        if self.buckets < 2:
            raise ValueError(f"a histogram needs at least 2 buckets, not {self.buckets}")
        for name in ("codes", "counts"):
            array = np.ascontiguousarray(getattr(self, name), np.int64)
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @classmethod
    def of(cls, values: npt.ArrayLike, buckets: int = DEFAULT_BUCKETS, *, mirrored: bool = False) -> Histogram:
        """The histogram of finite values.

        :raises ValueError: a value is NaN or infinite, or outside [0, 1] where ``mirrored``.
        """
        builder = HistogramBuilder(buckets, mirrored=mirrored)
        array = np.asarray(values, np.float64).ravel()
        if not np.isfinite(array).all():
            raise ValueError("a histogram takes finite values only")
        builder.update(array)
        return builder.finish()

    @property
    def exact(self) -> bool:
        """Every value is kept as it was."""
        return self.shift == 0

    @functools.cached_property
    def total(self) -> int:
        """How many values are counted."""
        return int(self.counts.sum())

    @property
    def largest_share(self) -> float:
        """Share of the values in the fullest bucket, 0..1 (0 when empty): bounds the error of binned KS."""
        return float(self.counts.max()) / self.total if self.total else 0.0

    def lower_edges(self) -> FloatArray:
        """The smallest double of each bucket; equal to :meth:`upper_edges` when exact."""
        return decode(self.codes << self.shift, self.mirrored, up=True)

    def upper_edges(self) -> FloatArray:
        """The largest double of each bucket (inclusive)."""
        return self._upper_edges(self.codes)

    def representatives(self) -> FloatArray:
        """The middle of each bucket: the value itself when exact, else within half a bucket of each value in it."""
        return self.middles(self.codes)

    def middles(self, codes: IntArray) -> FloatArray:
        """The middle of any buckets of this precision, by their codes; see :meth:`representatives`."""
        lower = decode(codes << self.shift, self.mirrored, up=True)
        if self.exact:
            return lower
        upper = self._upper_edges(codes)
        middle: FloatArray = lower * 0.5 + upper * 0.5  # halves first: the sum of two huge bounds would overflow
        return np.minimum(np.maximum(middle, lower), upper)

    def merge(self, *others: Histogram) -> Histogram:
        """The histogram of all sets of values.

        :raises ValueError: one is mirrored and another is not.
        """
        if any(other.mirrored != self.mirrored for other in others):
            raise ValueError("a mirrored and a plain histogram cannot be merged")
        merged = self
        # The first few tell how coarse the whole is at least; codes that coarse lie close together and count fast.
        for some in (others[:_FEW], others[_FEW:]):
            merged = merged._join(some) if some else merged
        return merged

    def coarsen(self, shift: int) -> Histogram:
        """The same values at a larger shift (a smaller one leaves it as it is)."""
        if shift <= self.shift:
            return self
        codes, counts = kernel.drop_bits(self.codes, self.counts, shift - self.shift)
        return Histogram(shift, codes, counts, self.buckets, self.mirrored)

    def counts_below(self, edges: npt.ArrayLike) -> IntArray:
        """How many values lie strictly below each edge; exact when the histogram is.

        An edge inside a bucket moves down to the bucket's lower bound (see :meth:`snap`), so two histograms of one
        shift are always cut at the same places.
        """
        points = np.atleast_1d(np.asarray(edges, np.float64))
        index = np.searchsorted(self.codes, self._codes_of(points), side="left")
        cumulated = np.concatenate(([0], np.cumsum(self.counts)))
        below = cumulated[np.where(np.isneginf(points), 0, np.where(np.isposinf(points), self.codes.size, index))]
        return below.astype(np.int64)

    def snap(self, edges: npt.ArrayLike) -> FloatArray:
        """The edges :meth:`counts_below` really cuts at: lower bounds of their buckets at this shift."""
        points = np.atleast_1d(np.asarray(edges, np.float64))
        if self.exact:
            return points + 0.0
        inside = np.isfinite(points) & ((points >= 0) & (points <= 1) if self.mirrored else True)
        moved = decode(self._codes_of(points) << self.shift, self.mirrored, up=True)
        return np.where(inside, moved, points)

    def cdf(self, points: npt.ArrayLike) -> FloatArray:
        """Share of values <= each point (NaN when empty); the bucket around a point counts as a whole."""
        at = np.atleast_1d(np.asarray(points, np.float64))
        if not self.total:
            return np.full(at.shape, np.nan)
        index = np.searchsorted(self.codes, self._codes_of(at), side="right")
        cumulated = np.concatenate(([0], np.cumsum(self.counts)))
        reached = np.where(np.isneginf(at), 0, np.where(np.isposinf(at), self.codes.size, index))
        return cumulated[reached] / self.total

    def quantile(self, q: float) -> float:
        """One quantile; see :meth:`quantiles`."""
        if not 0 <= q <= 1:
            raise ValueError(_NO_SHARE)
        if not self.total:
            return math.nan
        position = q * (self.total - 1)
        below = math.floor(position)
        part = position - below
        a, b = self._in_order(np.array([below, below + 1])).tolist()
        gap = b - a
        if math.isinf(gap):
            return float(a * (1.0 - part) + b * part)
        return float(a + gap * part if part < 0.5 else b - gap * (1.0 - part))

    def quantiles(self, qs: npt.ArrayLike) -> FloatArray:
        """``numpy.quantile(values, qs, method="linear")``: equal when exact, else within half a bucket; NaN when empty.

        :raises ValueError: a ``q`` outside [0, 1].
        """
        wanted = np.atleast_1d(np.asarray(qs, np.float64))
        if not ((wanted >= 0) & (wanted <= 1)).all():
            raise ValueError(_NO_SHARE)
        if not self.total:
            return np.full(wanted.shape, np.nan)
        position = wanted * (self.total - 1)
        below = np.floor(position)
        part = position - below
        return _interpolate(self._in_order(below), self._in_order(below + 1), part)

    def counts_outside(self, low: float, high: float) -> int:
        """How many values lie in buckets wholly below ``low`` or wholly above ``high`` (finite doubles)."""
        if self.mirrored:
            below = self.upper_edges().searchsorted(low)
            above = self.lower_edges().searchsorted(high, side="right")
        else:
            first, last = self._codes_of(np.array([low, high])).tolist()
            below, above = self.codes.searchsorted(first), self.codes.searchsorted(last, side="right")
        return int(self.counts[:below].sum() + self.counts[above:].sum())

    def _in_order(self, places: IntArray | FloatArray) -> FloatArray:
        """The values at places of their order, the last one beyond its end."""
        buckets = self.counts.cumsum().searchsorted(places, side="right")
        return self.middles(self.codes[np.minimum(buckets, self.codes.size - 1)])

    def _upper_edges(self, codes: IntArray) -> FloatArray:
        return decode((codes << self.shift) | np.int64((1 << self.shift) - 1), self.mirrored, up=False)

    def _join(self, others: tuple[Histogram, ...]) -> Histogram:
        parts = (self, *others)
        limit, shift = min(part.buckets for part in parts), max(part.shift for part in parts)
        codes, counts = kernel.add_up(
            np.concatenate([part.codes >> (shift - part.shift) for part in parts]),
            np.concatenate([part.counts for part in parts]),
        )
        extra = kernel.surplus_bits(codes, limit)
        codes, counts = kernel.drop_bits(codes, counts, extra)
        return Histogram(shift + extra, codes, counts, limit, self.mirrored)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        return (
            (self.shift, self.buckets, self.mirrored) == (other.shift, other.buckets, other.mirrored)
            and np.array_equal(self.codes, other.codes)
            and np.array_equal(self.counts, other.counts)
        )

    def __hash__(self) -> int:
        return hash((self.shift, self.mirrored, self.codes.tobytes(), self.counts.tobytes()))

    def _codes_of(self, points: FloatArray) -> IntArray:
        if self.mirrored:
            return np.where(points < 0, -1, encode(np.clip(points, 0.0, 1.0), True) + (points > 1)) >> self.shift
        return encode(points, False) >> self.shift


class HistogramBuilder:
    """Collects values batch by batch; :meth:`finish` may be called at any time.

    Counts lie in two places: in a table of codes close together, and in increasing codes beside it. Nothing is
    coarsened while they are apart: what too fine codes count is the same once their bits are dropped.

    ``zeros`` is how many values so far were zero, where the histogram is not mirrored.
    """

    def __init__(self, buckets: int = DEFAULT_BUCKETS, *, mirrored: bool = False) -> None:
        self._limit = buckets
        self._mirrored = mirrored
        self._shift = 0
        self._codes, self._counts = kernel.empty()
        self._dense: kernel.DenseCounts | None = None
        self._known: kernel.KnownCodes | None = None
        self._waiting: list[IntArray] = []
        self.zeros = 0

    def update(self, values: FloatArray) -> None:
        """Count finite float64 values (the array is not changed).

        :raises ValueError: the histogram is mirrored and a value lies outside [0, 1].
        """
        rows = Rows(values, None, None) if can_gather(values.dtype) else None
        for start in range(0, values.size, scratch.BLOCK):
            block, table = values[start : start + scratch.BLOCK], self.table()
            if rows is not None and table is not None:
                self._gather(rows, start, start + block.size, table)
            else:
                self.update_block(block, float(block.min()), float(block.max()))

    def _gather(self, rows: Rows, start: int, stop: int, table: Table) -> None:
        """Count a block in one reading by a compiled kernel."""
        found = rows.gather(start, stop, scratch.gathering(), pivot=0.0, mirrored=self._mirrored, table=table)
        if found.values.size < stop - start:
            raise ValueError("a histogram takes finite values only, and a mirrored one those between 0 and 1")
        self.zeros += 0 if self._mirrored else found.zero
        self.update_rest(found.rest, stop - start)

    def update_block(self, values: FloatArray, low: float, high: float) -> None:
        """The same for at least one and at most :data:`~.scratch.BLOCK` values, whose bounds are known."""
        if self._mirrored and not (low >= 0.0 and high <= 1.0):
            raise ValueError("a mirrored histogram takes values between 0 and 1 only")
        rest = values
        if self._dense is not None and (low >= 0.0 or self._dense.folded):
            count = self._count_mirrored if self._mirrored else self._count_signed if low <= 0.0 else self._count_above
            outside = count(self._dense, values, low, high)
            if outside is None:
                return
            rest = values[outside]
        elif not self._mirrored and low <= 0.0 <= high:
            self.zeros += int(np.count_nonzero(values == 0.0))
        self.update_rest(rest, values.size)

    def table(self) -> Table | None:
        """Where a compiled kernel may count codes for this builder until the next call; None where it may not."""
        return None if self._dense is None else self._dense.table(self._shift)

    def update_rest(self, rest: FloatArray, size: int) -> None:
        """Count values of a block of ``size`` whose others the table holds already; zeros are the caller's business."""
        if not rest.size:
            return
        codes = encode(rest, self._mirrored)
        codes >>= self._shift
        if self._dense is None and self._codes.size:
            if self._known is None:
                self._known = kernel.KnownCodes(self._codes)
            counts, codes = self._known.count(codes)
            self._counts = self._counts + counts
        if codes.size:
            many = 8 * codes.size > size
            self._waiting.append(codes)
            if self._dense is None or many or sum(each.size for each in self._waiting) > self._limit:
                self._count_waiting()
            if self._dense is None or many or self._codes.size > self._limit:
                self._settle()

    def _count_waiting(self) -> None:
        """A few codes at each block are sorted together later: sorting costs more than they do."""
        if self._waiting:
            codes = np.concatenate(self._waiting)
            self._waiting = []
            self._add(*kernel.count(codes))

    def _count_above(self, dense: kernel.DenseCounts, values: FloatArray, low: float, high: float) -> Outside:
        """Values above zero: their bits are their codes."""
        heights = np.right_shift(values.view(np.int64), self._shift, out=scratch.wholes(0, values.size))
        return dense.add(heights, None, code_of(low) >> self._shift, code_of(high) >> self._shift)

    def _count_signed(self, dense: kernel.DenseCounts, values: FloatArray, low: float, high: float) -> Outside:
        """Of a negative value the code of its magnitude is the complement of its own, so codes need not be put in
        order first.
        """
        heights = np.bitwise_and(values.view(np.int64), MAGNITUDE, out=scratch.wholes(0, values.size))
        least = int(heights.min())
        if not least:
            self.zeros += values.size - int(np.count_nonzero(heights))
            values = np.add(values, 0.0, out=scratch.doubles(1, values.size))  # turns -0.0 into 0.0
        below = np.right_shift(values.view(np.int64), 63, out=scratch.wholes(1, values.size)) if low < 0.0 else None
        heights >>= self._shift
        return dense.add(heights, below, least >> self._shift, code_of(max(-low, high)) >> self._shift)

    def _count_mirrored(self, dense: kernel.DenseCounts, values: FloatArray, low: float, high: float) -> Outside:
        heights = encode(values, True)
        heights >>= self._shift
        lowest, highest = (int(code) >> self._shift for code in encode(np.array([low, high]), True))
        return dense.add(heights, None, lowest, highest)

    def update_counts(self, values: FloatArray, counts: IntArray) -> None:
        """Count ``values[i]`` (finite, in any order) ``counts[i]`` (> 0) times."""
        codes = encode(values, self._mirrored) >> self._shift
        self._add(*kernel.add_up(codes, counts))
        self._settle()

    def finish(self) -> Histogram:
        """The histogram of everything so far."""
        self._settle()
        return Histogram(self._shift, self._codes.copy(), self._counts.copy(), self._limit, self._mirrored)

    def _add(self, codes: IntArray, counts: IntArray) -> None:
        self._known = None
        self._codes, self._counts = kernel.union(self._codes, self._counts, codes, counts)

    def _settle(self) -> None:
        """Bring all counts together, coarsen them until they fit, and lay out a table for what comes next."""
        self._count_waiting()
        if self._dense is not None:
            self._add(*self._dense.occupied())
        extra = kernel.surplus_bits(self._codes, self._limit)
        if extra:
            self._known = None
            self._codes, self._counts = kernel.drop_bits(self._codes, self._counts, extra)
            self._shift += extra
        self._dense = kernel.DenseCounts.over(self._codes)


def _interpolate(a: FloatArray, b: FloatArray, part: FloatArray) -> FloatArray:
    """numpy.quantile's linear interpolation, rounding included: from the nearer end."""
    with np.errstate(over="ignore"):
        gap = b - a
        result: Any = np.where(part < 0.5, a + gap * part, b - gap * (1.0 - part))
    overflown = ~np.isfinite(gap)
    return np.where(overflown, a * (1.0 - part) + b * part, result) if overflown.any() else result
