"""Moments against golden numbers, SciPy and exact rational arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.stats

from airflow_monitoring_provider.profiles.moments import Moments


def test_golden_fixture_of_the_statistics_reference() -> None:
    merged = Moments.of([1, 2, 4]).merge(Moments.of([3, 7, 9, 9]))
    assert merged.count == 7
    assert merged.mean == pytest.approx(5, abs=1e-8)
    assert merged.variance(0) == pytest.approx(9.42857143, abs=1e-8)
    assert merged.skew == pytest.approx(0.17763789, abs=1e-8)
    assert merged.kurtosis == pytest.approx(-1.58264463, abs=1e-8)


def test_moments_equal_numpy_and_scipy() -> None:
    values = np.random.default_rng(3).gamma(2.0, 3.0, 5000)
    moments = Moments.of(values)
    assert values.mean() == pytest.approx(moments.mean, rel=1e-12)
    assert values.sum() == pytest.approx(moments.sum, rel=1e-12)
    assert values.var(ddof=1) == pytest.approx(moments.variance(), rel=1e-12)
    assert values.std(ddof=0) == pytest.approx(moments.std(0), rel=1e-12)
    assert scipy.stats.skew(values) == pytest.approx(moments.skew, rel=1e-10)
    assert scipy.stats.kurtosis(values) == pytest.approx(moments.kurtosis, rel=1e-10)


def test_merging_keeps_the_digits_of_tiny_spreads_on_a_large_offset() -> None:
    values = 1e9 + 0.001 * np.random.default_rng(5).normal(size=20_000)
    merged = Moments()
    for part in np.array_split(values, 317):
        merged = merged.merge(Moments.of(part))
    exact = [Fraction(float(v)) for v in values]
    mean = sum(exact, Fraction(0)) / len(exact)
    variance = sum(((v - mean) ** 2 for v in exact), Fraction(0)) / len(exact)
    assert float(variance) == pytest.approx(merged.variance(0), rel=1e-12)
    assert abs(Fraction(merged.mean_high) + Fraction(merged.mean_low) - mean) < Fraction(1, 10**15)


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1.7e308])
def test_shape_does_not_depend_on_magnitude(scale: float) -> None:
    values = np.random.default_rng(2).uniform(-1, 1, 400) ** 3
    expected, actual = Moments.of(values), Moments.of(values[:11] * scale).merge(Moments.of(values[11:] * scale))
    assert expected.skew == pytest.approx(actual.skew, rel=1e-9)
    assert expected.kurtosis == pytest.approx(actual.kurtosis, rel=1e-9)
    assert expected.std() * scale == pytest.approx(actual.std(), rel=1e-9)


def test_weighted_moments_equal_repeated_values() -> None:
    expected = Moments.of([1, 1, 1, 5, 9, 9])
    actual = Moments.of_counts([1, 5, 9], [3, 1, 2])
    assert expected.count == actual.count
    assert expected.m4 == pytest.approx(actual.m4)
    assert expected.mean == pytest.approx(actual.mean)
    assert Moments() == Moments.of_counts([], [])


def test_undefined_moments_are_nan() -> None:
    empty, one, constant = Moments(), Moments.of([3.0]), Moments.of([0.1] * 7)
    assert all(math.isnan(v) for v in (empty.mean, empty.variance(), empty.std(), empty.skew, empty.kurtosis))
    assert empty.sum == 0
    assert math.isnan(one.variance())
    assert one.variance(0) == 0
    assert constant.variance() == 0
    assert math.isnan(constant.skew)


def test_overflowing_answers_are_infinite() -> None:
    moments = Moments.of([1.7e308, -1.7e308, 1e308])
    assert moments.variance() == math.inf
    assert math.isfinite(moments.std())
    assert math.isfinite(moments.mean)
