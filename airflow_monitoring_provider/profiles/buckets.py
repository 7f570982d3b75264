"""Counting of ordered int64 codes that coarsen themselves: the kernel below histograms and hashed levels.

A set of buckets is a pair of arrays: strictly increasing ``codes`` and their ``counts`` (> 0), both int64. Dropping low
bits of the codes joins neighbours. How many bits must go so that at most ``limit`` buckets stay is a function of the
set of codes alone, and a union never needs less coarsening than a part: so merges are exact, associative, commutative.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from airflow_monitoring_provider.kernels.gathering import Table

IntArray = npt.NDArray[np.int64]

UInt64Array = npt.NDArray[np.uint64]

_DENSE_RANGE = 1 << 18
"""Widest range of codes that is counted through a dense table; past it the zeroing costs more than a sort."""
_MOST_DENSE = 1 << 15
"""Largest table of :class:`DenseCounts`: it stays in the cache."""
_SLOT_BITS = 16
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


def empty() -> tuple[IntArray, IntArray]:
    """No buckets."""
    return np.zeros(0, np.int64), np.zeros(0, np.int64)


def count(codes: IntArray) -> tuple[IntArray, IntArray]:
    """Count equal codes of an unsorted array; the array may be overwritten.

    :returns: increasing distinct codes and how often each occurs.
    """
    if codes.size == 0:
        return empty()
    low, high = int(codes.min()), int(codes.max())
    if high - low < min(_DENSE_RANGE, 16 * codes.size + 1024):
        codes -= low
        table = np.bincount(codes)
        occupied = np.flatnonzero(table)
        return occupied + low, table[occupied]
    codes.sort()
    return runs(codes)


def add_up(codes: IntArray, counts: IntArray) -> tuple[IntArray, IntArray]:
    """Add the counts of equal codes of an unsorted array."""
    if codes.size == 0:
        return empty()
    low, high = int(codes.min()), int(codes.max())
    if high - low < min(_DENSE_RANGE, 16 * codes.size + 1024):
        table = np.zeros(high - low + 1, np.int64)
        np.add.at(table, codes - low, counts)
        occupied = np.flatnonzero(table)
        return occupied + low, table[occupied]
    order = np.argsort(codes, kind="stable")
    return runs(codes[order], counts[order])


def runs(codes: IntArray, counts: IntArray | None = None) -> tuple[IntArray, IntArray]:
    """Join equal neighbours of a sorted array; without ``counts`` every element counts one."""
    if codes.size == 0:
        return empty()
    starts = np.flatnonzero(np.concatenate(([True], codes[1:] != codes[:-1])))
    if counts is None:
        return codes[starts], np.diff(starts, append=codes.size)
    return codes[starts], np.add.reduceat(counts, starts)


def drop_bits(codes: IntArray, counts: IntArray, bits: int) -> tuple[IntArray, IntArray]:
    """The same buckets with ``bits`` (0..63) low bits of the codes dropped."""
    if bits == 0 or codes.size == 0:
        return codes, counts
    return runs(codes >> bits, counts)


def union(
    codes: IntArray, counts: IntArray, other_codes: IntArray, other_counts: IntArray
) -> tuple[IntArray, IntArray]:
    """Both sets of buckets (of one precision) added up."""
    if codes.size == 0:
        return other_codes, other_counts
    if other_codes.size == 0:
        return codes, counts
    joined = np.concatenate((codes, other_codes))
    order = np.argsort(joined, kind="stable")  # two sorted runs: linear
    return runs(joined[order], np.concatenate((counts, other_counts))[order])


def surplus_bits(codes: IntArray, limit: int) -> int:
    """How many low bits (0..63) of the increasing codes must go until at most ``limit`` (>= 2) buckets stay.

    Neighbours stay apart at ``b`` bits if and only if their highest differing bit lies at or above ``b``, so one pass
    over the gaps answers for every ``b`` at once.
    """
    if codes.size <= limit:
        return 0
    apart = _bit_lengths((codes[1:] ^ codes[:-1]).view(np.uint64))
    still_apart = codes.size - 1 - np.cumsum(np.bincount(apart, minlength=65))
    return int(np.flatnonzero(still_apart <= limit - 1)[0])


class DenseCounts:
    """Counts codes of a narrow range in a table, at about 2 ns each, whether they were met before or not.

    Codes below zero have a table of their own: the order codes of ``-x`` and ``x`` lie as far apart as their exponents
    are large, but ``~code`` of the one is about the code of the other. A table holds at most 32 768 codes.

    :param low, width: the table holds codes in ``[low, low + width)``, and with ``folded`` those whose complement is.
    """

    def __init__(self, low: int, width: int, *, folded: bool) -> None:
        self._low, self._width, self._folded = low, width, folded
        self._counts = np.zeros(width * (1 + folded), np.int64)

    @classmethod
    def over(cls, codes: IntArray) -> DenseCounts | None:
        """An empty table for increasing codes and some beyond them; None where they lie too far apart."""
        if not codes.size:
            return None
        folded = bool(codes[0] < 0)
        heights = codes ^ (codes >> 63) if folded else codes
        low, high = int(heights.min()), int(heights.max())
        slack = max(16, (high - low) // 8)
        low = max(low - slack, 0)
        width = high + slack + 1 - low
        return cls(low, width, folded=folded) if width * (1 + folded) <= _MOST_DENSE else None

    @property
    def folded(self) -> bool:
        """Codes below zero are held, too."""
        return self._folded

    def add(self, heights: IntArray, below: IntArray | None, lowest: int, highest: int) -> npt.NDArray[np.bool_] | None:
        """Count codes.

        :param heights: (n,), each code, or its complement where it is below zero; overwritten.
        :param below: (n,), -1 where the code is below zero, else 0; overwritten. None where none is.
        :param lowest, highest: of the heights.
        :returns: (n,), True where the table does not hold the code, which was not counted; None where it held all.
        """
        heights -= self._low
        outside = None
        if lowest < self._low or highest - self._low >= self._width:
            inside = heights.view(np.uint64) < np.uint64(self._width)
            outside, heights = ~inside, heights[inside]
            below = None if below is None else below[inside]
        if below is not None:
            below &= self._width
            heights += below
        self._counts += np.bincount(heights, minlength=self._counts.size)
        return outside

    def table(self, shift: int) -> Table:
        """The table for a compiled kernel, which counts in it codes that have lost ``shift`` bits."""
        return Table(self._counts, self._low, self._width, shift, self._folded)

    def occupied(self) -> tuple[IntArray, IntArray]:
        """The increasing codes that were counted, and how often."""
        places = np.flatnonzero(self._counts)
        counts = self._counts[places]
        first = int(np.searchsorted(places, self._width))
        upper, lower = places[:first] + self._low, places[first:] - self._width + self._low
        return np.concatenate((~lower[::-1], upper)), np.concatenate((counts[first:][::-1], counts[:first]))


class KnownCodes:
    """Counts codes that are mostly known already, at 2 to 4 ns each; sorting them costs 8 to 50 ns (by SIMD level).

    A code's slot is the top 16 bits of its product with an odd constant (Knuth), and a slot names one known code; the
    few known codes that share a slot with another are found by bisection. At most 65 536 codes.
    """

    def __init__(self, codes: IntArray) -> None:
        self._codes = codes
        self._owner = np.zeros(1 << _SLOT_BITS, np.uint16)
        self._owner[_slots(codes)] = np.arange(codes.size, dtype=np.uint16)

    def count(self, codes: IntArray) -> tuple[IntArray, IntArray]:
        """How often each known code (at least one) occurs, and the codes that are not known."""
        owner = self._owner[_slots(codes)]
        hit = self._codes[owner] == codes
        if hit.all():
            return np.bincount(owner, minlength=self._codes.size), codes[:0]
        counts = np.bincount(owner[hit], minlength=self._codes.size)
        rest = codes[~hit]
        place = np.minimum(np.searchsorted(self._codes, rest), self._codes.size - 1)
        hit = self._codes[place] == rest
        counts += np.bincount(place[hit], minlength=self._codes.size)
        return counts, rest[~hit]


def _slots(codes: IntArray) -> IntArray:
    slots: UInt64Array = codes.view(np.uint64) * _SPREAD
    slots >>= np.uint64(64 - _SLOT_BITS)
    return slots.view(np.int64)


def _bit_lengths(values: npt.NDArray[np.uint64]) -> IntArray:
    high = np.frexp((values >> np.uint64(32)).astype(np.float64))[1]
    low = np.frexp((values & np.uint64(0xFFFFFFFF)).astype(np.float64))[1]
    return np.where(high > 0, high + 32, low).astype(np.int64)
