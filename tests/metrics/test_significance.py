"""Tests, intervals and corrections: SciPy as oracle, the golden numbers, and the merging of rare cells."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from airflow_monitoring_provider.definitions.verdict import Adjustment
from airflow_monitoring_provider.metrics.contingency import guarded_chi_square
from airflow_monitoring_provider.metrics.distances import Counts
from airflow_monitoring_provider.metrics.significance import (
    adjust,
    chi_square,
    fisher_exact,
    ks_asymptotic_p_value,
    ks_p_value,
    merge_rare_cells,
    psi_critical_value,
    two_proportions,
    wilson_interval,
)

F7 = [0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, 0.212, 0.216]


def counts(*values: int) -> Counts:
    return np.array(values, np.int64)


def test_chi_square_gives_the_golden_numbers() -> None:
    f1 = chi_square(counts(200, 300, 500), counts(10, 40, 50))
    f2 = chi_square(counts(200, 300, 500, 0), counts(10, 40, 45, 5))
    f3 = chi_square(counts(*[10] * 10), counts(0, *[10] * 8, 20))

    assert (7.70308123, 0.02124698) == pytest.approx((f1.statistic, f1.p_value), abs=1e-8)
    assert 1.45167226e-12 == pytest.approx(f2.p_value, rel=1e-8)
    assert (13.33333333, 9, 0.14809420) == pytest.approx((f3.statistic, f3.degrees, f3.p_value), abs=1e-8)


@pytest.mark.parametrize("seed", range(8))
def test_chi_square_agrees_with_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = rng.integers(1, 200, (2, int(rng.integers(2, 30))))

    expected = stats.chi2_contingency(table, correction=False)
    found = chi_square(table[0], table[1])

    assert expected.statistic == pytest.approx(found.statistic, rel=1e-9)
    assert expected.pvalue == pytest.approx(found.p_value, rel=1e-8, abs=1e-300)
    assert expected.dof == found.degrees


def test_one_cell_cannot_differ() -> None:
    assert (0.0, 1.0) == (chi_square(counts(5), counts(9)).statistic, chi_square(counts(5), counts(9)).p_value)
    assert 1.0 == guarded_chi_square(counts(5, 0), counts(9, 0)).p_value


@pytest.mark.parametrize("seed", range(20))
def test_fisher_agrees_with_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 12, (2, 2)) + np.eye(2, dtype=np.int64)

    assert stats.fisher_exact(table).pvalue == pytest.approx(fisher_exact(table[0], table[1]), rel=1e-9)


def test_rare_cells_are_merged_until_expected_counts_are_valid() -> None:
    cells = merge_rare_cells(counts(500, 480, 1, 2, 3, 0), counts(50, 48, 0, 2, 1, 2))

    assert [(6, 5), (480, 48), (500, 50)] == list(zip(cells.reference.tolist(), cells.current.tolist(), strict=True))
    assert [(1, 0), (0, 2), (2, 2), (3, 1)] == list(
        zip(cells.rare_reference.tolist(), cells.rare_current.tolist(), strict=True)
    )


def test_populated_cells_are_left_alone() -> None:
    assert 0 == merge_rare_cells(counts(*[100] * 10), counts(*[10] * 10)).merged


def test_two_scarce_cells_are_judged_exactly() -> None:
    found = guarded_chi_square(counts(9, 1), counts(1, 4))

    assert "fisher_exact" == found.test
    assert stats.fisher_exact(np.array([[9, 1], [1, 4]])).pvalue == pytest.approx(found.p_value)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=40))
def test_merging_keeps_every_row_and_leaves_valid_cells_or_one(pairs: list[tuple[int, int]]) -> None:
    assume(any(r for r, _ in pairs) and any(c for _, c in pairs))
    reference, current = counts(*(r for r, _ in pairs)), counts(*(c for _, c in pairs))

    cells = merge_rare_cells(reference, current)
    a, b = cells.reference, cells.current
    expected = np.outer([reference.sum(), current.sum()], a + b) / (a + b).sum()

    assert (reference.sum(), current.sum()) == (a.sum(), b.sum())
    assert a.size == 1 or (expected.min() >= 1 - 1e-9 and np.mean(expected >= 5 - 1e-9) >= 0.8)
    if cells.merged:
        assert (a[0], b[0]) == (cells.rare_reference.sum(), cells.rare_current.sum())


@given(st.lists(st.integers(1, 9), min_size=2, max_size=20), st.integers(1, 100), st.integers(0, 1000))
def test_which_cells_are_merged_does_not_depend_on_where_their_rows_lie(together: list[int], n: int, seed: int) -> None:
    rng, rows = np.random.default_rng(seed), np.repeat(np.arange(len(together)), together)
    assume(n < rows.size)
    merged = []
    for _ in range(2):
        reference = np.bincount(rng.permutation(rows)[:n], minlength=len(together))
        cells = merge_rare_cells(reference, np.array(together) - reference)
        merged.append((cells.rare_reference + cells.rare_current).tolist())

    assert merged[0] == merged[1]


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=20).filter(
        lambda pairs: any(r for r, _ in pairs) and any(c for _, c in pairs)
    ),
    st.data(),
)
def test_the_guard_does_not_depend_on_the_order_of_cells(pairs: list[tuple[int, int]], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(pairs))

    expected = guarded_chi_square(*(counts(*side) for side in zip(*pairs, strict=True)))
    found = guarded_chi_square(*(counts(*side) for side in zip(*shuffled, strict=True)))

    assert expected.p_value == pytest.approx(found.p_value, rel=1e-9)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("sizes", [(100, 100), (40, 333), (200, 220)])
def test_the_exact_ks_p_value_agrees_with_scipy(seed: int, sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=sizes[0]), rng.normal(0.1 * seed, 1, size=sizes[1])

    expected = stats.ks_2samp(a, b, method="exact")

    assert expected.pvalue == pytest.approx(ks_p_value(expected.statistic, *sizes), abs=1e-9)


def test_ks_gives_the_golden_p_values() -> None:
    assert 0.70205698 == pytest.approx(ks_p_value(0.1, 100, 100), abs=1e-8)
    assert 0.66231127 == pytest.approx(ks_asymptotic_p_value(0.1, 50), abs=1e-5)


@pytest.mark.parametrize("size", [20, 50, 400, 3000, 3001, 8000])
def test_the_asymptotic_ks_p_value_agrees_with_scipy(size: int) -> None:
    for z in np.linspace(0.05, 2.5, 50):
        expected = stats.kstwo.sf(z / np.sqrt(size), size)
        found = ks_asymptotic_p_value(z / np.sqrt(size), size)
        assert expected == pytest.approx(found, abs=2e-4, rel=0)
        if expected < 0.05:
            assert expected == pytest.approx(found, rel=0.01)


def test_ks_of_no_and_of_full_distance() -> None:
    assert 1.0 == ks_p_value(0.0, 10, 10)
    assert stats.ks_2samp(range(10), range(50, 60)).pvalue == pytest.approx(ks_p_value(1.0, 10, 10), rel=1e-6)
    assert 0.0 <= ks_p_value(1.0, 10_000, 10_000) < 1e-300


def test_two_proportions_follow_the_pooled_formula() -> None:
    test = two_proportions(50, 1050, 20, 120)

    assert 5.20899037 == pytest.approx(test.statistic, abs=1e-8)
    # Without a continuity correction the z test is the chi-square test of the 2 x 2 table.
    assert chi_square(counts(50, 1000), counts(20, 100)).p_value == pytest.approx(test.p_value, rel=1e-9)
    assert 1.0 == two_proportions(0, 10, 0, 20).p_value


@pytest.mark.parametrize(("hits", "rows"), [(20, 120), (0, 7), (7, 7), (1, 100_000)])
def test_the_wilson_interval_agrees_with_scipy(hits: int, rows: int) -> None:
    expected = stats.binomtest(hits, rows).proportion_ci(method="wilson")

    assert (expected.low, expected.high) == pytest.approx(wilson_interval(hits, rows), abs=1e-12)


def test_the_wilson_interval_gives_the_golden_numbers() -> None:
    assert (0.11055996, 0.24345281) == pytest.approx(wilson_interval(20, 120), abs=1e-8)


def test_the_psi_critical_value_gives_the_golden_number() -> None:
    assert 0.33837955 == pytest.approx(psi_critical_value(100, 100, 10), abs=1e-8)
    assert 0.02453 == pytest.approx(psi_critical_value(5000, 800, 10), abs=1e-5)
    assert 0.0 == psi_critical_value(100, 100, 1)


def test_benjamini_hochberg_gives_the_golden_numbers() -> None:
    expected = [0.01, 0.04, 0.084, 0.084, 0.084, 0.1, 0.105714, 0.216, 0.216, 0.216]

    assert expected == pytest.approx(adjust(F7), abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_adjustments_agree_with_scipy(seed: int) -> None:
    p_values = np.random.default_rng(seed).beta(0.5, 2, 37)
    known: list[float | None] = list(p_values)

    assert stats.false_discovery_control(p_values, method="bh") == pytest.approx(adjust(known, Adjustment.BH))
    assert stats.false_discovery_control(p_values, method="by") == pytest.approx(adjust(known, Adjustment.BY))
    assert np.minimum(p_values * 37, 1) == pytest.approx(adjust(known, Adjustment.BONFERRONI))
    assert p_values == pytest.approx(adjust(known, Adjustment.NONE))


def test_values_without_a_p_value_neither_get_one_nor_count() -> None:
    assert [0.02, None, 0.04] == adjust([0.01, None, 0.04])
    assert [] == adjust([])
    assert [None] == adjust([None])
