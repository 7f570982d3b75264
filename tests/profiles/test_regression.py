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
