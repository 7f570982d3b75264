"""Cells of other tools: numpy's edges as oracle, the golden numbers, and what lies outside."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_monitoring_provider.definitions.drift import Missing, Scheme, ZeroCells
from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.metrics import distances
from airflow_monitoring_provider.metrics.binning import OUTSIDE, BinningRule
from airflow_monitoring_provider.metrics.cells import Cells, compare_cells
from airflow_monitoring_provider.profiles.profile import ColumnProfile

SPREAD = [Scheme.UNIFORM, Scheme.HIST20, Scheme.MEDIAN, Scheme.STURGES_COMBINED, Scheme.DOANE]


def numbers(values: object) -> ColumnProfile:
    return ColumnProfile.of(np.asarray(values, np.float64))


def cells_of(reference: object, current: object, scheme: Scheme, **options: object) -> Cells:
    rule = BinningRule(scheme=scheme, missing=Missing.DROP, **options)  # type: ignore[arg-type]
    return compare_cells(numbers(reference), numbers(current), rule)


def f3(scheme: Scheme) -> Cells:
    return cells_of(range(100), range(10, 110), scheme)


def test_uniform_cells_are_datarobots_twelve() -> None:
    cells = f3(Scheme.UNIFORM)

    assert [0, *[10] * 10, 0] == cells.reference.tolist()
    assert [0, 0, *[10] * 9, 10] == cells.current.tolist()
    assert 0.47483075 == pytest.approx(distances.psi(cells.reference, cells.current), abs=1e-8)


def test_hist20_gives_mlruns_numbers() -> None:
    cells = f3(Scheme.HIST20)

    assert [0, *np.histogram(np.arange(100), 20)[0], 0] == cells.reference.tolist()
    assert 0.1 == pytest.approx(distances.tvd(cells.reference, cells.current), abs=1e-8)
    assert 0.31622777 == pytest.approx(distances.hellinger(cells.reference, cells.current), abs=1e-8)
    assert 1.31223634 == pytest.approx(distances.psi(cells.reference, cells.current, ZeroCells.SCALE), abs=1e-8)


def test_doane_gives_nannymls_numbers_with_one_cell_for_what_is_left_over() -> None:
    cells = f3(Scheme.DOANE)

    assert (9, OUTSIDE) == (cells.reference.size, cells.binning.labels[-1])
    assert (0, 10) == (cells.reference[-1], cells.current[-1])
    assert 0.27258580 == pytest.approx(distances.js_distance(cells.reference, cells.current), abs=1e-8)
    assert 0.25990387 == pytest.approx(distances.hellinger(cells.reference, cells.current), abs=1e-8)


def test_sturges_over_both_sides_gives_evidentlys_number() -> None:
    cells = f3(Scheme.STURGES_COMBINED)

    assert 0.29326741 == pytest.approx(distances.psi(cells.reference, cells.current, ZeroCells.FLOOR), abs=1e-8)


def test_psi_of_one_shift_is_what_the_convention_makes_of_it() -> None:
    """Between 0.29 and 0.76 for the same hundred values; the reason why each value says how it was made."""
    quantile, uniform, sturges = (f3(s) for s in (Scheme.QUANTILE, Scheme.UNIFORM, Scheme.STURGES_COMBINED))
    found = {
        "floor": distances.psi(quantile.reference, quantile.current, ZeroCells.FLOOR),
        "uniform": distances.psi(uniform.reference, uniform.current),
        "add_one": distances.psi(quantile.reference, quantile.current),
        "jeffreys": distances.psi(quantile.reference, quantile.current, ZeroCells.JEFFREYS),
        "evidently": distances.psi(sturges.reference, sturges.current, ZeroCells.FLOOR),
    }

    assert 0.29 < min(found.values()) < max(found.values()) < 0.76
    chance = 0.33837955
    assert {"floor", "uniform"} == {name for name, value in found.items() if value > chance} - {"jeffreys"}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("draw", ["normal", "lognormal", "standard_cauchy", "uniform"])
def test_edges_are_numpys(seed: int, draw: str) -> None:
    rng = np.random.default_rng(seed)
    reference, current = getattr(rng, draw)(size=700), 1.2 * getattr(rng, draw)(size=400)

    combined = np.histogram_bin_edges(np.concatenate((reference, current)), "sturges")
    sturges = cells_of(reference, current, Scheme.STURGES_COMBINED)
    assert np.histogram(reference, combined)[0].tolist() == sturges.reference[1:-1].tolist()
    assert np.histogram(current, combined)[0].tolist() == sturges.current[1:-1].tolist()
    doane = cells_of(reference, current, Scheme.DOANE)
    edges = np.histogram_bin_edges(reference, "doane")
    assert np.histogram(reference, edges)[0].tolist() == doane.reference[:-1].tolist()
    assert np.histogram(current, edges)[0].tolist() == doane.current[:-1].tolist()
    hist = cells_of(reference, current, Scheme.HIST20)
    counts, edges = np.histogram(reference, 20)
    assert counts.tolist() == hist.reference[1:-1].tolist()
    assert np.histogram(current, edges)[0].tolist() == hist.current[1:-1].tolist()


def test_median_cells_are_thirds_of_the_spread_and_ends_that_the_baseline_reaches() -> None:
    rng = np.random.default_rng(3)
    normal, short = rng.normal(5, 2, 900), [0.0, 1.0] * 300
    edges = np.median(normal) + normal.std() / 3 * np.arange(-4, 5)

    ten, eight = cells_of(normal, normal, Scheme.MEDIAN), cells_of(short, [9.0, *short], Scheme.MEDIAN)

    assert np.histogram(normal, [-np.inf, *edges, np.inf])[0].tolist() == ten.reference.tolist()
    assert (8, 601, 1) == (eight.reference.size, eight.m, eight.current[-1] - eight.reference[-1])


@pytest.mark.parametrize("scheme", SPREAD)
def test_coarse_histograms_are_cut_at_bounds_of_their_buckets(scheme: Scheme) -> None:
    rng = np.random.default_rng(8)
    reference, current = rng.lognormal(size=30_000), rng.lognormal(0.1, 1, size=9000)

    cells, exact = cells_of(reference, current, scheme), np.sort(reference)

    assert cells.precision is not None
    assert 0 < cells.precision["shift"]
    assert (30_000, 9000) == (cells.n, cells.m)
    for edge, below in zip(cells.binning.edges or (), np.cumsum(cells.reference), strict=False):
        if scheme is not Scheme.DOANE:
            assert abs(int(np.searchsorted(exact, edge)) - below) <= cells.precision["largest_bucket"] * 30_000 + 1


def test_few_values_are_a_cell_each_where_the_tool_takes_them_for_levels() -> None:
    few, more = [*range(20)] * 10, [*range(21)] * 10
    assert Scheme.DISCRETE == cells_of(few, few, Scheme.STURGES_COMBINED).binning.scheme
    assert Scheme.STURGES_COMBINED == cells_of(more, more, Scheme.STURGES_COMBINED).binning.scheme
    assert Scheme.DOANE == cells_of(few, few, Scheme.DOANE).binning.scheme


def test_combined_levels_are_a_cell_each_on_either_side() -> None:
    rule = BinningRule(scheme=Scheme.STURGES_COMBINED, combined=True, missing=Missing.DROP)
    a, b = (ColumnProfile.of(list(text), kind=ColumnKind.CATEGORICAL) for text in ("aab", "abcd"))

    cells = compare_cells(a, b, rule)
    found = compare_cells(numbers([1, 1, 2]), numbers([1, 2, 3, 4]), rule)

    assert ("a", "b", "c", "d") == cells.binning.labels[:4]
    assert [1, 1, 1, 1, 0] == cells.current.tolist() == found.current.tolist()
    assert [2, 1, 0, 0, 0] == cells.reference.tolist() == found.reference.tolist()


@pytest.mark.parametrize("scheme", SPREAD)
@pytest.mark.parametrize(
    "values",
    [
        [7.0] * 30,
        [0.0, 5e-324] * 20,
        [1e9, 1e9 + 1e-7] * 20,
        [-1.7e308, 1.7e308] * 20,
        list(np.linspace(1, 1 + 1e-15, 25)),
        [3.0],
    ],
)
def test_odd_ranges_keep_every_row_in_some_cell(scheme: Scheme, values: list[float]) -> None:
    cells = cells_of(values, [*values, 4.0, -1e300], scheme)

    assert (len(values), len(values) + 2) == (cells.n, cells.m)
    assert cells.reference.size == len(cells.binning.labels)


@pytest.mark.parametrize("scheme", [*SPREAD, Scheme.QUANTILE])
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.lists(st.floats(-1e7, 1e7), max_size=60))
def test_every_row_is_in_one_cell(scheme: Scheme, reference: list[float], current: list[float]) -> None:
    cells = cells_of(reference, current, scheme)

    assert (len(reference), len(current)) == (cells.n, cells.m)
    assert len(cells.binning.labels) == cells.reference.size == cells.current.size


@pytest.mark.parametrize("scheme", [Scheme.UNIFORM, Scheme.HIST20, Scheme.MEDIAN, Scheme.DOANE])
def test_the_current_rows_move_no_edge(scheme: Scheme) -> None:
    rng = np.random.default_rng(0)
    baseline = rng.normal(size=500)

    a, b = cells_of(baseline, rng.normal(3, 1, 200), scheme), cells_of(baseline, [1e6], scheme)

    assert (a.binning.id, a.binning.edges) == (b.binning.id, b.binning.edges)
