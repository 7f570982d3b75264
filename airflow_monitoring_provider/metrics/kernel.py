"""Maximum mean discrepancy of numbers: how far the means of both sides lie apart in the space of a Gaussian kernel.

MMD^2 is the mean similarity of two baseline rows, plus that of two current rows, less twice that of one of each; a row
is not compared with itself, so chance alone gives 0 on average and often less (the unbiased estimate of Gretton and
others 2012, equation 3; alibi-detect's ``MMDDrift``). Rows of one value are alike, so counts are enough.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from airflow_monitoring_provider.metrics.chance import Dealt, grouped
from airflow_monitoring_provider.metrics.distances import Counts, Shares, totals
from airflow_monitoring_provider.metrics.permutation import Floats, permutation_p_value
from airflow_monitoring_provider.metrics.significance import TestResult

MOST = 4_999
"""Tables dealt at most, so p is at least 2e-4."""
_EXACT = 1_024
_DEALT = 64
_BLOCK = 512


def bandwidth(together: Counts, positions: Shares) -> float:
    """The median distance of two rows (lower one of two), of both sides together; of those above 0 where it is 0.

    :returns: 0 where all rows have one value.
    """
    rows = together.astype(np.float64)
    alike, pairs = float(np.sum(rows * (rows - 1)) / 2), float(rows.sum() * (rows.sum() - 1) / 2)
    if positions.size < 2 or pairs <= alike:
        return 0.0
    wanted = (pairs + 1) // 2
    if alike >= wanted:
        wanted = alike + (pairs - alike + 1) // 2
    below = np.concatenate(([0.0], np.cumsum(rows)))
    low, high = 0.0, float(positions[-1] - positions[0])
    while low < (middle := low + (high - low) / 2) < high:
        within = below[np.searchsorted(positions, positions + middle, side="right")] - below[1:]
        low, high = (low, middle) if alike + float(np.sum(rows * within)) >= wanted else (middle, high)
    return high


def mmd2(reference: Counts, current: Counts, positions: Shares) -> TestResult:
    """Unbiased MMD^2 with the kernel ``exp(-(x - y)^2 / (2 s^2))``, s the :func:`bandwidth`, and its permutation p.

    The statistic is that of all values, of more than 1024 in as many groups (:func:`.chance.grouped`), which moves it
    by a ten-thousandth of itself. p is of at most 64 groups, seen and dealt alike, with the same bandwidth.

    :param positions: the value that each cell stands for, ascending, shape ``(B,)``.
    :raises ValueError: a side has one row.
    """
    n, m = totals(reference, current)
    if min(n, m) < 2:
        raise ValueError(f"a mean discrepancy needs two rows on both sides, found n={n} and m={m}")
    reference, current, positions = _used(reference, current, positions)
    scaled = _in_bandwidths(reference, current, positions)
    if scaled is None:
        return TestResult("mmd2", 0.0, 1.0)
    value = float(_discrepancy(_alike(*grouped(reference, current, scaled, _EXACT)), n, m))
    ours, theirs, places = grouped(reference, current, scaled, _DEALT)
    return TestResult("mmd2", value, permutation_p_value(_of_tables(ours, theirs, places), ours, theirs, MOST))


def mmd2_critical_value(reference: Counts, current: Counts, positions: Shares, alpha: float) -> float:
    """What MMD^2 exceeds by chance with probability alpha at most, of 999 dealt tables; at least 0."""
    reference, current, positions = _used(reference, current, positions)
    scaled = _in_bandwidths(reference, current, positions)
    if scaled is None:
        return 0.0
    ours, theirs, places = grouped(reference, current, scaled, _DEALT)
    statistic = _of_tables(ours, theirs, places)
    critical, _ = Dealt.of(ours, theirs, ordered=True).chance(lambda tables, _: statistic(tables), alpha)
    return max(critical or 0.0, 0.0)


def _used(reference: Counts, current: Counts, positions: Shares) -> tuple[Counts, Counts, Shares]:
    used = (reference + current) > 0
    return reference[used], current[used], positions[used]


def _in_bandwidths(reference: Counts, current: Counts, positions: Shares) -> Shares | None:
    """The values in units of the bandwidth; None where all rows have one value."""
    unit = float(np.max(np.abs(positions))) or 1.0  # squares of large numbers overflow
    spread = bandwidth(reference + current, positions / unit)
    return positions / unit / spread if spread > 0 else None


def _of_tables(reference: Counts, current: Counts, positions: Shares) -> Callable[[Counts], Floats]:
    """MMD^2 of tables ``(N, B)`` with these margins: one matrix product for all of them."""
    n, m = totals(reference, current)
    together = (reference + current).astype(np.float64)
    kernel = _kernel(positions, positions)
    towards = kernel @ together
    total = float(together @ towards)

    def statistic(tables: Counts) -> Floats:
        own = np.einsum("ij,ij->i", tables @ kernel, tables)
        both = tables @ towards
        return np.asarray(_discrepancy((own, both - own, total - 2 * both + own), n, m))

    return statistic


def _alike(reference: Counts, current: Counts, positions: Shares) -> tuple[Floats, Floats, Floats]:
    """Similarities summed over all pairs: baseline with baseline, baseline with current, current with current."""
    sides = np.vstack((reference, current)).astype(np.float64)
    sums = np.zeros((2, 2))
    for start in range(0, positions.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        sums += sides[:, part] @ _kernel(positions[part], positions) @ sides.T
    return sums[0, 0], sums[0, 1], sums[1, 1]


def _discrepancy(alike: tuple[Floats, Floats, Floats], n: int, m: int) -> Floats:
    own, both, other = alike
    return np.asarray((own - n) / (n * (n - 1)) + (other - m) / (m * (m - 1)) - 2 * both / (n * m))


def _kernel(x: Shares, y: Shares) -> Floats:
    return np.asarray(np.exp(-np.square(x[:, None] - y[None, :]) / 2))
