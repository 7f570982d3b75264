"""How likely chance alone is to bring values that the baseline does not have: exact, from shuffling rows.

If nothing changed, every way to deal the pooled rows out to the two sides is equally likely. That fixes how often the
current side alone holds the extremes, how often it alone holds a rare level, and how often it holds one value only,
whatever the distribution.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, ndtr

from airflow_monitoring_provider.metrics.significance import TestResult, fisher_exact, two_proportions

_EXACT_HITS = 10_000
_CONVOLVED = 2_000


def out_of_range_p_value(outside: int, n: int, m: int) -> float:
    """P(at least ``outside`` of m current rows lie beyond the extremes of n baseline rows), n, m > 0.

    With ``g(j) = C(N - j, n) / C(N, n)``, the probability that j given rows are all current ones, it is
    ``(k + 1) g(k) - k g(k + 1)`` for k rows, however many of them lie on either side. Ties make it conservative.
    """
    if outside <= 0:
        return 1.0
    k = outside
    value = (k + 1) * _all_current(k, n, m) - k * _all_current(k + 1, n, m)
    return min(max(value, 0.0), 1.0)


def new_levels_p_value(hits: int, pooled: Iterable[int], n: int, m: int) -> float:
    """P(at least ``hits`` of m current rows have a level that none of n baseline rows has), n, m > 0.

    A level of c pooled rows is new with probability ``g(c)`` and then brings c rows. Levels are taken as independent:
    that they share the m rows only makes their sum vary less.

    :param pooled: rows of each level on both sides together.
    """
    if hits <= 0:
        return 1.0
    sizes, levels = np.unique(np.fromiter(pooled, np.int64), return_counts=True)
    chance = np.array([_all_current(int(size), n, m) for size in sizes])
    mean = float(np.sum(levels * sizes * chance))
    if hits > _CONVOLVED:
        variance = float(np.sum(levels * sizes**2 * chance * (1 - chance)))
        if hits <= mean:
            return 1.0
        return float(ndtr((mean - hits) / math.sqrt(variance))) if variance > 0 else 0.0
    below = np.zeros(hits)
    below[0] = 1.0
    for size, count, probability in zip(sizes.tolist(), levels.tolist(), chance.tolist(), strict=True):
        if probability < 1e-15:
            continue
        part = np.zeros(hits)
        times = np.arange(min(count, (hits - 1) // size) + 1)
        part[times * size] = _binomial(count, times, probability)
        below = np.convolve(below, part)[:hits]
    return min(max(1.0 - float(below.sum()), 0.0), 1.0)


def one_value_p_value(pooled: Iterable[int], n: int, m: int) -> float:
    """P(all m current rows have one and the same value, whichever), n, m > 0: 1 for a single row.

    ``sum of C(c, m) / C(N, m)`` over values of c pooled rows. Values pooled together make it conservative.

    :param pooled: rows of each value on both sides together.
    """
    rows = np.fromiter(pooled, np.float64)
    rows = rows[rows >= m]
    logs = gammaln(rows + 1) - gammaln(rows - m + 1) - gammaln(n + m + 1) + gammaln(n + 1)
    return min(float(np.exp(logs).sum()), 1.0)


def share_change(reference_hits: int, n: int, current_hits: int, m: int) -> TestResult:
    """Whether two shares differ: Fisher's exact test where hits are few, else the pooled z test, which is then as good.

    The statistic is that of the z test (above 0: the current share is the larger one).
    """
    test = two_proportions(reference_hits, n, current_hits, m)
    hits = reference_hits + current_hits
    rarer = min(hits, n + m - hits)
    if not 0 < rarer <= _EXACT_HITS:
        return test
    a, b = np.array([reference_hits, n - reference_hits]), np.array([current_hits, m - current_hits])
    if rarer < hits:
        a, b = a[::-1], b[::-1]
    return TestResult("fisher_exact", test.statistic, fisher_exact(a, b))


def _all_current(rows: int, n: int, m: int) -> float:
    if rows > m:
        return 0.0
    log = gammaln(m + 1) - gammaln(m - rows + 1) - gammaln(n + m + 1) + gammaln(n + m - rows + 1)
    return float(math.exp(min(log, 0.0)))


def _binomial(count: int, times: npt.NDArray[np.int64], probability: float) -> npt.NDArray[np.float64]:
    if probability >= 1.0:
        return np.asarray(times == count, np.float64)
    logs = gammaln(count + 1) - gammaln(times + 1) - gammaln(count - times + 1)
    logs = logs + times * math.log(probability) + (count - times) * math.log1p(-probability)
    return np.asarray(np.exp(logs), np.float64)
