"""Count, mean and central moments that merge without losing digits.

Plain float64 merges of means lose the variance of values such as 1e9 ± 0.001: the difference of two rounded means is
mostly rounding. Here a mean is a pair of doubles (its value is their exact sum), a batch is summed around its own mean,
and merging takes the difference of the pairs (Chan, Golub, LeVeque 1983; Pébay 2008). The result agrees with the whole
to 1e-9 relative to scale for any split.

Moments whose powers leave the range of doubles are infinite; what depends on them is then NaN.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True)
class Moments:
    """Central moments of finite values; undefined answers are NaN, as SciPy gives them.

    :param mean_high, mean_low: the mean is the exact sum of both.
    :param m2, m3, m4: sums of powers of the deviations from the mean. ``m3`` is 0 when ``m4`` is infinite.
    """

    count: int = 0
    mean_high: float = 0.0
    mean_low: float = 0.0
    m2: float = 0.0
    m3: float = 0.0
    m4: float = 0.0

    @classmethod
    def of(cls, values: npt.ArrayLike) -> Moments:
        """The moments of finite values (any shape)."""
        array = np.asarray(values, np.float64).ravel()
        if array.size == 0:
            return cls()
        low, high = float(array.min()), float(array.max())
        if low == high:
            return cls(array.size, low + 0.0)
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            return _spread(array, array.size)

    @classmethod
    def of_counts(cls, values: npt.ArrayLike, counts: npt.ArrayLike) -> Moments:
        """The moments of ``values[i]`` taken ``counts[i]`` (> 0) times."""
        array = np.asarray(values, np.float64).ravel()
        weights = np.asarray(counts, np.float64).ravel()
        n = int(weights.sum())
        if array.size == 0:
            return cls()
        if float(array.min()) == float(array.max()):
            return cls(n, float(array[0]) + 0.0)
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            return _spread(array, n, weights)

    @property
    def mean(self) -> float:
        """NaN when there are no values."""
        return self.mean_high + self.mean_low if self.count else math.nan

    @property
    def sum(self) -> float:
        """Sum of the values; 0 when there are none."""
        return self.mean_high * self.count + self.mean_low * self.count if self.count else 0.0

    @property
    def sum_of_squares(self) -> float:
        """Sum of the squared values; 0 when there are none."""
        mean = self.mean_high + self.mean_low
        return self.m2 + self.count * mean * mean

    def variance(self, ddof: int = 1) -> float:
        """``numpy.var(values, ddof=ddof)``; NaN when ``count <= ddof``."""
        return self.m2 / (self.count - ddof) if self.count > ddof else math.nan

    def std(self, ddof: int = 1) -> float:
        """``numpy.std(values, ddof=ddof)``."""
        return math.sqrt(self.variance(ddof))

    @property
    def skew(self) -> float:
        """``scipy.stats.skew(values)`` (biased); NaN for constant, empty or overflown values."""
        if not (self.m2 > 0 and math.isfinite(self.m4)):
            return math.nan
        return _ratio(self.m3 / self.count, (self.m2 / self.count) ** 1.5)

    @property
    def kurtosis(self) -> float:
        """``scipy.stats.kurtosis(values)`` (excess, biased); NaN for constant, empty or overflown values."""
        if not (self.m2 > 0 and math.isfinite(self.m4)):
            return math.nan
        return _ratio(self.m4 / self.count, (self.m2 / self.count) ** 2) - 3.0

    def merge(self, other: Moments) -> Moments:
        """The moments of both sets of values."""
        if not other.count:
            return self
        if not self.count:
            return other
        a, b = (self, other) if self.count >= other.count else (other, self)  # the larger side's mean moves least
        n = a.count + b.count
        delta = _difference(b, a)
        share_a, share_b = a.count / n, b.count / n
        high, low = two_sum(a.mean_high, delta * share_b)
        high, low = two_sum(high, low + a.mean_low)
        square = delta * delta
        weight = a.count * share_b
        m2 = a.m2 + b.m2 + square * weight
        m3 = a.m3 + b.m3 + square * delta * weight * (share_a - share_b) + 3 * delta * (share_a * b.m2 - share_b * a.m2)
        m4 = (
            a.m4
            + b.m4
            + square * square * weight * (share_a * share_a - share_a * share_b + share_b * share_b)
            + 6 * square * (share_a * share_a * b.m2 + share_b * share_b * a.m2)
            + 4 * delta * (share_a * b.m3 - share_b * a.m3)
        )
        return _settled(n, high, low, m2, m3, m4)


def two_sum(a: float, b: float) -> tuple[float, float]:
    """The rounded sum and its rounding error; their exact sum is ``a + b`` (Knuth)."""
    total = a + b
    part = total - a
    error = (a - (total - part)) + (b - part)
    return total, error if math.isfinite(error) else 0.0


def _spread(values: FloatArray, n: int, weights: FloatArray | None = None) -> Moments:
    def total(terms: FloatArray) -> float:
        return float((terms if weights is None else terms * weights).sum())

    pivot = total(values) / n
    if not math.isfinite(pivot):
        pivot = total(values / n)
    deviations = values - pivot
    correction = total(deviations) / n
    if not math.isfinite(correction):
        correction = 0.0
    deviations -= correction
    squares = np.square(deviations)
    m2 = total(squares)
    deviations *= squares
    m3 = total(deviations)
    m4 = total(np.square(squares, out=squares))
    high, low = two_sum(pivot, correction)
    return _settled(n, high, low, m2, m3, m4)


def _settled(n: int, high: float, low: float, m2: float, m3: float, m4: float) -> Moments:
    """Overflow makes infinity, never NaN: even moments are sums of positive terms, odd ones are given up."""
    m2 = m2 if math.isfinite(m2) else math.inf
    m4 = m4 if math.isfinite(m4) and math.isfinite(m2) else math.inf
    return Moments(n, high, low, max(m2, 0.0), m3 if math.isfinite(m3) and math.isfinite(m4) else 0.0, max(m4, 0.0))


def _difference(b: Moments, a: Moments) -> float:
    high, low = two_sum(b.mean_high, -a.mean_high)
    return high + (low + (b.mean_low - a.mean_low))


def _ratio(above: float, below: float) -> float:
    return above / below if below else math.nan
