"""How far chance alone may move the scores of a regression: 95 % intervals from its error profile. Pure.

Means have Student's t, roots of means its roots, the median the percentile bootstrap in closed form. ``r2`` and
``wape`` are ratios of two means of the same rows: a profile keeps no rows to draw, so they have the delta method's
interval (Oehlert 1992), which the bootstrap tends to, from how both vary together. There is none for ``max_error``: a
resample never holds an error larger than the largest (Bickel and Freedman 1981).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import bdtrc

from airflow_monitoring_provider.metrics.intervals import CONFIDENCE, Interval, t_interval
from airflow_monitoring_provider.profiles.histogram import Histogram
from airflow_monitoring_provider.profiles.moments import Moments
from airflow_monitoring_provider.profiles.profile import RegressionProfile
from airflow_monitoring_provider.profiles.regression import ErrorSums


def regression_intervals(target: RegressionProfile, quantile: float) -> dict[str, Interval | None]:
    """Score -> low and high, as the formulas give them (they may be infinite or NaN where the errors are too large).

    :param quantile: the one that predictions aim at, for ``pinball``.
    """
    square = _mean_square(target.errors)
    found = {
        "mean_error": _mean_of(target.errors),
        "mae": _mean_of(target.absolute_errors),
        "mse": square,
        "rmse": _root(square),
        "mape": _mean_of(target.percentage_errors),
        "medae": _median(target.absolute_error_histogram),
        "mean_interval_width": None if target.intervals is None else _mean_of(target.intervals.widths),
    }
    if target.sums is None or target.labelled < 2:
        return found
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return found | _of_sums(target, target.sums, quantile)


def _of_sums(target: RegressionProfile, sums: ErrorSums, quantile: float) -> dict[str, Interval | None]:
    n = target.labelled
    pinball = (quantile - 0.5) * -target.errors.sum + target.absolute_errors.sum / 2
    below, above = ((target.squared_error_sum - sign * sums.signed_squares) / 2 for sign in (1, -1))
    defined = n - sums.poisson_undefined
    return {
        "rmsle": _root(_mean_of_sums(target.squared_log_error_sum, sums.log_error_fourths, n - target.log_undefined)),
        "smape": _mean_of_sums(target.smape_sum, sums.smape_squares, n),
        "pinball": _mean_of_sums(pinball, quantile**2 * below + (1 - quantile) ** 2 * above, n),
        "poisson_deviance": _mean_of_sums(sums.poisson, sums.poisson_squares, defined),
        "tweedie_deviance": _mean_of_sums(sums.tweedie, sums.tweedie_squares, defined),
        "gamma_deviance": _mean_of_sums(sums.gamma, sums.gamma_squares, n - sums.gamma_undefined),
        "r2": _r2(target, sums),
        "wape": _wape(target, sums),
    }


def _r2(target: RegressionProfile, sums: ErrorSums) -> Interval | None:
    """``1 - a / b`` with a = mean e^2 and b = mean (y - mean y)^2."""
    n, mean = target.labelled, target.actual.mean
    squares, spread = target.squared_error_sum / n, target.actual.m2 / n
    fourths = _raw_fourth(target.errors)
    together = (
        sums.square_times_square - 2 * mean * sums.square_times_actual + mean * mean * target.squared_error_sum
    ) / n
    found = _ratio(squares, spread, (fourths, together, target.actual.m4 / n), n)
    return None if found is None else (1 - found[1], 1 - found[0])


def _wape(target: RegressionProfile, sums: ErrorSums) -> Interval | None:
    """``a / b`` with a = mean |e| and b = mean |y|."""
    n, actual = target.labelled, target.actual
    squares = actual.m2 / n + np.square(actual.mean)
    means = (target.squared_error_sum / n, sums.error_times_actual / n, squares)
    return _ratio(target.absolute_errors.mean, target.absolute_actual_sum / n, means, n)


def _ratio(above: float, below: float, products: tuple[float, float, float], count: int) -> Interval | None:
    """Delta method of a ratio of means; ``products`` are the means of a^2, a b and b^2 over the rows."""
    if below <= 0:
        return None
    ratio = above / below
    first, both, last = products
    # a - ratio b has mean 0: its mean square is its variance.
    variance = (first - 2 * ratio * both + ratio * ratio * last) / (below * below)
    return t_interval(ratio, float(variance) * count / (count - 1), count)


def _mean_of_sums(total: float, squares: float, count: int) -> Interval | None:
    if count < 2:
        return None
    return t_interval(total / count, float(squares - np.square(total) / count) / (count - 1), count)


def _root(interval: Interval | None) -> Interval | None:
    return None if interval is None else (math.sqrt(max(interval[0], 0.0)), math.sqrt(max(interval[1], 0.0)))


def _raw_fourth(errors: Moments) -> float:
    """Mean fourth power, from central moments."""
    mean, squared = errors.mean, np.square(errors.mean)
    m2, m3, m4 = np.array([errors.m2, errors.m3, errors.m4]) / errors.count
    return float(m4 + 4 * mean * m3 + 6 * squared * m2 + squared * squared)


def _mean_of(moments: Moments) -> Interval | None:
    """:func:`t_interval` of the mean of values whose moments are known."""
    if moments.count < 2:
        return None
    return t_interval(moments.mean, moments.m2 / (moments.count - 1), moments.count)


def _mean_square(errors: Moments) -> Interval | None:
    """:func:`t_interval` of the mean square of values, from their first four moments."""
    n, mean = errors.count, errors.mean
    if n < 2:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        square = float(errors.m2 / n + np.square(mean))  # of NumPy's, so that it overflows to infinity
        variance = float((_raw_fourth(errors) - np.square(square)) * n / (n - 1))
    return t_interval(square, variance, n)


def _median(histogram: Histogram) -> Interval | None:
    """Percentile bootstrap of the median, without drawing: the limits that infinitely many resamples would give.

    A resample's lower median is at or below ``v`` iff at least half of its rows are: binomial, with the share of rows
    at or below ``v`` (Efron 1979). Within half a bucket where the histogram is coarse.
    """
    n = histogram.total
    if n < 2:
        return None
    share = np.cumsum(histogram.counts) / n
    # bdtrc is P(X > k), X binomial; undefined at a share of exactly 1, where it is certain.
    reached = np.where(share >= 1.0, 1.0, bdtrc((n + 1) // 2 - 1, n, np.minimum(share, 1.0)))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.searchsorted(reached, [tail, 1 - tail])
    values = histogram.representatives()
    last = values.size - 1
    return float(values[min(int(low), last)]), float(values[min(int(high), last)])
