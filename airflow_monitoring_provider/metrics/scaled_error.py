"""What the mean absolute error is divided by: the error of a naive forecast, of the baseline's actuals or given.

The mean absolute scaled error (Hyndman and Koehler 2006) is the mean absolute error over that of a forecast which
takes for each row the actual ``lag`` rows before it in the same series. It has no unit, and at 1 the model is no better
on its rows than the naive forecast was on the baseline's. Of several series the errors are put together before they are
divided, so that a long series counts more than a short one. The scale is a constant: its own chance is not in the
interval.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.profiles.profile import Profile
from airflow_monitoring_provider.profiles.series import SeriesProfile

if TYPE_CHECKING:
    from airflow_monitoring_provider.definitions.naive_forecast import NaiveForecast


@dataclasses.dataclass(frozen=True, slots=True)
class Scale:
    """The error of the naive forecast, in the target's unit, or why there is none; ``details`` say how it was found."""

    value: float | Reason
    details: dict[str, Any] = dataclasses.field(default_factory=dict)


def naive_scale(asked: NaiveForecast, baseline: Profile | None, current: Profile, minimum: int) -> Scale:
    """The scale for the current rows.

    :param minimum: differences that the baseline's must be the mean of.
    """
    if asked.scale is not None:
        return Scale(asked.scale, {"scale": asked.scale})
    if baseline is None:
        return Scale(Reason.BASELINE_MISSING)
    found = baseline.series
    if found is None or baseline.plan.series != current.plan.series:
        return Scale(Reason.NOT_RECORDED)
    details = {
        "lag": found.lag,
        "series": int(found.keys.size),
        "differences": found.errors.count,
        "incomplete_rows": found.incomplete,
    }
    reason = _reason(found, minimum)
    if reason is not None:
        unordered = {"unordered_rows": found.unordered} if reason is Reason.UNORDERED_ROWS else {}
        return Scale(reason, {} if found.beyond else {**details, **unordered})
    return Scale(found.errors.mean, {"scale": found.errors.mean, **details})


def _reason(found: SeriesProfile, minimum: int) -> Reason | None:
    if found.beyond:
        return Reason.TOO_MANY_ROWS
    if not found.rows:
        return Reason.NO_ACTUALS if not found.incomplete else Reason.NO_DATA
    if found.unordered:
        return Reason.UNORDERED_ROWS
    if found.errors.count < max(minimum, 1):
        return Reason.INSUFFICIENT_DATA
    return None if found.errors.mean > 0 else Reason.ZERO_DENOMINATOR
