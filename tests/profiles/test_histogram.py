"""The self-coarsening histogram against NumPy and SciPy on the raw values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from airflow_monitoring_provider.profiles import buckets as kernel
from airflow_monitoring_provider.profiles.histogram import Histogram, HistogramBuilder

finite = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 1e308])
unit = st.floats(0, 1) | st.sampled_from([0.0, 1.0, 0.5, math.nextafter(0.5, 1), 1e-300, 1 - 2**-53])


def test_few_distinct_values_are_kept_exactly() -> None:
    histogram = Histogram.of([3.5, -1.0, 3.5, 0.0, -0.0, 2.0**53 + 2])
    assert histogram.exact
    assert [-1.0, 0.0, 3.5, 2.0**53 + 2] == histogram.representatives().tolist()
    assert [1, 2, 2, 1] == histogram.counts.tolist()
    assert not np.signbit(histogram.representatives()[1])
    assert 1 / 3 == histogram.largest_share


@given(st.lists(finite, min_size=1), st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_quantiles_equal_numpy_while_exact(values: list[float], qs: list[float]) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        expected = np.quantile(values, qs)
    actual = Histogram.of(values).quantiles(qs)
    calculable = np.isfinite(expected)  # numpy overflows between the largest doubles of both signs
    assert expected[calculable].tolist() == actual[calculable].tolist()
    assert np.isfinite(actual).all()


@given(st.lists(finite, min_size=1, max_size=80), st.integers(2, 30))
def test_buckets_are_disjoint_intervals_that_hold_their_values(values: list[float], buckets: int) -> None:
    histogram = Histogram.of(values, buckets)
    lower, middle, upper = histogram.lower_edges(), histogram.representatives(), histogram.upper_edges()
    assert (lower <= middle).all()
    assert (middle <= upper).all()
    assert (upper[:-1] < lower[1:]).all()
    array = np.array(values)[:, None]
    assert ((array >= lower) & (array <= upper)).sum(axis=0).tolist() == histogram.counts.tolist()


@given(st.data(), st.booleans(), st.integers(2, 30))
def test_what_lies_outside_bounds_is_in_buckets_wholly_outside(
    data: st.DataObject, mirrored: bool, buckets: int
) -> None:
    kind = unit if mirrored else finite
    histogram = Histogram.of(data.draw(st.lists(kind, min_size=1, max_size=80)), buckets, mirrored=mirrored)
    low, high = sorted(data.draw(st.tuples(finite | unit, finite | unit)))

    outside = (histogram.upper_edges() < low) | (histogram.lower_edges() > high)

    assert int(histogram.counts[outside].sum()) == histogram.counts_outside(low, high)


@given(st.lists(finite, min_size=1, max_size=80), st.integers(2, 30), st.floats(0, 1))
def test_one_quantile_is_what_several_are(values: list[float], buckets: int, q: float) -> None:
    histogram = Histogram.of(values, buckets)

    assert histogram.quantiles([q]).tolist() == [histogram.quantile(q)]


@given(st.lists(unit, min_size=1, max_size=80), st.integers(2, 30), st.lists(unit, max_size=5))
def test_mirrored_buckets_are_in_value_order(values: list[float], buckets: int, edges: list[float]) -> None:
    histogram = Histogram.of(values, buckets, mirrored=True)
    lower, upper = histogram.lower_edges(), histogram.upper_edges()
    array = np.array(values)[:, None]
    assert (upper[:-1] < lower[1:]).all()
    assert ((array >= lower) & (array <= upper)).sum(axis=0).tolist() == histogram.counts.tolist()
    assert (array < histogram.snap(edges)).sum(axis=0).tolist() == histogram.counts_below(edges).tolist()


@given(st.lists(finite, min_size=1, max_size=80), st.integers(2, 30), st.lists(finite, max_size=5))
def test_counts_below_are_exact_at_the_snapped_edges(values: list[float], buckets: int, edges: list[float]) -> None:
    histogram = Histogram.of(values, buckets)
    array = np.array(values)[:, None]
    assert (array < histogram.snap(edges)).sum(axis=0).tolist() == histogram.counts_below(edges).tolist()
    exact = Histogram.of(values)
    assert (array < np.array(edges)).sum(axis=0).tolist() == exact.counts_below(edges).tolist()
    assert [0, len(values)] == histogram.counts_below([-math.inf, math.inf]).tolist()


def test_distribution_function_counts_values_up_to_a_point() -> None:
    histogram = Histogram.of([1, 2, 2, 4])
    assert [0.0, 0.25, 0.75, 0.75, 1.0, 0.0, 1.0] == histogram.cdf([0, 1, 2, 3, 4, -math.inf, math.inf]).tolist()
    assert np.isnan(Histogram.of([]).cdf([1])).all()


@pytest.mark.parametrize(
    ("name", "draw"),
    [
        ("normal", lambda rng, n: rng.normal(size=n)),
        ("lognormal", lambda rng, n: rng.lognormal(size=n)),
        ("cauchy", lambda rng, n: rng.standard_cauchy(size=n)),
        ("offset", lambda rng, n: rng.normal(285, 8, size=n)),
    ],
)
def test_coarse_histogram_stays_within_its_stated_precision(name: str, draw: object) -> None:
    rng = np.random.default_rng(7)
    a, b = draw(rng, 60_000), draw(rng, 60_000) * 1.02  # type: ignore[operator]
    left, right = Histogram.of(a), Histogram.of(b)
    assert not left.exact
    assert 1024 <= left.codes.size <= 2048 or name == "cauchy"

    widths = left.upper_edges() - left.lower_edges()
    qs = np.linspace(0, 1, 101)
    expected = np.quantile(a, qs)
    place = np.minimum(np.searchsorted(left.upper_edges(), expected), widths.size - 1)
    assert (np.abs(left.quantiles(qs) - expected) <= 0.5 * widths[place] + 1e-12 * np.abs(expected)).all()

    shift = max(left.shift, right.shift)
    left, right = left.coarsen(shift), right.coarsen(shift)
    points = np.union1d(left.upper_edges(), right.upper_edges())
    binned = float(np.abs(left.cdf(points) - right.cdf(points)).max())
    expected_ks = float(scipy.stats.ks_2samp(a, b).statistic)
    assert abs(binned - expected_ks) <= max(left.largest_share, right.largest_share)
    assert expected_ks == pytest.approx(binned, abs=2.3e-3)


def test_coarsening_equals_counting_coarsely() -> None:
    values = np.random.default_rng(1).normal(size=500)
    assert Histogram.of(values, 40) == Histogram.of(values).coarsen(Histogram.of(values, 40).shift).merge(
        Histogram.of([], 40)
    )
    assert Histogram.of(values).coarsen(0) == Histogram.of(values)


def test_weighted_values_count_as_repeated_ones() -> None:
    builder = HistogramBuilder(8)
    builder.update_counts(np.array([3.0, 1.0, 3.0]), np.array([2, 1, 4]))
    assert Histogram.of([3.0] * 6 + [1.0], 8) == builder.finish()


@pytest.mark.parametrize("bad", [[math.nan], [1.0, math.inf], [-math.inf]])
def test_values_that_are_not_finite_are_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="finite values only"):
        Histogram.of(bad)


def test_mirrored_histogram_refuses_what_is_no_probability() -> None:
    for bad in (-0.1, 1.1):
        with pytest.raises(ValueError, match="between 0 and 1"):
            Histogram.of([bad], mirrored=True)
    with pytest.raises(ValueError, match="cannot be merged"):
        Histogram.of([0.5]).merge(Histogram.of([0.5], mirrored=True))


def test_histogram_cannot_be_changed() -> None:
    histogram = Histogram.of([1.0, 2.0])
    with pytest.raises(ValueError, match="read-only"):
        histogram.counts[0] = 5
    with pytest.raises(AttributeError):
        histogram.shift = 3  # type: ignore[misc]


def test_quantiles_outside_the_unit_interval_are_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Histogram.of([1.0]).quantile(1.5)
    assert math.isnan(Histogram.of([]).quantile(0.5))
    with pytest.raises(ValueError, match="at least 2 buckets"):
        Histogram.of([1.0], 1)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=60, unique=True), st.integers(2, 20))
def test_surplus_bits_are_the_fewest_that_fit(codes: list[int], limit: int) -> None:
    ordered = np.array(sorted(codes), np.int64)
    fitting = next(bits for bits in range(64) if np.unique(ordered >> bits).size <= limit)
    assert fitting == kernel.surplus_bits(ordered, limit)


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 300), min_size=1, max_size=60, unique=True),
    st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 300), max_size=80),
)
def test_known_and_unknown_codes_are_counted_as_by_a_dictionary(known: list[int], codes: list[int]) -> None:
    ordered = np.array(sorted(known), np.int64)
    counts, rest = kernel.KnownCodes(ordered).count(np.array(codes * 3 or [ordered[0]], np.int64))
    given = codes * 3 or [int(ordered[0])]
    assert [given.count(code) for code in ordered.tolist()] == counts.tolist()
    assert sorted(code for code in given if code not in known) == sorted(rest.tolist())
    distinct, times = kernel.count(np.array(given, np.int64))
    expected, expected_times = np.unique(given, return_counts=True)
    assert (expected.tolist(), expected_times.tolist()) == (distinct.tolist(), times.tolist())
