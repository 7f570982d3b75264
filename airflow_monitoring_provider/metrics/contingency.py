"""Tests on counts in the same cells beyond the plain chi-square: G, one-sample, permutation, guarded ones.

Closed form on ``scipy.special``: ``scipy.stats`` knows all of it too, but costs a second to import. Which test is run
is decided by the margins of the table alone, never by how far apart the two sides lie.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable

import numpy as np
from scipy.special import chdtrc, rel_entr

from airflow_monitoring_provider.metrics.distances import Counts, totals
from airflow_monitoring_provider.metrics.significance import TestResult, chi_square, fisher_exact, merge_rare_cells

PERMUTATIONS = 999


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
    """:func:`guarded` Pearson's chi-square: the p-value of every distance that is measured in cells."""
    return guarded(chi_square, reference, current)


def guarded(test: Callable[[Counts, Counts], TestResult], reference: Counts, current: Counts) -> TestResult:
    """A test of the 2 x B table after merging the rarest cells until expected counts are valid.

    Valid (Cochran): every expected count is at least 1 and four fifths of them at least 5. Cells are merged smallest
    pooled count first, into one. Which ones is decided by pooled counts alone, so the test stays valid given the
    margins, and the order and names of cells do not matter. Where even two cells are not valid, Fisher's exact test
    answers if there were never more than two, and :func:`permutation_p_value` of all cells if there were.

    :param test: :func:`chi_square` or :func:`g_test`.
    """
    folded_reference, folded_current, merged = merge_rare_cells(reference, current)
    if folded_reference.size == 2 and not _expected_counts_valid(folded_reference, folded_current):
        if merged:
            found = test(reference, current)
            p_value = permutation_p_value(reference, current)
            return TestResult("permutation", found.statistic, p_value, None)
        return TestResult("fisher_exact", None, fisher_exact(folded_reference, folded_current))
    return dataclasses.replace(test(folded_reference, folded_current), merged=merged)


def permutation_p_value(reference: Counts, current: Counts, permutations: int = PERMUTATIONS) -> float:
    """p of Pearson's chi-square under exchanged rows, ``(k + 1) / (N + 1)``: no expected count is too small for it.

    The rows of both sides are dealt out anew N times (a multivariate hypergeometric draw of each table with the same
    margins), and k tables are at least as far apart as the one seen. The draws are seeded with the table, its cells in
    order of size, so that the same table has the same p whenever and wherever it is judged.
    ``scipy.stats.permutation_test`` with ``permutation_type="independent"``.
    """
    n, m = totals(reference, current)
    order = np.lexsort((reference, reference + current))
    reference, current = reference[order], current[order]
    together = reference + current
    reference, together = reference[together > 0], together[together > 0]
    digest = hashlib.sha256(reference.astype("<i8").tobytes() + together.astype("<i8").tobytes()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:16], "big"))
    dealt = rng.multivariate_hypergeometric(together, n, size=permutations, method="marginals")
    expected = together * (n / (n + m))
    # Pearson's statistic is this sum times a constant of the margins.
    far = np.sum((dealt - expected) ** 2 / expected, axis=1)
    seen = np.sum((reference - expected) ** 2 / expected)
    return float((np.count_nonzero(far >= seen * (1 - 1e-9)) + 1) / (permutations + 1))


def _expected_counts_valid(reference: Counts, current: Counts) -> bool:
    n, m = totals(reference, current)
    expected = np.outer(np.array([n, m]) / (n + m), reference + current)
    return bool(np.all(expected >= 1) and np.mean(expected >= 5) >= 0.8)
