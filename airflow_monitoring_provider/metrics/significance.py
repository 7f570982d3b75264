"""Whether a difference is more than chance: tests, intervals and corrections for many columns.

Everything here is closed form on ``scipy.special``: ``scipy.stats`` knows all of it too, but costs a second to import.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc, chdtri, gammaln, ndtr, ndtri, smirnov

from airflow_monitoring_provider.definitions.verdict import Adjustment
from airflow_monitoring_provider.metrics.distances import Counts, totals

# Up to this many cells of the lattice the exact KS distribution is counted: at most a few milliseconds.
_EXACT_KS_LATTICE = 50_000
_EXACT_KS_PRECISION = 1e-10
_KS_CERTAIN = 0.2  # sqrt(size) * statistic below which p is 1 to 15 digits
_KS_TAIL = 1.5  # and above which a path that crosses both bounds is rarer than 1e-6 of those that cross one
_SMIRNOV_SUM = 3000
_ODD = (np.pi * (np.arange(-20, 21) + 0.5)) ** 2
_EVEN = (np.pi * np.arange(-20, 21)) ** 2


@dataclasses.dataclass(frozen=True, slots=True)
class TestResult:
    """What a test found.

    :param test: name of the test that was run.
    :param statistic: its statistic (None for Fisher's exact test).
    :param degrees: degrees of freedom, or None.
    :param p_value: two-sided, in [0, 1].
    :param merged: cells that were merged into one to keep expected counts valid.
    :param rare_p: p of how the merged cells' rows lie within them, which is part of ``p_value``; None: none were.
    """

    __test__ = False  # not a test class, whatever its name says to pytest

    test: str
    statistic: float | None
    p_value: float
    degrees: int | None = None
    merged: int = 0
    rare_p: float | None = None

    @property
    def of_rare_cells(self) -> dict[str, float]:
        """What the details of a value say of merged cells."""
        merged: dict[str, float] = {"merged_cells": self.merged} if self.merged else {}
        return merged if self.rare_p is None else {**merged, "rare_cells_p": self.rare_p}


def chi_square(reference: Counts, current: Counts) -> TestResult:
    """Pearson's chi-square test of the 2 x B table of counts, without a continuity correction, no cell merged.

    Cells that are empty on both sides are left out; df = cells - 1. ``scipy.stats.chi2_contingency(correction=False)``.
    One cell in all means that the sides cannot differ: statistic 0, p 1.
    """
    n, m = totals(reference, current)
    together = reference + current
    used = together > 0
    together, observed = together[used], reference[used]
    degrees = int(together.size) - 1
    if degrees == 0:
        return TestResult("chi_square", 0.0, 1.0, 0)
    expected = together * (n / (n + m))
    # (o - e)^2 / e_R + (o - e)^2 / e_C = (o - e)^2 / e_R * (1 + n / m): the two rows' residuals differ in sign only.
    statistic = float(((observed - expected) ** 2 / expected).sum() * (1 + n / m))
    return TestResult("chi_square", statistic, float(chdtrc(degrees, statistic)), degrees)


@dataclasses.dataclass(frozen=True, slots=True)
class Merged:
    """Both sides' counts with the rarest cells put together, and those cells by themselves.

    :param reference, current: the cells that are left, the merged one first where there is one.
    :param rare_reference, rare_current: the cells that were merged, rarest first: none, or at least two.
    """

    reference: Counts
    current: Counts
    rare_reference: Counts
    rare_current: Counts

    @property
    def merged(self) -> int:
        """How many cells became one."""
        return int(self.rare_reference.size)


def merge_rare_cells(reference: Counts, current: Counts) -> Merged:
    """The rarest cells merged until expected counts are valid: all at least 1, four fifths at least 5 (Cochran 1954).

    Which cells are merged is decided by how many rows each has on both sides together, and cells with as many rows are
    merged together or not at all: what is done must not depend on where the rows lie, or no p-value is right after it.
    Where nothing is valid short of it, all cells become one. Cells that are empty on both sides are left out.
    """
    n, m = totals(reference, current)
    together = reference + current
    # Ties are broken by the reference count: cells with the same two counts are interchangeable.
    order = np.lexsort((reference, together))
    order = order[together[order] > 0]
    reference, current, together = reference[order], current[order], together[order]
    cells = int(together.size)
    smallest_side = min(n, m) / (n + m)
    largest_side = max(n, m) / (n + m)
    small = together.searchsorted(5 / np.array([smallest_side, largest_side]), side="left")
    tiny = int(together.searchsorted(1 / smallest_side, side="left"))
    if cells == 1 or (not tiny and int(small.sum()) <= 0.2 * 2 * cells):
        return Merged(reference, current, reference[:0], current[:0])
    cumulated = np.concatenate(([0], together.cumsum()))
    apart = np.flatnonzero(np.diff(together)) + 1
    merged = np.concatenate(([0], apart[apart >= 2]))
    pooled = cumulated[merged]
    below_five = np.maximum(small[:, None] - merged, 0).sum(axis=0)
    below_five += (merged > 0) * ((pooled * smallest_side < 5).astype(np.int64) + (pooled * largest_side < 5))
    some_tiny = (tiny > merged) | ((merged > 0) & (pooled * smallest_side < 1))
    rest = cells - merged + (merged > 0)
    enough = np.flatnonzero((~some_tiny & (below_five <= 0.2 * 2 * rest)) | (rest == 1))
    first = int(merged[enough[0]]) if enough.size else cells
    return Merged(_fold(reference, first), _fold(current, first), reference[:first], current[:first])


def fisher_exact(reference: Counts, current: Counts) -> float:
    """Two-sided p of Fisher's exact test of a 2 x 2 table: all tables no more likely than the one seen.

    ``scipy.stats.fisher_exact``.
    """
    n, m = totals(reference, current)
    first = int(reference[0] + current[0])
    possible = np.arange(max(0, first - m), min(n, first) + 1)
    log_weight = _log_choose(n, possible) + _log_choose(m, first - possible) - _log_choose(n + m, np.array(first))
    weight = np.exp(log_weight)
    seen = weight[int(reference[0]) - int(possible[0])]
    return float(min(np.sum(weight[weight <= seen * (1 + 1e-7)]), 1.0))


def ks_p_value(statistic: float, n: int, m: int) -> float:
    """Two-sided p of a two-sample Kolmogorov-Smirnov statistic in [0, 1] of n and m values.

    Exact (lattice paths counted) while n m is small, else :func:`ks_asymptotic_p_value` at the effective size
    n m / (n + m), the two methods of ``scipy.stats.ks_2samp``. With ties in the data it is conservative.
    """
    if n * m <= _EXACT_KS_LATTICE:
        exact = _exact_ks_p_value(statistic, n, m)
        if exact > _EXACT_KS_PRECISION:
            return exact
    return ks_asymptotic_p_value(statistic, round(n * m / (n + m)))


def ks_asymptotic_p_value(statistic: float, size: int) -> float:
    """p of a two-sided one-sample Kolmogorov-Smirnov statistic of ``size`` values; ``scipy.stats.kstwo.sf``.

    The bulk is Pelz and Good's expansion (1976; formulas as in Simard and L'Ecuyer 2011), off by less than 1e-4 at
    size 20 and 1e-5 at size 50. The tail is twice the one-sided probability: Smirnov's exact sum
    while it is short, his asymptotic form after (within 3 % of itself down to 1e-13).
    """
    size = max(size, 1)
    z = statistic * math.sqrt(size)
    if z < _KS_CERTAIN:
        return 1.0
    if z < _KS_TAIL:
        return float(min(max(1.0 - _pelz_good_cdf(z, size), 0.0), 1.0))
    if size <= _SMIRNOV_SUM:
        return float(min(2 * smirnov(size, min(statistic, 1.0)), 1.0))
    return min(2 * math.exp(-2 * (z + 1 / (6 * math.sqrt(size))) ** 2), 1.0)


def two_proportions(reference_hits: int, n: int, current_hits: int, m: int) -> TestResult:
    """Pooled two-proportion z test; z > 0 where the current share is the larger one. No variance: z 0, p 1."""
    pooled = (reference_hits + current_hits) / (n + m)
    deviation = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    if deviation == 0.0:
        return TestResult("two_proportions", 0.0, 1.0)
    z = (current_hits / m - reference_hits / n) / deviation
    return TestResult("two_proportions", z, float(2 * ndtr(-abs(z))))


def wilson_interval(hits: int, rows: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of the share ``hits / rows``, rows > 0; as ``scipy.stats.binomtest`` gives it."""
    z = _normal_quantile(0.5 + confidence / 2)
    share = hits / rows
    centre = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    low = 0.0 if hits == 0 else float(max(centre - half, 0.0))
    high = 1.0 if hits == rows else float(min(centre + half, 1.0))
    return low, high


@functools.cache
def _normal_quantile(share: float) -> float:
    return float(ndtri(share))


def psi_critical_value(n: int, m: int, cells: int, alpha: float = 0.05) -> float:
    """The PSI that chance alone exceeds with probability alpha: ``(1/n + 1/m) chi2.ppf(1 - alpha, cells - 1)``.

    An asymptotic value for populated cells (Yurdakul and Naranjo 2020); informational: at m = 100 it is exceeded by
    7-8 % of columns that did not move. 0 where there is one cell.
    """
    if cells < 2:
        return 0.0
    return float((1 / n + 1 / m) * chdtri(cells - 1, alpha))


def adjust(p_values: Sequence[float | None], method: Adjustment = Adjustment.BH) -> list[float | None]:
    """p-values corrected for their number, in the order given; None stays None and does not count.

    ``bh`` and ``by`` are those of ``scipy.stats.false_discovery_control``; ``bonferroni`` is ``min(1, k p)``.
    """
    places = [i for i, p in enumerate(p_values) if p is not None]
    known = np.array([p for p in p_values if p is not None], dtype=np.float64)
    result: list[float | None] = [None] * len(p_values)
    for place, value in zip(places, _adjusted(known, method), strict=True):
        result[place] = float(value)
    return result


def _adjusted(p_values: npt.NDArray[np.float64], method: Adjustment) -> npt.NDArray[np.float64]:
    size = p_values.size
    if size == 0 or method is Adjustment.NONE:
        return p_values
    if method is Adjustment.BONFERRONI:
        return np.minimum(p_values * size, 1.0)
    order = np.argsort(p_values, kind="stable")
    ranks = np.arange(1, size + 1)
    scaled = p_values[order] * size / ranks
    if method is Adjustment.BY:
        scaled = scaled * np.sum(1 / ranks)
    monotone = np.minimum.accumulate(scaled[::-1])[::-1]
    result = np.empty(size)
    result[order] = np.minimum(monotone, 1.0)
    return result


def _fold(counts: Counts, merged: int) -> Counts:
    if not merged:
        return counts
    return np.concatenate(([counts[:merged].sum()], counts[merged:])).astype(np.int64)


def _log_choose(total: int, chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return np.asarray(gammaln(total + 1) - gammaln(chosen + 1) - gammaln(total - chosen + 1), dtype=np.float64)


def _exact_ks_p_value(statistic: float, n: int, m: int) -> float:
    """Share of the lattice paths from (0, 0) to (n, m) that reach a gap of at least ``statistic``.

    Row by row, ``inside[j]`` is the probability that a path passes through (i, j) without having reached the gap,
    scaled by a factor per row so that it neither over- nor underflows. Inside the allowed band (which is contiguous)
    the recurrence ``new[j] = w old[j] + new[j - 1]`` is a cumulative sum.
    """
    if n > m:
        n, m = m, n
    # Gaps are multiples of 1 / (n m): compare integers, half a step below the statistic.
    limit = np.floor(statistic * n * m + 0.5) - 0.5
    if limit < 0:
        return 1.0
    places = np.arange(m + 1)
    inside = (places * n < limit).astype(np.float64)
    for i in range(1, n + 1):
        allowed = np.abs(i * m - places * n) < limit
        inside = np.where(allowed, np.cumsum(np.where(allowed, inside * (i / (i + m)), 0.0)), 0.0)
    return float(min(max(1.0 - inside[m], 0.0), 1.0))


def _pelz_good_cdf(z: float, size: int) -> float:
    odd, even = _ODD, _EVEN
    odd_weight, even_weight = np.exp(-odd / (2 * z * z)), np.exp(-even / (2 * z * z))
    z2, z4, z6 = z**2, z**4, z**6
    k0 = odd_weight.sum() / z
    k1 = ((odd - z2) * odd_weight).sum() / (6 * z4)
    k2 = ((6 * z6 + 2 * z4 + (2 * z4 - 5 * z2) * odd + (1 - 2 * z2) * odd**2) * odd_weight).sum() / (72 * z**7)
    k2 -= (even * even_weight).sum() / (36 * z**3)
    sixth = (5 - 30 * z2) * odd**3 + (212 * z4 - 60 * z2) * odd**2 + (135 * z4 - 96 * z6) * odd - 30 * z6 - 90 * z**8
    k3 = (sixth * odd_weight).sum() / (6480 * z**10)
    k3 += ((3 * even * z2 - even**2) * even_weight).sum() / (216 * z6)
    return math.sqrt(np.pi / 2) * float(k0 + k1 / math.sqrt(size) + k2 / size + k3 / size**1.5)
