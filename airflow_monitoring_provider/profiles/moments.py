"""Count, mean and central moments that merge without losing digits, at any magnitude.

Plain float64 merges of means lose the variance of values such as 1e9 ± 0.001: the difference of two rounded means is
mostly rounding. Here a mean is a pair of doubles (its value is their exact sum), a batch is summed around its own mean,
and merging takes the difference of the pairs (Chan, Golub, LeVeque 1983; Pébay 2008). Deviations that are very large or
very small carry a common power of two, so their fourth powers neither overflow nor vanish. The result agrees with the
whole to 1e-9 relative to scale for any split (spreads below 1e-300 excepted, where doubles have few digits).
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from airflow_monitoring_provider.profiles import scratch

FloatArray = npt.NDArray[np.float64]

_PLAIN_EXPONENTS = 100
"""Deviations between 2**-100 and 2**100 are summed as they are: their fourth powers are far from a double's limits."""

_LEAST_SQUARE = 2.0**-200
_DOT = 1 << 13
"""OpenBLAS multiplies up to 10 000 values in the thread that asks."""
_NEAR = 100
"""Values are like those before when their mean is a tenth of the spread away: correcting costs two digits of 16."""


@dataclasses.dataclass(frozen=True, slots=True)
class Moments:
    """Central moments of finite values; undefined answers are NaN, as SciPy gives them.

    :param mean_high, mean_low: the mean is the exact sum of both.
    :param exponent: the unit of the deviations is ``2**exponent``.
    :param power2, power3, power4: sums of powers of the deviations from the mean, in powers of that unit;
        :attr:`m2`, :attr:`m3` and :attr:`m4` are the same in plain numbers.
    """

    count: int = 0
    mean_high: float = 0.0
    mean_low: float = 0.0
    exponent: int = 0
    power2: float = 0.0
    power3: float = 0.0
    power4: float = 0.0

    @classmethod
    def of(cls, values: npt.ArrayLike) -> Moments:
        """The moments of finite values (any shape)."""
        array = np.asarray(values, np.float64).ravel()
        if array.size == 0:
            return cls()
        return _around_mean(array, array.size, float(array.min()), float(array.max()))

    @classmethod
    def of_counts(cls, values: npt.ArrayLike, counts: npt.ArrayLike) -> Moments:
        """The moments of ``values[i]`` taken ``counts[i]`` (> 0) times."""
        array = np.asarray(values, np.float64).ravel()
        weights = np.asarray(counts, np.float64).ravel()
        if array.size == 0:
            return cls()
        return _around_mean(array, int(weights.sum()), float(array.min()), float(array.max()), weights)

    @property
    def mean(self) -> float:
        """NaN when there are no values."""
        return self.mean_high + self.mean_low if self.count else math.nan

    @property
    def m2(self) -> float:
        """Sum of squared deviations from the mean; infinite where that overflows."""
        return _scaled(self.power2, 2 * self.exponent)

    @property
    def m3(self) -> float:
        """Sum of cubed deviations from the mean."""
        return _scaled(self.power3, 3 * self.exponent)

    @property
    def m4(self) -> float:
        """Sum of fourth powers of the deviations from the mean."""
        return _scaled(self.power4, 4 * self.exponent)

    @property
    def sum(self) -> float:
        """Sum of the values; 0 when there are none."""
        return self.mean_high * self.count + self.mean_low * self.count

    def variance(self, ddof: int = 1) -> float:
        """``numpy.var(values, ddof=ddof)``; NaN when ``count <= ddof``."""
        return _scaled(self.power2 / (self.count - ddof), 2 * self.exponent) if self.count > ddof else math.nan

    def std(self, ddof: int = 1) -> float:
        """``numpy.std(values, ddof=ddof)``; finite where the variance would overflow."""
        return _scaled(math.sqrt(self.power2 / (self.count - ddof)), self.exponent) if self.count > ddof else math.nan

    @property
    def skew(self) -> float:
        """``scipy.stats.skew(values)`` (biased); NaN for constant or no values."""
        return self.power3 / self.count / (self.power2 / self.count) ** 1.5 if self.power2 > 0 else math.nan

    @property
    def kurtosis(self) -> float:
        """``scipy.stats.kurtosis(values)`` (excess, biased); NaN for constant or no values."""
        return self.power4 / self.count / (self.power2 / self.count) ** 2 - 3.0 if self.power2 > 0 else math.nan

    def merge(self, *others: Moments) -> Moments:
        """The moments of all sets of values."""
        parts = [part for part in (self, *others) if part.count]
        if len(parts) < 2:
            return parts[0] if parts else self
        n = sum(part.count for part in parts)
        largest = max(parts, key=lambda part: part.count)  # its mean moves least
        apart = [_difference(part, largest) for part in parts]
        exponent = _common_exponent(parts, apart)
        deltas = [math.ldexp(delta, unit - exponent) for delta, unit in apart]
        moved = math.fsum(delta * (part.count / n) for part, delta in zip(parts, deltas, strict=True))
        high, low = _moved_mean(largest, moved, exponent)
        m2 = m3 = m4 = 0.0
        for part, delta in zip(parts, deltas, strict=True):
            power2, power3, power4 = _in_unit(part, exponent)
            away = delta - moved
            square = away * away
            m2 += power2 + part.count * square
            m3 += power3 + away * (3 * power2 + part.count * square)
            m4 += power4 + 4 * away * power3 + square * (6 * power2 + part.count * square)
        return Moments(n, high, low, exponent, m2, m3, m4)


class MomentsBuilder:
    """Collects values block by block; :meth:`finish` may be called at any time.

    The mean of a block is about that of the blocks before, so all are summed around the mean of the first, in six
    passes where :meth:`Moments.of` takes ten; a block of another mean is summed by itself and merged.
    """

    def __init__(self) -> None:
        self._apart = Moments()
        self._pivot = 0.0
        self._count = 0
        self._powers = (0.0, 0.0, 0.0, 0.0)

    @property
    def pivot(self) -> float:
        """What :meth:`update` takes differences from."""
        return self._pivot

    def update(self, values: FloatArray, powers: tuple[float, float, float, float] | None = None) -> None:
        """Add at most :data:`~.scratch.BLOCK` finite values.

        :param powers: sums of the first four powers of their differences from :attr:`pivot`, where they are known.
        """
        n = values.size
        if not n:
            return
        if not self._apart.count:
            self._begin(Moments.of(values))
            return
        power1, power2, power3, power4 = _powers(values, self._pivot) if powers is None else powers
        if not (_LEAST_SQUARE < power2 / n < 1 / _LEAST_SQUARE and _NEAR * power1 * power1 < power2 * n):
            self._begin(self.finish().merge(Moments.of(values)))
            return
        self._count += n
        one, two, three, four = self._powers
        self._powers = one + power1, two + power2, three + power3, four + power4

    def merge(self, moments: Moments) -> None:
        """Add values whose moments are known."""
        self._begin(self.finish().merge(moments))

    def finish(self) -> Moments:
        """The moments of everything so far."""
        n = self._count
        if not n:
            return self._apart
        power1, power2, power3, power4 = self._powers
        off = power1 / n
        around = n * off * off
        near = Moments(
            n,
            *two_sum(self._pivot, off),
            0,
            power2 - around,
            power3 - 3 * off * power2 + 2 * around * off,
            power4 - 4 * off * power3 + 6 * off * off * power2 - 3 * around * off * off,
        )
        return self._apart.merge(near)

    def _begin(self, moments: Moments) -> None:
        """Sum around another mean from here on."""
        self._apart, self._pivot = moments, moments.mean_high
        self._count, self._powers = 0, (0.0, 0.0, 0.0, 0.0)


def _powers(values: FloatArray, pivot: float) -> tuple[float, float, float, float]:
    """Sums of the first four powers of the differences from the pivot."""
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        deviations = np.subtract(values, pivot, out=scratch.doubles(0, values.size))
        squares = np.square(deviations, out=scratch.doubles(1, values.size))
        power2, power3 = _products(deviations, deviations), _products(deviations, squares)
        return float(deviations.sum()), power2, power3, _products(squares, squares)


def _products(a: FloatArray, b: FloatArray) -> float:
    """The sum of products, without an array of them. In pieces: longer arrays wake the threads of a BLAS."""
    return sum(float(np.dot(a[start : start + _DOT], b[start : start + _DOT])) for start in range(0, a.size, _DOT))


def two_sum(a: float, b: float) -> tuple[float, float]:
    """The rounded sum and its rounding error; their exact sum is ``a + b`` (Knuth)."""
    total = a + b
    part = total - a
    error = (a - (total - part)) + (b - part)
    return total, error if math.isfinite(error) else 0.0


def _around_mean(values: FloatArray, n: int, low: float, high: float, weights: FloatArray | None = None) -> Moments:
    if low == high:
        return Moments(n, low + 0.0)

    def total(terms: FloatArray) -> float:
        return float((terms if weights is None else terms * weights).sum())

    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        pivot = total(values) / n
        pivot = pivot if math.isfinite(pivot) else total(values / n)
        half = 0.5 if math.isinf(high - low) else 1.0
        deviations = values - pivot if half == 1.0 else values * half - pivot * half
        widest = max(high * half - pivot * half, pivot * half - low * half)
        exponent = _plain(math.frexp(widest)[1])
        if exponent:
            deviations = np.ldexp(deviations, -exponent)
        correction = total(deviations) / n
        deviations -= correction
        squares = np.square(deviations)
        m2 = total(squares)
        deviations *= squares
        m3 = total(deviations)
        m4 = total(np.square(squares, out=squares))
        exponent += half == 0.5
        mean_high, mean_low = two_sum(pivot, _scaled(correction, exponent))
    return Moments(n, mean_high, mean_low, exponent, m2, m3, m4)


def _plain(exponent: int) -> int:
    return 0 if -_PLAIN_EXPONENTS < exponent < _PLAIN_EXPONENTS else exponent


def _common_exponent(parts: list[Moments], apart: list[tuple[float, int]]) -> int:
    """The unit for all: that of the widest deviations."""
    sizes = [part.exponent + math.frexp(math.sqrt(part.power2))[1] for part in parts if part.power2 > 0]
    sizes += [unit + math.frexp(delta)[1] for delta, unit in apart if delta]
    return _plain(max(sizes, default=0))


def _moved_mean(moments: Moments, by: float, exponent: int) -> tuple[float, float]:
    """The mean and ``by * 2**exponent`` added up; halves where the way between two huge means is no double."""
    halved = 1 if exponent > _PLAIN_EXPONENTS else 0
    high, low = two_sum(math.ldexp(moments.mean_high, -halved), math.ldexp(by, exponent - halved))
    high, low = two_sum(math.ldexp(high, halved), math.ldexp(low, halved) + moments.mean_low)
    return high, low


def _in_unit(moments: Moments, exponent: int) -> tuple[float, float, float]:
    by = moments.exponent - exponent
    if not by:
        return moments.power2, moments.power3, moments.power4
    return math.ldexp(moments.power2, 2 * by), math.ldexp(moments.power3, 3 * by), math.ldexp(moments.power4, 4 * by)


def _difference(b: Moments, a: Moments) -> tuple[float, int]:
    """The difference of the means as ``(x, e)`` for ``x * 2**e``."""
    high, low = two_sum(b.mean_high, -a.mean_high)
    if math.isinf(high):
        return b.mean_high * 0.5 - a.mean_high * 0.5, 1
    return high + (low + (b.mean_low - a.mean_low)), 0


def _scaled(value: float, exponent: int) -> float:
    """``value * 2**exponent``, infinite where that overflows."""
    try:
        return math.ldexp(value, exponent)
    except OverflowError:
        return math.copysign(math.inf, value)
