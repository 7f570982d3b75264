"""Two-sample tests of numbers, from how often each value occurs on either side: no row is needed, ties are at home.

Every function takes counts over the same values, ``reference`` and ``current`` of shape ``(B,)``, in the order of the
values, both with at least one row. Large samples are closed form on ``scipy.special``. Where SciPy counts small samples
without ties exactly, ``scipy.stats`` is asked (and imported) for just that. Results are those of the functions of
``scipy.stats`` that are named, on the values laid out row by row.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc, gammaln, kve, ndtr, ndtri, stdtr

from airflow_monitoring_provider.metrics.distances import Counts, Shares, totals
from airflow_monitoring_provider.metrics.significance import TestResult
from airflow_monitoring_provider.profiles.moments import Moments

Floats = npt.NDArray[np.float64]

_EXACT_RANK_SUM = 8
_EXACT_CVM = 20
_AD_SUMMED = 1_000_000
_ES_POINTS = np.array([0.4, 0.8])
_ES_SMALL = 25
ES_LEAST = 5
"""Rows that the Epps-Singleton test needs on either side."""

# Table 2 of Scholz and Stephens (1987): interpolation coefficients for these levels.
_AD_LEVELS = np.array([0.25, 0.1, 0.05, 0.025, 0.01, 0.005, 0.001])
_AD_B0 = np.array([0.675, 1.281, 1.645, 1.96, 2.326, 2.573, 3.085])
_AD_B1 = np.array([-0.245, 0.25, 0.678, 1.149, 1.822, 2.364, 3.615])
_AD_B2 = np.array([-0.105, -0.305, -0.362, -0.391, -0.396, -0.345, -0.154])
_AD_CRITICAL = _AD_B0 + _AD_B1 + _AD_B2  # k - 1 is 1


def mannwhitney(reference: Counts, current: Counts) -> TestResult:
    """Mann and Whitney's U of the current rows, two-sided; ``scipy.stats.mannwhitneyu(current, reference)``.

    Exact where there are no ties and a side has at most 8 rows, else normal with corrections for ties and continuity.
    """
    n, m = totals(reference, current)
    together = _together(reference, current)
    u = _rank_sum(reference, current) - m * (m + 1) / 2
    if min(n, m) <= _EXACT_RANK_SUM and together.max() == 1:
        from scipy.stats import mannwhitneyu

        a, b = _rows(reference), _rows(current)
        return TestResult("mannwhitney", u, float(mannwhitneyu(b, a, method="exact").pvalue))
    deviation = _rank_deviation(reference, current)
    if deviation == 0:
        return TestResult("mannwhitney", u, 1.0)
    z = (max(u, n * m - u) - n * m / 2 - 0.5) / deviation
    return TestResult("mannwhitney", u, float(min(2 * ndtr(-z), 1.0)))


def mannwhitney_critical_value(reference: Counts, current: Counts, alpha: float) -> float:
    """What ``abs(2 U / (n m) - 1)`` exceeds by chance with probability alpha: normal, ties and continuity corrected."""
    n, m = totals(reference, current)
    return min((-2 * float(ndtri(alpha / 2)) * _rank_deviation(reference, current) + 1) / (n * m), 1.0)


def cvm(reference: Counts, current: Counts) -> TestResult:
    """Cramer and von Mises' two-sample T; ``scipy.stats.cramervonmises_2samp``.

    Exact up to 20 rows a side, else the limiting distribution of the standardised statistic (Anderson 1962).

    :raises ValueError: a side has one row.
    """
    n, m = totals(reference, current)
    if min(n, m) < 2:
        raise ValueError(f"Cramer and von Mises' test needs two rows on both sides, found n={n} and m={m}")
    total, product = n + m, n * m
    u = n * _rank_gap(reference, reference + current) + m * _rank_gap(current, reference + current)
    statistic = u / (product * total) - (4 * product - 1) / (6 * total)
    if max(n, m) <= _EXACT_CVM:
        from scipy.stats import cramervonmises_2samp

        found = cramervonmises_2samp(_rows(reference), _rows(current), method="exact")
        return TestResult("cvm", float(found.statistic), float(found.pvalue))
    mean, spread = _cvm_moments(n, m)
    standard = 1 / 6 + (statistic - mean) / spread
    p_value = 1.0 if standard < 0.003 else min(max(1 - _cvm_cdf(standard), 0.0), 1.0)
    return TestResult("cvm", statistic, p_value)


def cvm_critical_value(reference: Counts, current: Counts, alpha: float) -> float:
    """What T exceeds by chance with probability alpha, from the limiting distribution."""
    mean, spread = _cvm_moments(*totals(reference, current))
    low, high = 0.003, 10.0  # p is 1 below and 0 beyond
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if 1 - _cvm_cdf(middle) > alpha else (low, middle)
    return mean + (high - 1 / 6) * spread


def anderson_k(reference: Counts, current: Counts) -> TestResult:
    """Anderson and Darling's k-sample statistic with middle ranks, standardised; ``scipy.stats.anderson_ksamp``.

    p is interpolated between the critical values of Scholz and Stephens (1987), so it is never below 0.001 or above
    0.25. One value on both sides cannot differ: statistic 0, p 1.

    :raises ValueError: there are fewer than four rows in all, which leaves the statistic without a variance.
    """
    n, m = totals(reference, current)
    together = _together(reference, current)
    if together.size < 2:
        return TestResult("anderson_k", 0.0, 1.0)
    if n + m < 4:
        raise ValueError(f"the Anderson-Darling test needs four rows, found n={n} and m={m}")
    total = n + m
    used = (reference + current) > 0
    below = np.cumsum(together) - together / 2
    statistic = 0.0
    for counts, size in ((reference[used], n), (current[used], m)):
        inside = np.cumsum(counts) - counts / 2
        above = below * (total - below) - total * together / 4
        gaps = together / total * (total * inside - below * size) ** 2 / above
        statistic += float(np.sum(gaps)) / size
    statistic *= (total - 1) / total
    standard = (statistic - 1) / _ad_deviation(n, m)
    if not _AD_CRITICAL[0] <= standard <= _AD_CRITICAL[-1]:
        return TestResult("anderson_k", standard, float(_AD_LEVELS[0 if standard < _AD_CRITICAL[0] else -1]))
    fit = np.polyfit(_AD_CRITICAL, np.log(_AD_LEVELS), 2)
    return TestResult("anderson_k", standard, float(math.exp(np.polyval(fit, standard))))


def anderson_k_critical_value(alpha: float) -> float | None:
    """What the standardised statistic exceeds by chance with probability alpha; None outside the table's levels."""
    if not _AD_LEVELS[-1] <= alpha <= _AD_LEVELS[0]:
        return None
    return float(np.interp(-math.log(alpha), -np.log(_AD_LEVELS), _AD_CRITICAL))


def epps_singleton(reference: Counts, current: Counts, positions: Shares) -> TestResult:
    """Epps and Singleton's W of the empirical characteristic functions; ``scipy.stats.epps_singleton_2samp``.

    For values with or without ties. The points are 0.4 and 0.8 in units of half the pooled interquartile range.

    :param positions: the values, shape ``(B,)``.
    :raises ValueError: a side has fewer than :data:`ES_LEAST` rows, or half of all rows have one value.
    """
    n, m = totals(reference, current)
    if min(n, m) < ES_LEAST:
        raise ValueError(f"the Epps-Singleton test needs {ES_LEAST} rows on both sides, found n={n} and m={m}")
    spread = _interquartile_range(reference + current, positions) / 2
    if not spread > 0:
        raise ValueError("the Epps-Singleton test needs an interquartile range above 0")
    angles = np.outer(_ES_POINTS / spread, positions)
    waves = np.vstack((np.cos(angles), np.sin(angles)))
    (mean_a, covariance_a), (mean_b, covariance_b) = (_weighted(waves, counts) for counts in (reference, current))
    total = n + m
    covariance = total / n * covariance_a + total / m * covariance_b
    gap = mean_a - mean_b
    statistic = float(total * gap @ np.linalg.pinv(covariance) @ gap)
    degrees = int(np.linalg.matrix_rank(covariance))
    if max(n, m) < _ES_SMALL:
        statistic /= 1 + total**-0.45 + 10.1 * (n**-1.7 + m**-1.7)
    p_value = float(chdtrc(degrees, statistic)) if degrees else 1.0
    return TestResult("epps_singleton", statistic, p_value, degrees)


def welch(reference: Moments, current: Moments) -> TestResult:
    """Welch's t of the means, above 0 where the current one is larger.

    ``scipy.stats.ttest_ind(current, reference, equal_var=False)``.
    Without any variance equal means give p 1; a side with one row or different means without variance has no answer.

    :raises ValueError: there is no answer.
    """
    n, m = reference.count, current.count
    if n < 2 or m < 2:
        raise ValueError(f"Welch's test needs two rows on both sides, found n={n} and m={m}")
    a, b = reference.variance() / n, current.variance() / m
    gap = current.mean - reference.mean
    if not a + b > 0:
        if gap == 0:
            return TestResult("t_test", 0.0, 1.0)
        raise ValueError("Welch's test needs a variance above 0")
    # Squares of huge variances overflow where their shares do not.
    share = a / (a + b)
    degrees = 1 / (share**2 / (n - 1) + (1 - share) ** 2 / (m - 1))
    statistic = gap / math.sqrt(a + b)
    return TestResult("t_test", statistic, float(2 * stdtr(degrees, -abs(statistic))), round(degrees))


def _together(reference: Counts, current: Counts) -> Floats:
    together = reference + current
    return together[together > 0].astype(np.float64)


def _rank_sum(reference: Counts, current: Counts) -> float:
    """Sum of the current rows' ranks, tied rows at their middle rank."""
    together = reference + current
    ranks = np.cumsum(together) - (together - 1) / 2
    return float(np.sum(current * ranks))


def _rank_deviation(reference: Counts, current: Counts) -> float:
    """Standard deviation of U by chance, corrected for ties."""
    n, m = totals(reference, current)
    total, together = n + m, _together(reference, current)
    ties = float(np.sum(together**3 - together)) / (total * (total - 1)) if total > 1 else 0.0
    return math.sqrt(max(n * m / 12 * (total + 1 - ties), 0.0))


def _cvm_moments(n: int, m: int) -> tuple[float, float]:
    """Mean of T by chance, and its standard deviation in units of the limiting one (Anderson 1962)."""
    total, product = n + m, n * m
    variance = (total + 1) * (4 * product * total - 3 * (n * n + m * m) - 2 * product) / (45 * total**2 * 4 * product)
    return (1 + 1 / total) / 6, math.sqrt(45 * variance)


def _rank_gap(own: Counts, together: Counts) -> float:
    """Sum over a side's rows, in order, of the squared gap between pooled middle rank and place within the side."""
    ranks = np.cumsum(together) - (together - 1) / 2
    counts = own.astype(np.float64)
    middle = np.cumsum(counts) - (counts - 1) / 2
    return float(np.sum(counts * (ranks - middle) ** 2 + counts * (counts * counts - 1) / 12))


def _cvm_cdf(x: float) -> float:
    """Limiting distribution of Cramer and von Mises' statistic (Csorgo and Faraway 1996, equation 1.2)."""
    k = np.arange(60)
    step = (4 * k + 1) ** 2 / (16 * x)
    weight = np.exp(gammaln(k + 0.5) - gammaln(k + 1) - 2 * step)
    terms = weight * np.sqrt(4 * k + 1) * kve(0.25, step)  # kve is kv(0.25, step) exp(step), which overflows by itself
    return float(np.sum(terms) / (math.pi**1.5 * math.sqrt(x)))


def _ad_deviation(n: int, m: int) -> float:
    """Standard deviation of the k-sample statistic, k = 2 (Scholz and Stephens 1987, equation 4)."""
    total, k = n + m, 2
    harmonic_sides = 1 / n + 1 / m
    if total <= _AD_SUMMED:
        sums = np.cumsum(1 / np.arange(total - 1, 1, -1))
        harmonic, g = float(sums[-1]) + 1, float(np.sum(sums / np.arange(2, total)))
    else:  # the sums' limits, right to five digits of the deviation
        harmonic, g = math.log(total - 1) + np.euler_gamma, math.pi**2 / 6
    a = (4 * g - 6) * (k - 1) + (10 - 6 * g) * harmonic_sides
    b = (2 * g - 4) * k**2 + 8 * harmonic * k + (2 * g - 14 * harmonic - 4) * harmonic_sides - 8 * harmonic + 4 * g - 6
    c = (6 * harmonic + 2 * g - 2) * k**2 + (4 * harmonic - 4 * g + 6) * k + (2 * harmonic - 6) * harmonic_sides
    c += 4 * harmonic
    d = (2 * harmonic + 6) * k**2 - 4 * harmonic * k
    variance = (a * total**3 + b * total**2 + c * total + d) / ((total - 1.0) * (total - 2.0) * (total - 3.0))
    return math.sqrt(variance)


def _interquartile_range(counts: Counts, positions: Shares) -> float:
    places = np.array([0.25, 0.75]) * (int(counts.sum()) - 1)
    below = np.floor(places)
    reached = np.cumsum(counts)
    last = counts.size - 1
    low = positions[np.minimum(np.searchsorted(reached, below, side="right"), last)]
    high = positions[np.minimum(np.searchsorted(reached, below + 1, side="right"), last)]
    quartiles = low + (high - low) * (places - below)
    return float(quartiles[1] - quartiles[0])


def _weighted(waves: Floats, counts: Counts) -> tuple[Floats, Floats]:
    share = counts / counts.sum()
    mean = waves @ share
    centred = waves - mean[:, None]
    return mean, (centred * share) @ centred.T


def _rows(counts: Counts) -> npt.NDArray[np.int64]:
    """The rows one by one, a value being its place: ranks are all that counts."""
    return np.repeat(np.arange(counts.size), counts)
