"""Tests on counts in the same cells beyond the plain chi-square: G, one-sample, and guarded against rare cells.

Closed form on ``scipy.special``: ``scipy.stats`` knows all of it too, but costs a second to import. Which test is run
is decided by the margins of the table alone, never by how far apart the two sides lie.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from scipy.special import chdtrc, rel_entr, xlogy

from airflow_monitoring_provider.metrics.distances import Counts, totals
from airflow_monitoring_provider.metrics.permutation import Floats, permutation_p_value
from airflow_monitoring_provider.metrics.significance import TestResult, chi_square, fisher_exact, merge_rare_cells

Test = Callable[[Counts, Counts], TestResult]
Scatter = Callable[[Counts, Counts], Floats]

_RARE = 0.2
_SURE = 1e-8  # below which no other p-value is asked for
_LOOKED_UP = 100_000


def g_test(reference: Counts, current: Counts) -> TestResult:
    """Likelihood ratio (G) test of the 2 x B table; as :func:`chi_square` otherwise.

    ``scipy.stats.chi2_contingency(lambda_="log-likelihood", correction=False)``.
    """
    n, m = totals(reference, current)
    together = reference + current
    degrees = int(np.count_nonzero(together)) - 1
    if degrees == 0:
        return TestResult("g_test", 0.0, 1.0, 0)
    share = together / (n + m)
    terms = rel_entr(reference, n * share) + rel_entr(current, m * share)
    statistic = max(2 * float(np.sum(terms)), 0.0)
    return TestResult("g_test", statistic, float(chdtrc(degrees, statistic)), degrees)


def goodness_of_fit(reference: Counts, current: Counts) -> TestResult:
    """Evidently's chi-square: the current counts against the baseline's shares, as if those were known exactly.

    ``scipy.stats.chisquare(current, reference * m / n)``. Its p-value is too small, the more so the smaller the
    baseline, and 0 where the current rows hold what the baseline does not; such cells are left out of the statistic,
    which would be infinite. For comparison with Evidently only.
    """
    n, m = totals(reference, current)
    used = (reference + current) > 0
    observed, expected = current[used], reference[used] * (m / n)
    degrees = int(expected.size) - 1
    known = expected > 0
    statistic = float(np.sum((observed[known] - expected[known]) ** 2 / expected[known]))
    if degrees == 0:
        return TestResult("goodness_of_fit", 0.0, 1.0, 0)
    p_value = 0.0 if not known.all() else float(chdtrc(degrees, statistic))
    return TestResult("goodness_of_fit", statistic, p_value, degrees)


def guarded_chi_square(reference: Counts, current: Counts) -> TestResult:
    """:func:`guarded` Pearson's chi-square."""
    return guarded(chi_square, _squares, reference, current)


def guarded_g_test(reference: Counts, current: Counts) -> TestResult:
    """:func:`guarded` G test."""
    return guarded(g_test, entropies, reference, current)


def guarded(test: Test, scatter: Scatter, reference: Counts, current: Counts) -> TestResult:
    """A test of the 2 x B table that small expected counts cannot spoil: its rare cells are judged apart, exactly.

    The rarest cells are merged until expected counts are valid (:func:`.significance.merge_rare_cells`), and the test
    is asked of what is left. That says nothing of how rows lie *within* the merged cells, as of a level that only the
    current rows have; so those are a table of their own, judged by Fisher's exact test where they are two and by
    permutation where they are more. Given the rows of the merged cell on either side the two tables are independent
    (the likelihood ratio of the whole is the sum of theirs), and :func:`_either` makes one p-value of two. Where
    expected counts are not valid until all cells are merged, permuting them is the whole test.

    :param test: :func:`chi_square`, :func:`g_test` or alike.
    :param scatter: its statistic up to what the margins fix.
    :returns: with ``rare_p``, the part of the merged cells, where it was needed.
    """
    cells = merge_rare_cells(reference, current)
    if not cells.merged:
        return test(cells.reference, cells.current)
    if cells.reference.size == 1:
        name, p_value = _exact(scatter, cells.rare_reference, cells.rare_current)
        return TestResult(name, None if name == "fisher_exact" else test(reference, current).statistic, p_value)
    found = dataclasses.replace(test(cells.reference, cells.current), merged=cells.merged)
    if found.p_value < _SURE:
        return dataclasses.replace(found, p_value=_either(found.p_value, 1.0))
    name, p_value = _exact(scatter, cells.rare_reference, cells.rare_current)
    both = _either(found.p_value, p_value)
    return dataclasses.replace(found, test=f"{found.test}_and_{name}", p_value=both, rare_p=p_value)


def entropies(reference: Counts, together: Counts) -> Floats:
    """The likelihood ratio of tables ``(N, B)`` with the same margins, up to a constant factor and term: ``(N,)``."""
    most = int(together.max())
    if most > _LOOKED_UP:
        terms = xlogy(reference, reference) + xlogy(together - reference, together - reference)
    else:
        known = xlogy(np.arange(most + 1), np.arange(most + 1))
        terms = known[reference] + known[together - reference]
    return np.asarray(np.sum(terms, axis=1))


def _squares(reference: Counts, together: Counts) -> Floats:
    """Pearson's statistic in the same way."""
    return np.asarray(np.sum(np.square(reference.astype(np.float64)) / together, axis=1))


def _exact(scatter: Scatter, reference: Counts, current: Counts) -> tuple[str, float]:
    """Test and p of cells of any size; the order and names of cells do not matter, rarest first as they are."""
    if not reference.any() or not current.any():
        return "permutation", 1.0
    together = reference + current
    if together.size == 2:
        return "fisher_exact", fisher_exact(reference, current)
    return "permutation", permutation_p_value(lambda tables: scatter(tables, together), reference, current)


def _either(rest: float, rare: float) -> float:
    """One p of two independent ones: the smaller after weighing, and exactly what that is exceeded by.

    Cells with many rows have four fifths of the weight, as they hold nearly all rows. (The Cauchy combination of the
    column's tests would not do: tables of few rows often have a p of 1, which there outweighs any other.)
    """
    smaller = min(rest / (1 - _RARE), rare / _RARE, 1 / (1 - _RARE))
    return min(smaller - _RARE * (1 - _RARE) * smaller**2, 1.0)
