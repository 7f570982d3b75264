"""A value against its own past: ``history_z[<metric>]``, its distance from the values of the windows before.

``z = (x - mean) / sd`` with the sample's standard deviation (``ddof=1``, as SQL's ``stddev`` and Elementary's anomaly
tests have it), or where the definition asks for robust ones ``(x - median) / (1.4826 MAD)``
(``scipy.stats.median_abs_deviation(scale="normal")``). The window itself is no part of what it is held against.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from airflow_monitoring_provider.definitions.history import MetricHistory, history_id
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.values import Direction, MetricValue, ResultKind

NORMAL = 1.482602218505602
"""Standard deviation over MAD of a normal distribution: ``1 / scipy.stats.norm.ppf(0.75)``."""

_WORSE = {"both": Direction.TWO_SIDED, "spike": Direction.LOWER_IS_BETTER, "drop": Direction.HIGHER_IS_BETTER}


def history_value(value: MetricValue, before: Sequence[float], history: MetricHistory) -> MetricValue:
    """The z of a value.

    :param value: of the window; without a number its reason is handed on.
    :param before: the metric's values in earlier windows, the newest first; no more than ``history.window`` count.
    """
    points = np.asarray(before[: history.window], dtype=float)
    details: dict[str, float | str | bool] = {"metric": value.name, "points": len(points), "robust": history.robust}
    blank = MetricValue(
        history_id(value.name),
        ResultKind.DATA_QUALITY,
        _WORSE[history.direction],
        None,
        column=value.column,
        segment=value.segment,
        m=value.m,
        details=details,
    )
    if value.value is None:
        return dataclasses.replace(blank, reason=value.reason or Reason.NO_DATA)
    details["observed"] = value.value
    if len(points) < history.least:
        return dataclasses.replace(blank, reason=Reason.INSUFFICIENT_DATA)
    centre, spread = _robust(points) if history.robust else (float(points.mean()), float(points.std(ddof=1)))
    if points.min() == points.max():  # the mean of equal numbers may differ from them in the last bit
        centre, spread = float(points[0]), 0.0
    details |= {"centre": centre, "spread": spread}
    if not spread:
        return dataclasses.replace(blank, reason=Reason.ZERO_DENOMINATOR)
    z = (value.value - centre) / spread
    if not math.isfinite(z):
        return dataclasses.replace(blank, reason=Reason.NOT_FINITE)
    return dataclasses.replace(blank, value=z)


def _robust(points: np.ndarray) -> tuple[float, float]:
    centre = float(np.median(points))
    return centre, NORMAL * float(np.median(np.abs(points - centre)))
