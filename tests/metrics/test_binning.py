"""Cells: the golden bins, heavy values, what missing values do, and that the baseline alone decides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.metrics.binning import (
    MISSING,
    OTHER,
    UNSEEN,
    BinningRule,
    Missing,
    Scheme,
    cut,
    scheme_for,
)
from airflow_monitoring_provider.metrics.cells import Cells, compare_cells
from airflow_monitoring_provider.metrics.distances import psi
from airflow_monitoring_provider.profiles.profile import ColumnProfile

CATEGORICAL = ColumnKind.CATEGORICAL
RULE = BinningRule()


def numbers(values: object, **options: object) -> ColumnProfile:
    return ColumnProfile.of(np.asarray(values, np.float64), **options)  # type: ignore[arg-type]


def levels(*values: str | None, **options: object) -> ColumnProfile:
    return ColumnProfile.of(values, kind=CATEGORICAL, **options)  # type: ignore[arg-type]


def table(cells: Cells) -> dict[str, tuple[int, int]]:
    pairs = zip(cells.reference.tolist(), cells.current.tolist(), strict=True)
    return dict(zip(cells.binning.labels, pairs, strict=True))


def test_quantile_cells_are_numpys_quantiles_with_open_ends() -> None:
    cells = compare_cells(numbers(range(100)), numbers(range(10, 110)), RULE)

    assert Scheme.QUANTILE == cells.binning.scheme
    assert np.quantile(np.arange(100), np.linspace(0, 1, 11))[1:-1] == pytest.approx(cells.binning.edges)
    assert [10] * 10 + [0] == cells.reference.tolist()
    assert [0, *[10] * 8, 20, 0] == cells.current.tolist()
    assert ("< 9.9", "[9.9, 19.8)", ">= 89.1", MISSING) == tuple(cells.binning.labels[i] for i in (0, 1, 9, 10))


def test_a_coarse_histogram_is_cut_into_tenths_of_the_mass() -> None:
    rng = np.random.default_rng(1)
    reference = numbers(rng.lognormal(size=50_000))
    cells = compare_cells(reference, numbers(rng.lognormal(size=3000)), RULE)
    assert reference.histogram is not None

    assert not reference.histogram.exact
    assert (10, 50_000, 3000) == (cells.binning.named, cells.n, cells.m)
    assert np.abs(cells.reference[:10] / 50_000 - 0.1).max() <= reference.histogram.largest_share
    assert {"shift", "largest_bucket"} == set(cells.precision or {})


def test_a_value_that_holds_a_tenth_of_the_baseline_is_a_cell_of_its_own() -> None:
    rng = np.random.default_rng(0)
    amounts = rng.lognormal(size=1000)
    baseline = numbers(np.where(np.arange(1000) < 950, 0.0, amounts))
    moved = numbers(np.where(np.arange(1000) < 850, 0.0, amounts))

    cells = compare_cells(baseline, moved, RULE)

    assert (950, 850) == table(cells)["0"]
    assert 50 == cells.reference[: cells.binning.named].sum() - 950
    assert 0.1 < psi(cells.reference, cells.current)


def test_a_value_is_heavy_from_exactly_a_tenth_on() -> None:
    spread = np.linspace(1, 2, 1000)

    at_a_tenth = compare_cells(numbers([*[0.0] * 100, *spread[:900]]), numbers([0.0]), RULE)
    below = compare_cells(numbers([*[0.0] * 99, *spread[:901]]), numbers([0.0]), RULE)

    assert ((0.0,), ()) == (at_a_tenth.binning.values, below.binning.values)
    assert [100] * 10 == at_a_tenth.reference[:10].tolist()


def test_ties_never_leave_a_cell_without_baseline_rows() -> None:
    rng = np.random.default_rng(3)
    baseline = numbers(rng.poisson(9, 500))

    cells = compare_cells(baseline, baseline, RULE)

    assert Scheme.QUANTILE == cells.binning.scheme
    assert 0 < cells.reference[: cells.binning.named].min()
    assert 500 == cells.n


def test_few_distinct_numbers_are_a_cell_each() -> None:
    cells = compare_cells(numbers([0, 0, 1, 2]), numbers([0, 1, 1, 3, np.nan]), RULE)

    assert Scheme.DISCRETE == cells.binning.scheme
    assert {"0": (2, 1), "1": (1, 2), "2": (1, 0), UNSEEN: (0, 1), MISSING: (0, 1)} == table(cells)


def test_the_scheme_is_decided_on_the_baseline() -> None:
    assert Scheme.DISCRETE == scheme_for(numbers(range(10)), RULE)
    assert Scheme.QUANTILE == scheme_for(numbers(range(11)), RULE)
    assert Scheme.DISCRETE == scheme_for(levels(*"abcdefghijklmnop"), RULE)
    assert Scheme.DISCRETE == compare_cells(numbers([1, 2]), numbers(range(500)), RULE).binning.scheme


def test_a_discrete_baseline_meets_a_coarse_batch() -> None:
    rng = np.random.default_rng(0)
    coarse = numbers(np.concatenate((rng.normal(size=5000), np.zeros(5000))))

    cells = compare_cells(numbers([0.0] * 900 + [64.0] * 100), coarse, RULE)

    assert (900, 5000) == table(cells)["0"]
    assert 0 < cells.binning.shift


def test_levels_are_sorted_by_text_and_what_the_baseline_lacks_is_unseen() -> None:
    cells = compare_cells(levels(*"bbac"), levels(*"abzz", None), RULE)

    assert ("a", "b", "c", UNSEEN, MISSING) == cells.binning.labels
    assert {"a": (1, 1), "b": (2, 1), "c": (1, 0), UNSEEN: (0, 2), MISSING: (0, 1)} == table(cells)


def test_levels_past_the_most_frequent_are_one_other_cell_and_not_unseen() -> None:
    rule = BinningRule(max_levels=2)
    cells = compare_cells(levels(*"aabbbcccd", None), levels(*"aabbbddxx"), rule)

    assert {"b": (3, 3), "c": (3, 0), UNSEEN: (0, 2), OTHER: (3, 4), MISSING: (1, 0)} == table(cells)


def test_truncated_levels_are_compared_in_the_same_hash_buckets() -> None:
    baseline = levels(*(f"id-{i % 900}" for i in range(9000)), cap=100)
    same = levels(*(f"id-{i % 900}" for i in range(1800)))
    other = levels(*(f"no-{i % 900}" for i in range(1800)), cap=100)

    assert 0.0 == pytest.approx(_psi(baseline, same), abs=1e-12)
    assert 0.0 < _psi(baseline, other)


def test_hashed_and_dropped_names_give_the_distance_of_the_names() -> None:
    a, b = "aaabbc", "abbccc"
    expected = _psi(levels(*a), levels(*b))

    assert expected == pytest.approx(_psi(levels(*a, level_names="hash"), levels(*b, level_names="hash")))
    assert expected == pytest.approx(_psi(levels(*a, level_names="drop"), levels(*b, level_names="drop")))


def test_custom_edges_are_counted_exactly_where_the_plan_had_them_counted() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(size=20_000)
    edges = (-0.12345, 0.5)
    rule = BinningRule(scheme=Scheme.CUSTOM, edges=edges)

    cells = compare_cells(numbers(values, edges=edges), numbers(values, edges=edges), rule)

    assert np.histogram(values, [-np.inf, *edges, np.inf])[0].tolist() == cells.reference[:3].tolist()


def test_infinite_values_sit_in_the_missing_cell() -> None:
    cells = compare_cells(numbers([1, 2, 2]), numbers([1, np.inf, -np.inf, np.nan]), RULE)

    assert (0, 3) == table(cells)[MISSING]


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=80), st.integers(1, 30))
def test_missing_values_only_move_the_missing_cell(values: list[int], nulls: int) -> None:
    baseline = numbers(range(-40, 40))
    whole = compare_cells(baseline, numbers(values), RULE)
    holes = compare_cells(baseline, numbers([*values, *[np.nan] * nulls]), RULE)

    assert whole.current[:-1].tolist() == holes.current[:-1].tolist()
    assert whole.current[-1] + nulls == holes.current[-1]


def test_missing_values_can_be_left_out_or_count_only_where_they_grew() -> None:
    full, holes = numbers([1, 2, 3]), numbers([1, 2, np.nan])

    assert 2 == compare_cells(full, holes, BinningRule(missing=Missing.DROP)).m
    assert MISSING in compare_cells(full, holes, BinningRule(missing=Missing.IF_INCREASED)).binning.labels
    assert MISSING not in compare_cells(holes, full, BinningRule(missing=Missing.IF_INCREASED)).binning.labels


def test_the_binning_id_names_baseline_scheme_and_parameters_and_not_the_batch() -> None:
    baseline = numbers(range(100))
    name = cut(baseline, RULE).id

    assert name == compare_cells(baseline, numbers(range(5)), RULE).binning.id
    assert name == compare_cells(baseline, numbers(np.linspace(0, 1, 9000)), RULE).binning.id
    assert name == cut(numbers(np.arange(100)[::-1]), RULE).id
    assert name.startswith("quantile-")
    others = [
        cut(numbers(range(101)), RULE).id,
        cut(baseline, BinningRule(bins=5)).id,
        cut(baseline, BinningRule(missing=Missing.DROP)).id,
        cut(baseline, BinningRule(scheme=Scheme.DISCRETE)).id,
    ]
    assert 5 == len({name, *others})


def test_binning_ids_stay_those_of_stored_results() -> None:
    odd = ["it's", 'say "so"', 'it\'s "both"', "'", '"', "a", "a b", "ab", "a\\b", "é", "\u202e", "", "True", "#1"]
    many = [f"level {n}" for n in range(40)]

    assert "discrete-9cf6ca3992ab6978" == cut(levels(*odd, *odd, "a"), RULE).id
    assert "discrete-00fee359fdb11890" == cut(levels(*many, cap=8), BinningRule(max_levels=5)).id
    assert "discrete-5742bc63e52b98ed" == cut(levels(*many, level_names="drop"), RULE).id
    assert "quantile-a43c15a5afd46492" == cut(numbers(np.arange(5000) / 7), RULE).id


def test_edges_of_coarse_numbers_are_the_bounds_of_buckets_nearest_to_the_quantiles() -> None:
    baseline = numbers(np.random.default_rng(3).lognormal(size=5000), buckets=64)
    histogram = baseline.histogram
    assert histogram is not None
    below = np.concatenate(([0], np.cumsum(histogram.counts)))
    light = bool((histogram.counts * 10 < 5000).all())

    places = [int(np.abs(below - share * 5000).argmin()) for share in np.arange(1, 10) / 10]

    assert light
    assert tuple(histogram.lower_edges()[sorted(set(places))].tolist()) == cut(baseline, RULE).edges


@given(st.lists(st.floats(-1e300, 1e300), min_size=20, max_size=120), st.data())
def test_no_order_of_rows_changes_a_cell(values: list[float], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(values))
    current = numbers(values[: len(values) // 2])

    expected = compare_cells(numbers(values), current, RULE)
    found = compare_cells(numbers(shuffled), current, RULE)

    assert expected.binning == found.binning
    assert expected.reference.tolist() == found.reference.tolist()


@pytest.mark.parametrize("seed", range(4))
def test_quantile_cells_follow_any_increasing_map(seed: int) -> None:
    rng = np.random.default_rng(seed)
    reference, current = rng.normal(size=1000), rng.normal(0.3, 1.2, size=700)

    expected = _psi(numbers(reference), numbers(current))

    for scaled in (lambda x: 1e-6 * x, lambda x: x * 3 - 7, np.arctan, lambda x: 1e200 * x):
        assert expected == pytest.approx(_psi(numbers(scaled(reference)), numbers(scaled(current))), abs=0.02)


def test_a_million_added_to_one_value_does_not_move_psi() -> None:
    rng = np.random.default_rng(9)
    reference, current = rng.normal(0, 1, 10_000), rng.normal(1, 1, 10_000)
    outlier = np.append(current, 1e6)

    expected = _psi(numbers(reference), numbers(current))

    assert expected == pytest.approx(_psi(numbers(reference), numbers(outlier)), rel=0.01)
    assert 1.0 == pytest.approx(expected, abs=0.1)


def test_a_column_without_values_cannot_be_cut() -> None:
    with pytest.raises(ValueError, match="without values"):
        cut(numbers([np.nan]), RULE)


def test_columns_of_different_forms_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="different forms"):
        compare_cells(numbers([1.0]), levels("a"), RULE)


def _psi(reference: ColumnProfile, current: ColumnProfile) -> float:
    cells = compare_cells(reference, current, RULE)
    return psi(cells.reference, cells.current)
