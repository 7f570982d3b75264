"""Counting of ordered int64 codes that coarsen themselves: the kernel below histograms and hashed levels.

A set of buckets is a pair of arrays: strictly increasing ``codes`` and their ``counts`` (> 0), both int64. Dropping low
bits of the codes joins neighbours. How many bits must go so that at most ``limit`` buckets stay is a function of the
set of codes alone, and a union never needs less coarsening than a part: so merges are exact, associative, commutative.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]

UInt64Array = npt.NDArray[np.uint64]

_DENSE_RANGE = 1 << 18
"""Widest range of codes that is counted through a dense table; past it the zeroing costs more than a sort."""
_DENSE_SPAN = 1 << 14
"""Known codes that lie this close together are counted in a table that stays in the cache."""
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


class KnownCodes:
    """Counts codes that are mostly known already, at 2 to 4 ns each; sorting them costs 8 to 50 ns (by SIMD level).

    Known codes that lie close together are counted in a dense table. Others are hashed: a code's slot is the top 16
    bits of its product with an odd constant (Knuth), and a slot names one known code; the few known codes that share a
    slot with another are found by bisection. At most 65 536 codes.
    """

    def __init__(self, codes: IntArray) -> None:
        self._codes = codes
        self._first = codes[0]
        self._span = int(codes[-1]) - int(codes[0])
        self._places = codes - self._first if self._span < _DENSE_SPAN else None
        self._owner: npt.NDArray[np.uint16] | None = None

    def count(self, codes: IntArray) -> tuple[IntArray, IntArray]:
        """How often each known code (at least one) occurs, and the codes that are not known."""
        if self._places is not None and codes.min() >= self._first and codes.max() <= self._codes[-1]:
            counts = np.bincount(codes - self._first, minlength=self._span + 1)[self._places]
            if counts.sum() == codes.size:
                return counts, codes[:0]
        return self._hashed(codes)

    def _hashed(self, codes: IntArray) -> tuple[IntArray, IntArray]:
        if self._owner is None:
            self._owner = np.zeros(1 << _SLOT_BITS, np.uint16)
            self._owner[_slots(self._codes)] = np.arange(self._codes.size, dtype=np.uint16)
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
