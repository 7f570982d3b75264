"""Distances: the golden numbers, SciPy as oracle, and what must hold for every pair of distributions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy, wasserstein_distance

from airflow_monitoring_provider.metrics.distances import (
    Counts,
    ZeroCells,
    binned_ks,
    hellinger,
    js_distance,
    js_divergence,
    kl_cr,
    kl_rc,
    l_inf,
    psi,
    tvd,
    wasserstein,
    wasserstein_norm,
)


def counts(*values: int) -> Counts:
    return np.array(values, np.int64)


F1 = counts(200, 300, 500), counts(10, 40, 50)
F2 = counts(200, 300, 500, 0), counts(10, 40, 45, 5)
F3 = counts(*[10] * 10), counts(0, *[10] * 8, 20)
F6 = counts(50, 50), counts(100, 0)

DISTANCES: dict[str, Callable[..., float]] = {
    "psi": psi,
    "js_distance": js_distance,
    "js_divergence": js_divergence,
    "hellinger": hellinger,
    "tvd": tvd,
    "l_inf": l_inf,
    "binned_ks": binned_ks,
    "kl_cr": kl_cr,
    "kl_rc": kl_rc,
}

cells = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)), min_size=1, max_size=30)


@st.composite
def tables(draw: st.DrawFn) -> tuple[Counts, Counts]:
    pairs = draw(cells)
    assume(any(r for r, _ in pairs) and any(c for _, c in pairs))
    return counts(*(r for r, _ in pairs)), counts(*(c for _, c in pairs))


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (0.09808293, psi(*F1)),
        (0.04575811, kl_cr(*F1)),
        (0.05232481, kl_rc(*F1)),
        (0.10990281, js_distance(*F1, base=np.e)),
        (0.13200673, js_distance(*F1)),
        (0.01207863, js_divergence(*F1)),
        (0.11031084, hellinger(*F1)),
        (0.1, tvd(*F1)),
        (0.1, l_inf(*F1)),
        (0.25299996, psi(counts(200, 300, 500, 50), counts(10, 40, 50, 20))),
        (0.34196630, psi(*F2)),
        (0.41345990, psi(*F2, ZeroCells.FLOOR)),
        (0.17339408, js_distance(*F2, base=np.e)),
        (0.20826751, js_distance(*F2)),
        (0.03006551, js_divergence(*F2)),
        (0.15, tvd(*F2)),
        (0.30673009, psi(*F3)),
        (0.75939947, psi(*F3, ZeroCells.FLOOR)),
        (0.35367353, psi(*F3, ZeroCells.JEFFREYS)),
        (0.20773134, js_distance(*F3, base=np.e)),
        (0.24951077, js_distance(*F3)),
        (0.24203025, hellinger(*F3)),
        (0.1, tvd(*F3)),
        (0.1, binned_ks(*F3)),
        (2.29302192, psi(*F6)),
        (4.60431847, psi(*F6, ZeroCells.FLOOR)),
        (0.83255461, js_distance(counts(7, 0), counts(0, 3), base=np.e)),
        (1.0, js_distance(counts(7, 0), counts(0, 3))),
    ],
)
def test_a_golden_number_is_reproduced(expected: float, found: float) -> None:
    assert expected == pytest.approx(found, abs=1e-8)


def test_psi_of_one_shift_depends_on_the_convention_and_only_chance_says_which_matter() -> None:
    by_rule = [psi(*F3, rule) for rule in ZeroCells]

    assert 2.4 < max(by_rule) / min(by_rule)


@pytest.mark.parametrize("seed", range(5))
def test_distances_agree_with_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(2, 40))
    r = rng.integers(1, 500, size)
    c = rng.integers(1, 500, size)
    p, q = r / r.sum(), c / c.sum()

    assert entropy(q, p) == pytest.approx(kl_cr(r, c), abs=1e-12)
    assert entropy(p, q) == pytest.approx(kl_rc(r, c), abs=1e-12)
    assert entropy(p, q) + entropy(q, p) == pytest.approx(psi(r, c), abs=1e-12)
    assert jensenshannon(p, q) == pytest.approx(js_distance(r, c, base=np.e), abs=1e-9)
    assert jensenshannon(p, q, base=2) == pytest.approx(js_distance(r, c), abs=1e-9)
    assert np.sqrt(1 - np.sum(np.sqrt(p * q))) == pytest.approx(hellinger(r, c), abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_wasserstein_agrees_with_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    positions = np.sort(rng.normal(0, 10.0**seed, 50))
    r, c = rng.integers(0, 9, 50), rng.integers(0, 9, 50)

    expected = wasserstein_distance(positions, positions, r, c)

    assert expected == pytest.approx(wasserstein(r, c, positions), rel=1e-9)


def test_wasserstein_is_normed_by_no_less_than_a_thousandth() -> None:
    assert 5.0 == wasserstein_norm(10.0, 2.0)
    assert 10_000.0 == wasserstein_norm(10.0, 0.0)


@pytest.mark.parametrize("name", DISTANCES)
@given(table=tables())
def test_a_distribution_is_at_no_distance_from_itself(name: str, table: tuple[Counts, Counts]) -> None:
    reference, _ = table

    assert 0.0 == DISTANCES[name](reference, reference)
    assert 0.0 == pytest.approx(DISTANCES[name](reference, 3 * reference), abs=1e-12)


@pytest.mark.parametrize("name", ["psi", "js_distance", "hellinger", "tvd", "l_inf", "binned_ks"])
@given(table=tables())
def test_a_distance_is_symmetric(name: str, table: tuple[Counts, Counts]) -> None:
    reference, current = table

    assert DISTANCES[name](reference, current) == pytest.approx(DISTANCES[name](current, reference), rel=1e-12)


@given(table=tables())
def test_distances_stay_in_their_ranges(table: tuple[Counts, Counts]) -> None:
    assert all(0 <= psi(*table, rule) < np.inf for rule in ZeroCells)
    for distance in (js_distance, hellinger, tvd, l_inf, binned_ks):
        assert 0 <= distance(*table) <= 1
    assert l_inf(*table) <= tvd(*table) + 1e-12
    assert hellinger(*table) ** 2 <= tvd(*table) + 1e-12
    assert np.isfinite(kl_cr(*table))


@pytest.mark.parametrize("name", ["psi", "js_distance", "hellinger", "tvd", "l_inf", "kl_cr"])
@given(table=tables(), data=st.data())
def test_the_order_and_names_of_cells_do_not_matter(
    name: str, table: tuple[Counts, Counts], data: st.DataObject
) -> None:
    reference, current = table
    order = data.draw(st.permutations(range(reference.size)))

    expected = DISTANCES[name](reference, current)

    assert expected == pytest.approx(DISTANCES[name](reference[order], current[order]), rel=1e-9, abs=1e-12)


@given(table=tables())
def test_cells_that_are_empty_on_both_sides_change_nothing(table: tuple[Counts, Counts]) -> None:
    wider = np.append(table[0], 0), np.append(table[1], 0)

    for distance in DISTANCES.values():
        assert distance(*table) == pytest.approx(distance(*wider), rel=1e-12)


@given(table=tables(), data=st.data())
def test_one_row_more_moves_psi_little(table: tuple[Counts, Counts], data: st.DataObject) -> None:
    reference, current = (side + 100 for side in table)
    place = data.draw(st.integers(0, reference.size - 1))
    more = current.copy()
    more[place] += 1

    before, after = psi(reference, current), psi(reference, more)

    assert before == pytest.approx(after, abs=0.1)


def test_a_side_without_rows_is_an_error_and_not_a_distance_of_zero() -> None:
    for distance in DISTANCES.values():
        with pytest.raises(ValueError, match="rows on both sides"):
            distance(counts(0, 0), counts(1, 2))
        with pytest.raises(ValueError, match="rows on both sides"):
            distance(counts(1, 2), counts(0, 0))


def test_counts_of_different_cells_are_an_error() -> None:
    with pytest.raises(ValueError, match="same cells"):
        psi(counts(1, 2), counts(1, 2, 3))
