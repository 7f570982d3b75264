"""Scores of a regression from its error profile. Pure; a number or the :class:`Reason` why there is none.

Errors are prediction - actual; all sums run over rows that have both. Names are scikit-learn's where it has them.
"""

from __future__ import annotations

import math

from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.profiles.profile import RegressionProfile

Score = float | Reason


def regression_scores(target: RegressionProfile, quantile: float = 0.5) -> dict[str, Score]:
    """Every score, in a fixed order.

    :param quantile: of the actuals, that the predictions aim at; ``pinball`` is its loss, in the target's unit:
        ``quantile (y - p)`` below the actual and ``(1 - quantile) (p - y)`` above, on the mean.

    ``medae`` is the median of the error histogram: exact up to its number of buckets, else within half a bucket.
    ``mape`` runs over non-zero actuals, where scikit-learn divides by a tiny number instead. Units are those of the
    target, except ``mse`` (squared), ``tweedie_deviance`` (of power 1.5; its root), ``r2``, ``mape``, ``wape``,
    ``smape`` and ``gamma_deviance`` (none).
    """
    rows = target.labelled
    if not rows:
        return dict.fromkeys(REGRESSION_SCORES, Reason.NO_ACTUALS)
    mse = target.squared_error_sum / rows
    spread = target.actual.m2
    percentages = target.percentage_errors
    return {
        "mean_error": target.errors.mean,
        "mae": target.absolute_errors.mean,
        "mse": mse,
        "rmse": math.sqrt(mse) if mse >= 0 else math.nan,
        "rmsle": _rmsle(target),
        "medae": target.absolute_error_histogram.quantile(0.5),
        "max_error": target.max_error if target.max_error is not None else Reason.NO_DATA,
        "r2": 1 - target.squared_error_sum / spread if spread > 0 else Reason.ZERO_DENOMINATOR,
        "mape": percentages.mean if percentages.count else Reason.ZERO_DENOMINATOR,
        "wape": _share(target.absolute_errors.sum, target.absolute_actual_sum),
        "smape": target.smape_sum / rows,
        "pinball": (quantile - 0.5) * -target.errors.mean + target.absolute_errors.mean / 2,
        **_deviances(target),
    }


DEVIANCES = ("poisson_deviance", "tweedie_deviance", "gamma_deviance")
REGRESSION_SCORES = (
    *("mean_error", "mae", "mse", "rmse", "rmsle", "medae", "max_error", "r2", "mape", "wape", "smape", "pinball"),
    *DEVIANCES,
)


def _deviances(target: RegressionProfile) -> dict[str, Score]:
    """Mean deviances; undefined as a whole where one row has none, as in scikit-learn."""
    sums, rows = target.sums, target.labelled
    if sums is None:
        return dict.fromkeys(DEVIANCES, Reason.NOT_RECORDED)
    return {
        "poisson_deviance": Reason.OUT_OF_DOMAIN if sums.poisson_undefined else sums.poisson / rows,
        "tweedie_deviance": Reason.OUT_OF_DOMAIN if sums.poisson_undefined else sums.tweedie / rows,
        "gamma_deviance": Reason.OUT_OF_DOMAIN if sums.gamma_undefined else sums.gamma / rows,
    }


def _rmsle(target: RegressionProfile) -> Score:
    if target.log_undefined:
        return Reason.NEGATIVE_VALUES
    return math.sqrt(target.squared_log_error_sum / target.labelled)


def _share(above: float, below: float) -> Score:
    return above / below if below > 0 else Reason.ZERO_DENOMINATOR
