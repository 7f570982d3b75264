"""What a model that looks at no feature would score: the line that a real one has to beat.

It knows the labelled rows of the baseline: it predicts their most frequent class, gives every row their class shares as
probabilities, and predicts their mean number, or their quantile where the loss is a quantile's: scikit-learn's
``DummyClassifier`` (``most_frequent``, ``prior``) and ``DummyRegressor`` (``mean``, ``median``, ``quantile``), fitted
on the baseline and scored on the current rows.
"""

from __future__ import annotations

import math

import numpy as np

from airflow_monitoring_provider.profiles.histogram import Histogram
from airflow_monitoring_provider.profiles.profile import ClassificationProfile, RegressionProfile

_EPS = float(np.finfo(np.float64).eps)


def dummy_scores(
    current: ClassificationProfile | RegressionProfile,
    baseline: ClassificationProfile | RegressionProfile,
    actuals: tuple[Histogram | None, Histogram | None] = (None, None),
    quantile: float = 0.5,
) -> dict[str, float]:
    """``accuracy``, ``log_loss`` and ``brier``, or ``mean_error``, ``mse``, ``rmse`` and ``r2`` of the mean, ``mae``
    and ``wape`` of the median and ``pinball`` of the quantile; units are the score's.

    :param actuals: the actual numbers of current and baseline rows; without them median and quantile are unknown.
        Within half a bucket where they are coarse.

    Both must be of one target (:func:`.performance` sees to it). Empty where either has no labelled row; a score that
    is not finite is left out.
    """
    if not current.labelled or not baseline.labelled:
        return {}
    if isinstance(current, RegressionProfile) and isinstance(baseline, RegressionProfile):
        found = _regression(current, baseline) | _quantiles(*actuals, quantile)
    elif isinstance(current, ClassificationProfile) and isinstance(baseline, ClassificationProfile):
        found = _classification(current, baseline)
    else:
        return {}
    return {name: score for name, score in found.items() if math.isfinite(score)}


def _classification(current: ClassificationProfile, baseline: ClassificationProfile) -> dict[str, float]:
    actual = current.actual / current.labelled
    prior = baseline.actual / baseline.labelled
    brier = float(np.square(prior).sum() - 2 * (actual @ prior) + 1)
    return {
        "accuracy": float(actual[int(np.argmax(prior))]),
        "log_loss": float(-(actual @ np.log(np.clip(prior, _EPS, 1 - _EPS)))),
        "brier": brier / 2 if prior.size == 2 else brier,  # of two classes it is the square of the positive one alone
    }


def _regression(current: RegressionProfile, baseline: RegressionProfile) -> dict[str, float]:
    off = baseline.actual.mean - current.actual.mean
    spread = current.actual.m2 / current.labelled
    with np.errstate(over="ignore", invalid="ignore"):
        mse = float(np.square(off) + spread)
    found = {"mean_error": off, "mse": mse, "rmse": math.sqrt(mse)}
    return {**found, "r2": 1 - mse / spread} if spread > 0 else found


def _quantiles(current: Histogram | None, baseline: Histogram | None, quantile: float) -> dict[str, float]:
    if current is None or baseline is None or not current.total or not baseline.total:
        return {}
    values, shares = current.representatives(), current.counts / current.total
    median, aim = baseline.quantile(0.5), baseline.quantile(quantile)
    with np.errstate(over="ignore", invalid="ignore"):
        mae, size = float(np.abs(values - median) @ shares), float(np.abs(values) @ shares)
        off = values - aim
        pinball = float(np.maximum(quantile * off, (quantile - 1) * off) @ shares)
    return {"mae": mae, **({"wape": mae / size} if size > 0 else {}), "pinball": pinball}
