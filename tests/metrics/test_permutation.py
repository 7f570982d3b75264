"""Tables dealt out anew: SciPy's permutations and exact distributions as oracles, shuffled rows for what p promises."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.metrics.binning import BinningRule
from airflow_monitoring_provider.metrics.cells import compare_cells
from airflow_monitoring_provider.metrics.column_test import column_test, guarded_likelihood_ratio
from airflow_monitoring_provider.metrics.contingency import entropies, guarded_chi_square, guarded_g_test
from airflow_monitoring_provider.metrics.distances import Counts
from airflow_monitoring_provider.metrics.permutation import dealt, permutation_p_value
from airflow_monitoring_provider.profiles.levels import LevelCounts
from airflow_monitoring_provider.profiles.profile import ColumnProfile


def counts(*values: int) -> Counts:
    return np.array(values, np.int64)


def exact_p_value(reference: Counts, current: Counts) -> float:
    """Of the likelihood ratio, over every table with these margins: SciPy's weights, brute force."""
    together = reference + current
    law = stats.multivariate_hypergeom(together, int(reference.sum()))

    def ratio(table: Counts) -> float:
        return float(stats.entropy(table, reference.sum() * together / together.sum())) * reference.sum() + float(
            stats.entropy(together - table, current.sum() * together / together.sum())
        ) * float(current.sum())

    tables = [counts(*t) for t in itertools.product(*(range(k + 1) for k in together)) if sum(t) == reference.sum()]
    least = ratio(reference) - 1e-9
    return float(sum(law.pmf(table) for table in tables if ratio(table) >= least))


@pytest.mark.parametrize(
    ("reference", "current"),
    [((7, 2, 0, 1), (2, 2, 3, 2)), ((9, 3, 1, 0, 0), (1, 1, 1, 4, 0)), ((3, 3, 3), (3, 4, 3))],
)
def test_p_is_the_share_of_all_tables_with_these_margins(reference: tuple[int, ...], current: tuple[int, ...]) -> None:
    a, b = counts(*reference), counts(*current)
    expected = exact_p_value(a, b)

    found = permutation_p_value(lambda tables: entropies(tables, (a + b)[(a + b) > 0]), a, b)

    # The number of draws it takes to see 20 such tables varies by a fifth.
    assert expected == pytest.approx(found, rel=0.7)
    assert found == permutation_p_value(lambda tables: entropies(tables, (a + b)[(a + b) > 0]), a, b)


def test_a_table_that_chance_never_deals_has_the_smallest_p() -> None:
    a, b = counts(0, 0, 60), counts(20, 20, 0)

    assert 1e-5 == permutation_p_value(lambda tables: entropies(tables, a + b), a, b)


@pytest.mark.parametrize("taken", [30, 3_000])  # dealt row by row, and drawn cell by cell
def test_dealt_tables_are_multivariate_hypergeometric(taken: int) -> None:
    together = counts(5_000, 40, 700, 3)
    law = stats.multivariate_hypergeom(together, taken)

    tables = dealt(together, taken, 20_000, np.random.default_rng(1))

    assert {taken} == set(tables.sum(axis=1).tolist())
    assert law.mean() == pytest.approx(tables.mean(axis=0), rel=0.05, abs=0.01)
    assert law.cov() == pytest.approx(np.cov(tables.T), rel=0.1, abs=0.4)


def test_more_rows_than_numpy_deals_have_the_same_law() -> None:
    together = counts(3 * 10**9, 50, 1_000)
    tables = dealt(together, 10**9, 20_000, np.random.default_rng(1))

    assert {10**9} == set(tables.sum(axis=1).tolist())
    assert [50 / 3, 1_000 / 3] == pytest.approx(tables[:, 1:].mean(axis=0), rel=0.01)
    assert [100 / 9, 2_000 / 9] == pytest.approx(tables[:, 1:].var(axis=0), rel=0.05)


@pytest.mark.parametrize("test", [guarded_likelihood_ratio, guarded_chi_square, guarded_g_test])
def test_a_level_that_only_few_current_rows_have_is_found(test: object) -> None:
    """F2: four levels, the last in 5 of 100 rows and in none of 1000. Merged with the next rarest nothing is left."""
    found = test(counts(200, 300, 500, 0), counts(10, 40, 45, 5))  # type: ignore[operator]

    rare = stats.fisher_exact(np.array([[200, 0], [10, 5]])).pvalue
    assert rare == pytest.approx(found.rare_p, rel=1e-8)
    assert 5 * rare == pytest.approx(found.p_value, rel=1e-4)
    assert 0.05 / 1000 > found.p_value
    assert 2 == found.merged


def test_populated_cells_have_the_plain_test() -> None:
    a, b = counts(200, 300, 500), counts(10, 40, 50)

    assert stats.chi2_contingency([a, b], correction=False).pvalue == pytest.approx(guarded_chi_square(a, b).p_value)


def test_rare_cells_that_say_nothing_cost_a_fourth_of_the_p_value() -> None:
    a, b = counts(400, 600, 20, 20), counts(60, 40, 2, 2)

    rest = stats.chi2_contingency([[40, 400, 600], [4, 60, 40]], correction=False).pvalue
    found = guarded_chi_square(a, b)

    assert rest / 0.8 == pytest.approx(found.p_value, rel=0.01)


@pytest.mark.parametrize("test", [guarded_likelihood_ratio, guarded_chi_square])
@pytest.mark.parametrize(("n", "m"), [(200, 100), (2_000, 100), (150, 900)])
def test_p_values_of_unchanged_levels_are_never_too_small(test: object, n: int, m: int) -> None:
    rng = np.random.default_rng([n, m])
    shares = np.array([0.5, 0.3, 0.1, 0.04, 0.03, 0.01, 0.01, 0.005, 0.005])
    tables = zip(rng.multinomial(n, shares, 2_000), rng.multinomial(m, shares, 2_000), strict=True)

    p_values = np.array([test(a, b).p_value for a, b in tables])  # type: ignore[operator]

    for level in (0.2, 0.05, 0.01, 0.002):
        allowed = 3.5 * math.sqrt(level * (1 - level) / 2_000)
        assert np.mean(p_values <= level) <= 1.15 * level + allowed


def test_a_thousand_rare_levels_are_judged_in_bounded_draws() -> None:
    shares = 1 / np.arange(1, 1001)
    rng = np.random.default_rng(4)
    a, b = (rng.multinomial(rows, shares / shares.sum()) for rows in (10_000, 1_000))
    moved = b.copy()
    moved[500:550] += 5

    assert 0.05 < guarded_likelihood_ratio(a, b).p_value
    assert 0.001 > guarded_likelihood_ratio(a, moved).p_value


def words(rng: np.random.Generator, levels: int, rows: int, prefix: str = "w") -> ColumnProfile:
    """Levels as frequent as words are (Zipf)."""
    shares = 1 / np.arange(1, levels + 1)
    drawn = rng.multinomial(rows, shares / shares.sum())
    counted = {f"{prefix}{place}": int(count) for place, count in enumerate(drawn) if count}
    return ColumnProfile("x", ColumnKind.CATEGORICAL, rows=rows, levels=LevelCounts.of(counted))


@pytest.mark.parametrize(("levels", "n", "m"), [(60, 200, 10_000), (3_000, 3_000, 3_000), (300, 300, 300)])
def test_levels_that_a_baseline_misses_by_chance_are_no_drift(levels: int, n: int, m: int) -> None:
    """A cell of levels without a baseline row is made by the baseline, and would make each p-value tiny."""
    rng = np.random.default_rng([levels, n, m])
    p_values = []
    for _ in range(60):
        cells = compare_cells(words(rng, levels, n), words(rng, levels, m), BinningRule())
        p_values.append(column_test(*cells.tested).p_value)
    unseen = cells.binning.labels.index("__unseen__")

    assert 0 == cells.reference[unseen]
    assert 0 < cells.current[unseen]
    assert stats.binom.ppf(0.9999, 60, 0.05) >= np.count_nonzero(np.array(p_values) <= 0.05)
    assert 1e-4 < min(p_values)


def test_levels_that_took_the_place_of_others_are_drift() -> None:
    rng = np.random.default_rng(1)
    cells = compare_cells(words(rng, 3_000, 3_000), words(rng, 3_000, 3_000, prefix="v"), BinningRule())

    assert 1e-8 > column_test(*cells.tested).p_value
