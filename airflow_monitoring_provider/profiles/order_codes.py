"""Doubles as int64 that keep their order, and back; the bits of a :class:`~.histogram.Histogram`'s buckets.

For probabilities the ``mirrored`` form spends precision at both ends: above one half the code is
``2 code(0.5) - code(1 - x)``, where ``1 - x`` is exact (Sterbenz) and the order of the values is kept.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MAGNITUDE = np.int64(0x7FFF_FFFF_FFFF_FFFF)
"""All bits of a double but its sign."""

_LARGEST = int(np.array(np.finfo(np.float64).max).view(np.int64))
_HALF = int(np.array(0.5).view(np.int64))


def encode(values: FloatArray, mirrored: bool) -> IntArray:
    """Order codes as a fresh int64 array; ``mirrored`` values must lie in [0, 1]."""
    if mirrored:
        above = values > 0.5
        folded: IntArray = (np.minimum(values, 1.0 - values) + 0.0).view(np.int64)
        flip = above.astype(np.int64)
        np.negative(flip, out=flip)
        folded ^= flip  # -1 - code above one half, the code itself below
        flip &= 2 * _HALF + 1
        folded += flip
        return folded
    codes = (values + 0.0).view(np.int64)  # adding zero turns -0.0 into 0.0
    if codes.size and codes.min() < 0:
        codes ^= (codes >> 63) & MAGNITUDE
    return codes


def code_of(value: float) -> int:
    """Of a double that is not below zero: its code."""
    return int(np.float64(value + 0.0).view(np.int64))


def decode(codes: IntArray, mirrored: bool, *, up: bool) -> FloatArray:
    """The doubles of order codes; a mirrored code between two doubles gives the next one up or down."""
    if not mirrored:
        clipped = np.minimum(np.maximum(codes, -_LARGEST - 1), _LARGEST)
        clipped -= clipped == -1  # the code of -0.0, which is never counted
        bits: IntArray = clipped ^ ((clipped >> 63) & MAGNITUDE)
        return bits.view(np.float64) + 0.0
    clipped = np.minimum(np.maximum(codes, 0), 2 * _HALF)
    above = clipped > _HALF
    small = np.where(above, 2 * _HALF - clipped, clipped).view(np.float64)
    values = np.where(above, 1.0 - small, small)
    rest = 1.0 - values
    if up:
        return np.where(above & (rest > small), np.nextafter(values, 2.0), values)
    return np.where(above & (rest < small), np.nextafter(values, 0.0), values)
