"""Values that the baseline does not have: closed forms against shuffled rows and against brute force."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from airflow_monitoring_provider.metrics.novelty import (
    new_levels_p_value,
    one_value_p_value,
    out_of_range_p_value,
    share_change,
)


@pytest.mark.parametrize(("n", "m"), [(4, 3), (3, 5), (6, 4)])
def test_chance_of_rows_out_of_range_is_that_of_all_ways_to_deal_them(n: int, m: int) -> None:
    outside = []
    for chosen in itertools.combinations(range(n + m), n):
        outside.append(sum(place < chosen[0] or place > chosen[-1] for place in set(range(n + m)) - set(chosen)))

    for k in range(m + 2):
        assert np.mean(np.array(outside) >= k) == pytest.approx(out_of_range_p_value(k, n, m), abs=1e-12)


def test_chance_of_new_levels_is_that_of_shuffled_rows() -> None:
    rng = np.random.default_rng(3)
    pooled = np.repeat(np.arange(60), [1] * 30 + [2] * 15 + [3] * 10 + [40] * 5)
    n, hits = 180, []
    for _ in range(4000):
        rng.shuffle(pooled)
        known = set(pooled[:n].tolist())
        hits.append(sum(level not in known for level in pooled[n:].tolist()))

    sizes = list(Counter(pooled.tolist()).values())
    for k in (20, 22, 24):  # beyond the mean
        share = np.mean(np.array(hits) >= k)
        found = new_levels_p_value(k, sizes, n, pooled.size - n)
        assert share - 0.015 <= found <= 1.6 * share + 0.03  # independent levels: no less than the truth


def test_no_new_level_and_a_flood_of_them() -> None:
    assert 1.0 == new_levels_p_value(0, [3, 4], 100, 50)
    assert 1e-12 > new_levels_p_value(50, [50, 1000], 1000, 50)
    assert 1e-12 > new_levels_p_value(5000, [5000, 10_000], 10_000, 5000)
    assert 0.4 < new_levels_p_value(3000, [1] * 12_000, 9000, 3000) <= 1  # a source in which every level is new


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_chance_of_one_value_only_is_that_of_every_deal(m: int) -> None:
    pooled = "aaaabbbcde"

    deals = [len({pooled[i] for i in rows}) == 1 for rows in itertools.combinations(range(10), m)]

    assert np.mean(deals) == pytest.approx(one_value_p_value(Counter(pooled).values(), 10 - m, m), rel=1e-12)


def test_shares_are_compared_exactly_where_hits_are_few() -> None:
    few, many = share_change(2, 10_000, 6, 100), share_change(40_000, 100_000, 40_100, 100_000)

    assert stats.fisher_exact(np.array([[2, 9_998], [6, 94]])).pvalue == pytest.approx(few.p_value, rel=1e-8)
    z = (0.401 - 0.4) / np.sqrt(0.4005 * 0.5995 * 2 / 100_000)
    assert 2 * stats.norm.sf(z) == pytest.approx(many.p_value, rel=1e-6)
    assert 1.0 == share_change(0, 100, 0, 100).p_value == share_change(100, 100, 50, 50).p_value
