"""Whether a column moved: SciPy as oracle for each part, shuffled rows for the whole."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from airflow_monitoring_provider.metrics.column_test import (
    column_test,
    combine,
    guarded_likelihood_ratio,
    likelihood_ratio,
    rank_scores,
)
from airflow_monitoring_provider.metrics.distances import Counts


def counts(*values: int) -> Counts:
    return np.array(values, np.int64)


def sides(a: np.ndarray, b: np.ndarray) -> tuple[Counts, Counts]:
    _, places = np.unique(np.concatenate((a, b)), return_inverse=True)
    size = int(places.max()) + 1
    return np.bincount(places[: a.size], minlength=size), np.bincount(places[a.size :], minlength=size)


@pytest.mark.parametrize("seed", range(6))
def test_the_likelihood_ratio_is_scipys_over_williams_factor(seed: int) -> None:
    table = np.random.default_rng(seed).integers(0, 60, (2, 7)) + 1
    n, m, together = table[0].sum(), table[1].sum(), table.sum(axis=0)

    plain = stats.chi2_contingency(table, correction=False, lambda_="log-likelihood")
    # Williams (1976), in the form of Sokal and Rohlf, Biometry, for R x C tables.
    rows = n + m
    factor = 1 + (rows * (1 / n + 1 / m) - 1) * (rows * np.sum(1 / together) - 1) / (6 * rows * 6)
    found = likelihood_ratio(table[0], table[1])

    assert plain.statistic / factor == pytest.approx(found.statistic, rel=1e-10)
    assert stats.chi2.sf(plain.statistic / factor, 6) == pytest.approx(found.p_value, rel=1e-8)


def test_two_cells_are_judged_exactly() -> None:
    found = guarded_likelihood_ratio(counts(9_900, 100), counts(90, 10))

    assert stats.fisher_exact(np.array([[9_900, 100], [90, 10]])).pvalue == pytest.approx(found.p_value, rel=1e-8)
    assert "fisher_exact" == found.test


@pytest.mark.parametrize("digits", [0, 1, 9])
@pytest.mark.parametrize("seed", range(3))
def test_location_is_wilcoxons_rank_sum(seed: int, digits: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=230).round(digits), rng.normal(0.2, 1, size=120).round(digits)

    expected = stats.mannwhitneyu(a, b, method="asymptotic", use_continuity=False)
    found = rank_scores(*sides(a, b))["location"]

    assert expected.pvalue == pytest.approx(2 * stats.norm.sf(abs(found)), rel=1e-9)
    assert (expected.statistic < a.size * b.size / 2) == (found > 0)


@pytest.mark.parametrize("digits", [0, 1, 9])
def test_centre_is_the_sum_of_sines_standardised_by_all_ways_to_share_out_the_rows(digits: int) -> None:
    """SciPy's permutation test of the scores of single rows, and the variance that theory gives their sum."""
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=60).round(digits), rng.normal(0.4, 1, size=40).round(digits)
    rows = np.concatenate((a, b))
    scores = -np.sin(2 * np.pi * (stats.rankdata(rows) - 0.5) / rows.size)

    variance = a.size * b.size / (rows.size - 1) * np.var(scores)
    z = (scores[a.size :].sum() - b.size * scores.mean()) / math.sqrt(variance)
    shuffled = stats.permutation_test(
        (scores[a.size :], scores[: a.size]),
        lambda x, y: np.mean(x) - np.mean(y),
        rng=rng,
        n_resamples=4000,
    )
    found = rank_scores(*sides(a, b))["centre"]

    assert z == pytest.approx(found, rel=1e-9)
    assert shuffled.pvalue == pytest.approx(2 * stats.norm.sf(abs(found)), abs=0.04)


def test_a_shift_between_heavy_tails_is_found_by_the_centre() -> None:
    rng = np.random.default_rng(4)
    found = [rank_scores(*sides(rng.standard_cauchy(200), rng.standard_cauchy(100) + 0.8)) for _ in range(200)]

    # Hajek and Sidak (1967): Wilcoxon's efficiency for a Cauchy shift is 6 / pi^2 of the best score's.
    assert math.sqrt(6) / math.pi == pytest.approx(
        np.mean([z["location"] for z in found]) / np.mean([z["centre"] for z in found]), abs=0.06
    )


def test_scores_have_mean_0_and_variance_1_when_rows_are_shuffled() -> None:
    rng = np.random.default_rng(1)
    pooled = np.repeat([0.0, 1.0, 2.5, 7.0, 9.0], [200, 40, 9, 30, 21])  # heavy ties
    found = []
    for _ in range(4000):
        rng.shuffle(pooled)
        found.append(list(rank_scores(*sides(pooled[:220], pooled[220:])).values()))

    assert [0, 0, 0] == pytest.approx(np.mean(found, axis=0), abs=0.06)
    assert [1, 1, 1] == pytest.approx(np.var(found, axis=0), abs=0.09)
    location, _, spread = np.array(found).T
    assert 0 == pytest.approx(np.corrcoef(location, spread)[0, 1], abs=0.09)


def test_spread_is_found_where_the_location_is_the_same() -> None:
    rng = np.random.default_rng(2)
    found = rank_scores(*sides(rng.normal(size=900), rng.normal(0, 1.6, size=900)))

    assert 3 > max(abs(found["location"]), abs(found["centre"]))
    assert 6 < found["spread"]


def test_few_values_have_few_scores() -> None:
    assert {} == rank_scores(counts(5), counts(7))
    assert ["location"] == list(rank_scores(counts(5, 1), counts(7, 9)))
    equal = rank_scores(counts(10, 20, 30), counts(1, 2, 3))
    assert {"location": 0, "centre": 0, "spread": 0} == pytest.approx(equal, abs=1e-9)


def test_equal_p_values_combine_to_themselves_and_one_tiny_one_decides() -> None:
    assert 0.03 == pytest.approx(combine([0.03, 0.03, 0.03], [1, 2, 3]))
    assert 4e-9 == pytest.approx(combine([1e-9, 0.7], [1, 3]), rel=1e-6)
    assert 4e-200 == pytest.approx(combine([1e-200, 0.7], [1, 3]), rel=1e-6)
    assert 1.0 == pytest.approx(combine([1.0, 1.0], [1, 1]))


@given(st.lists(st.floats(1e-12, 1.0), min_size=1, max_size=5))
def test_the_combination_is_the_mean_of_cauchy_scores(p_values: list[float]) -> None:
    expected = stats.cauchy.sf(np.mean(stats.cauchy.isf(np.minimum(p_values, 1 - 1e-15))))

    assert expected == pytest.approx(combine(p_values, [1] * len(p_values)), rel=1e-6, abs=1e-12)


def test_levels_without_an_order_are_judged_by_their_cells() -> None:
    found = column_test(counts(200, 300, 500), counts(10, 40, 50))

    assert likelihood_ratio(counts(200, 300, 500), counts(10, 40, 50)).p_value == found.p_value
    assert {"test": "likelihood_ratio", "cells_p": found.p_value} == found.details


@pytest.mark.parametrize(("n", "m"), [(100, 100), (3000, 100), (150, 900)])
def test_p_values_of_unchanged_columns_are_uniform(n: int, m: int) -> None:
    rng = np.random.default_rng([n, m])
    p_values = []
    for _ in range(1500):
        a, b = rng.normal(size=n), rng.normal(size=m)
        edges = np.quantile(a, np.arange(1, 10) / 10)
        cells = [np.bincount(np.searchsorted(edges, side, side="right"), minlength=10) for side in (a, b)]
        p_values.append(column_test(cells[0], cells[1], sides(a, b)).p_value)

    for level in (0.2, 0.05, 0.01):
        allowed = 3.5 * math.sqrt(level * (1 - level) / 1500)
        assert 0.75 * level - allowed <= np.mean(np.array(p_values) <= level) <= 1.15 * level + allowed


@pytest.mark.parametrize(("n", "m", "differ"), [(100_000, 100, 1), (10_000, 100, 1), (1_000, 100, 2), (200, 10_000, 2)])
def test_few_rows_beside_one_value_are_as_likely_as_fisher_says(n: int, m: int, differ: int) -> None:
    """All but a few rows of the smaller side are 0, as of a counter of rare events: no tail of ranks is normal."""
    many, few = (n, m) if n > m else (m, n)
    for values in (1, differ):
        beside = [differ] if values == 1 else [1] * differ
        larger, smaller = counts(many, *[0] * len(beside)), counts(few - differ, *beside)
        expected = stats.fisher_exact([[many, 0], [few - differ, differ]]).pvalue
        sides = (larger, smaller) if n > m else (smaller, larger)
        found = column_test(*sides, sides)
        assert expected / 2 <= found.details["location_p"] <= expected * 2
        assert expected / 3 <= found.p_value <= expected * 5
