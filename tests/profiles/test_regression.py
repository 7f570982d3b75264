"""Regression profiles against golden numbers and scikit-learn on the raw rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sklearn.metrics as sk

from airflow_monitoring_provider.profiles.regression import RegressionProfile


def test_golden_regression_fixture() -> None:
    profile = RegressionProfile.of([2.5, 0, 2, 8], [3, -0.5, 2, 7])
    assert 4 == profile.labelled
    assert profile.errors.mean == pytest.approx(0.25, abs=1e-8)
    assert profile.absolute_errors.mean == pytest.approx(0.5, abs=1e-8)
    assert profile.squared_error_sum / 4 == pytest.approx(0.375, abs=1e-8)
    assert profile.percentage_errors.mean == pytest.approx(0.32738095, abs=1e-8)
    assert 1 - profile.squared_error_sum / profile.actual.m2 == pytest.approx(0.94860814, abs=1e-8)
    assert profile.absolute_error_histogram.quantile(0.5) == pytest.approx(0.5, abs=1e-8)
    assert profile.absolute_errors.sum / profile.absolute_actual_sum == pytest.approx(0.16, abs=1e-8)
    assert profile.smape_sum / 4 == pytest.approx(0.57878788, abs=1e-8)
    assert profile.max_error == 1


def test_sums_equal_scikit_learn() -> None:
    rng = np.random.default_rng(9)
    actual = rng.gamma(2, 10, 4000)
    predicted = np.abs(actual + rng.normal(0, 3, 4000))
    profile = RegressionProfile.of(predicted, actual)
    n = profile.labelled
    assert sk.mean_absolute_error(actual, predicted) == pytest.approx(profile.absolute_errors.mean, rel=1e-12)
    assert sk.mean_squared_error(actual, predicted) == pytest.approx(profile.squared_error_sum / n, rel=1e-12)
    assert sk.mean_squared_log_error(actual, predicted) == pytest.approx(profile.squared_log_error_sum / n, rel=1e-10)
    assert sk.mean_absolute_percentage_error(actual, predicted) == pytest.approx(profile.percentage_errors.mean)
    assert sk.max_error(actual, predicted) == profile.max_error
    median = sk.median_absolute_error(actual, predicted)
    assert median == pytest.approx(profile.absolute_error_histogram.quantile(0.5), rel=2e-3)


def test_rows_without_a_finite_actual_are_scored_only() -> None:
    profile = RegressionProfile.of([1.0, 2.0, 3.0], [math.nan, 2.5, math.nan], invalid_actual=1)
    assert (3, 1, 1) == (profile.scored, profile.labelled, profile.invalid_actual)


def test_zero_and_negative_actuals_are_left_out_where_undefined() -> None:
    profile = RegressionProfile.of([0.0, 1.0, -3.0, 1.0], [0.0, 0.0, 2.0, -1.0])
    assert 2 == profile.zero_actuals
    assert 2 == profile.percentage_errors.count
    assert 2 == profile.log_undefined
    assert 0 + 2 + 2 + 2 == profile.smape_sum  # 0/0 counts nothing


def test_huge_errors_neither_raise_nor_become_nan() -> None:
    profile = RegressionProfile.of([1.7e308, -1.7e308], [-1.7e308, 1.7e308])
    assert math.inf == profile.squared_error_sum
    assert 4.0 == profile.smape_sum
    assert np.finfo(np.float64).max == profile.max_error


@pytest.mark.parametrize("rows", [1, 300, 20_000])
def test_deviances_equal_scikit_learn(rows: int) -> None:
    rng = np.random.default_rng(rows)
    actual = rng.gamma(2, 10, rows)
    predicted = actual * rng.lognormal(0, 0.4, rows)
    sums = RegressionProfile.of(predicted, actual).sums
    assert sums is not None
    expected = [sk.mean_tweedie_deviance(actual, predicted, power=power) for power in (1, 1.5, 2)]
    assert expected == pytest.approx([total / rows for total in (sums.poisson, sums.tweedie, sums.gamma)], rel=1e-10)
    assert (0, 0) == (sums.poisson_undefined, sums.gamma_undefined)


def test_actuals_of_zero_have_a_poisson_and_no_gamma_deviance() -> None:
    actual, predicted = np.array([0.0, 1.0, 0.0, 4.0]), np.array([0.5, 1.5, 2.0, 3.0])
    sums = RegressionProfile.of(predicted, actual).sums
    assert sums is not None
    assert sk.mean_poisson_deviance(actual, predicted) == pytest.approx(sums.poisson / 4)
    assert sk.mean_tweedie_deviance(actual, predicted, power=1.5) == pytest.approx(sums.tweedie / 4)
    assert sk.mean_gamma_deviance(actual[[1, 3]], predicted[[1, 3]]) == pytest.approx(sums.gamma / 2)
    assert (0, 2) == (sums.poisson_undefined, sums.gamma_undefined)


def test_rows_outside_the_domain_of_a_deviance_are_counted() -> None:
    sums = RegressionProfile.of([0.0, -1.0, 2.0, 1.0], [1.0, 1.0, -3.0, 1.0]).sums
    assert sums is not None
    assert (3, 3, 0.0) == (sums.poisson_undefined, sums.gamma_undefined, sums.poisson)


def test_ratios_outside_the_range_of_a_double_keep_their_deviance() -> None:
    sums = RegressionProfile.of([1e200], [1e-200]).sums
    assert sums is not None
    assert 2e200 == pytest.approx(sums.poisson)  # y ln(y / p) and y vanish beside p
    assert 2 * (400 * math.log(10) - 1) == pytest.approx(sums.gamma)
    huge = RegressionProfile.of([1.7e308, 1e300], [0.0, -1e300]).sums
    assert huge is not None
    assert math.inf == huge.square_times_actual
    assert huge == huge.merge()
