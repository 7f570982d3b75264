"""Where predicted numbers met actuals: what every regression error is made of.

Counts, the histogram and the largest error merge exactly, moments and sums to 1e-9 relative to scale.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from airflow_monitoring_provider.profiles.histogram import DEFAULT_BUCKETS, Histogram, HistogramBuilder
from airflow_monitoring_provider.profiles.moments import Moments

FloatArray = npt.NDArray[np.float64]

_NONE = Moments()


@dataclasses.dataclass(frozen=True)
class RegressionProfile:
    """Errors are prediction - actual; *labelled* rows have a valid prediction and a finite actual.

    :param scored: rows with a valid prediction.
    :param labelled: rows that have both.
    :param invalid_actual: scored rows whose actual is there but is no finite number.
    :param errors, predicted, actual: moments over labelled rows.
    :param absolute_errors: moments of ``|e|``; ``absolute_error_histogram`` the same values; ``max_error`` the largest.
    :param squared_error_sum: of ``e**2``.
    :param percentage_errors: moments of ``|e / y|`` over non-zero actuals; ``zero_actuals`` rows were left out.
    :param smape_sum: of ``2 |e| / (|y| + |prediction|)``, 0/0 = 0.
    :param squared_log_error_sum: of ``(ln(1 + prediction) - ln(1 + y))**2`` where both are above -1;
        ``log_undefined`` rows are not.
    :param absolute_actual_sum: of ``|y|``.
    """

    scored: int = 0
    labelled: int = 0
    invalid_actual: int = 0
    errors: Moments = _NONE
    absolute_errors: Moments = _NONE
    absolute_error_histogram: Histogram = dataclasses.field(default_factory=lambda: Histogram.of(()))
    max_error: float | None = None
    squared_error_sum: float = 0.0
    predicted: Moments = _NONE
    actual: Moments = _NONE
    percentage_errors: Moments = _NONE
    zero_actuals: int = 0
    smape_sum: float = 0.0
    squared_log_error_sum: float = 0.0
    log_undefined: int = 0
    absolute_actual_sum: float = 0.0

    @classmethod
    def of(
        cls,
        predictions: npt.ArrayLike,
        actuals: npt.ArrayLike,
        *,
        invalid_actual: int = 0,
        buckets: int = DEFAULT_BUCKETS,
    ) -> RegressionProfile:
        """Profile scored rows.

        :param predictions: (n,) finite numbers.
        :param actuals: (n,), NaN is no actual.
        :param invalid_actual: how many of those NaN stand for an actual that is there but is no finite number.
        """
        builder = RegressionBuilder(buckets)
        builder.update(np.asarray(predictions, np.float64), np.asarray(actuals, np.float64), invalid_actual)
        return builder.finish()

    def merge(self, *others: RegressionProfile) -> RegressionProfile:
        """The profile of all sets of rows."""
        values: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            mine, theirs = getattr(self, field.name), [getattr(other, field.name) for other in others]
            if field.name == "max_error":
                values[field.name] = max((error for error in (mine, *theirs) if error is not None), default=None)
            elif isinstance(mine, Moments | Histogram):
                values[field.name] = mine.merge(*theirs)
            else:
                values[field.name] = sum(theirs, start=mine)
        return RegressionProfile(**values)


class RegressionBuilder:
    """Collects scored rows batch by batch."""

    def __init__(self, buckets: int = DEFAULT_BUCKETS) -> None:
        self._histogram = HistogramBuilder(buckets)
        self._sum = RegressionProfile(absolute_error_histogram=Histogram.of((), buckets))
        self._empty = self._sum.absolute_error_histogram

    def update(self, predictions: FloatArray, actuals: FloatArray, invalid_actual: int = 0) -> None:
        """Add rows with finite predictions; NaN actuals are missing, ``invalid_actual`` of them invalid."""
        labelled = np.isfinite(actuals)
        y, p = actuals[labelled], predictions[labelled]
        self._sum = self._sum.merge(self._of_labelled(predictions.size, y, p, invalid_actual))

    def finish(self) -> RegressionProfile:
        """The profile of everything so far."""
        return dataclasses.replace(self._sum, absolute_error_histogram=self._histogram.finish())

    def _of_labelled(self, scored: int, y: FloatArray, p: FloatArray, invalid_actual: int) -> RegressionProfile:
        with np.errstate(over="ignore", invalid="ignore", under="ignore", divide="ignore"):
            errors = np.clip(p - y, -np.finfo(np.float64).max, np.finfo(np.float64).max)
            absolute = np.abs(errors)
            self._histogram.update(absolute)
            nonzero = y != 0
            ratios = absolute[nonzero] / np.abs(y[nonzero])
            scale = np.abs(y) + np.abs(p)
            halves = np.abs(y) * 0.5 + np.abs(p) * 0.5  # where the sum overflows
            far = np.abs(p * 0.5 - y * 0.5)
            ratio = 2.0 * np.where(np.isinf(scale), far / halves, absolute / scale)
            defined = (y > -1) & (p > -1)
            logs = np.log1p(p[defined]) - np.log1p(y[defined])
            return RegressionProfile(
                scored=scored,
                labelled=y.size,
                invalid_actual=invalid_actual,
                errors=Moments.of(errors),
                absolute_errors=Moments.of(absolute),
                absolute_error_histogram=self._empty,
                max_error=float(absolute.max()) if y.size else None,
                squared_error_sum=float(np.square(errors).sum()),
                predicted=Moments.of(p),
                actual=Moments.of(y),
                percentage_errors=Moments.of(ratios[np.isfinite(ratios)]),
                zero_actuals=int(y.size - np.count_nonzero(nonzero)),
                smape_sum=float(ratio[scale > 0].sum()),
                squared_log_error_sum=float(np.square(logs).sum()),
                log_undefined=int(y.size - np.count_nonzero(defined)),
                absolute_actual_sum=float(np.abs(y).sum()),
            )
