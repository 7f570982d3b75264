"""Where predicted numbers met actuals: what every regression error is made of.

Counts, the histogram and the largest error merge exactly, moments and sums to 1e-9 relative to scale.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from airflow_monitoring_provider.profiles.histogram import DEFAULT_BUCKETS, Histogram, HistogramBuilder
from airflow_monitoring_provider.profiles.moments import Moments

FloatArray = npt.NDArray[np.float64]

_NONE = Moments()
_BLOCK = 1 << 13  # rows whose intermediate arrays stay in the cache; of more, BLAS starts threads for a dot product


@dataclasses.dataclass(frozen=True)
class ErrorSums:
    """What deviances, and the intervals of ratios and of means without moments, are made of.

    y actuals, p predictions, e errors; the deviances are unit deviances, ``sklearn.metrics.mean_tweedie_deviance`` of
    power 1, 1.5 and 2, each with the sum of its squares. Poisson and Tweedie leave out ``poisson_undefined`` rows
    (y < 0 or p <= 0), gamma ``gamma_undefined`` (y <= 0 or p <= 0). Sums past the range of a double are infinite.
    """

    signed_squares: float = 0.0  # e |e|
    error_times_actual: float = 0.0  # |e y|
    square_times_actual: float = 0.0  # e^2 y
    square_times_square: float = 0.0  # e^2 y^2
    smape_squares: float = 0.0
    log_error_fourths: float = 0.0  # fourth powers of the differences of logarithms
    poisson: float = 0.0
    poisson_squares: float = 0.0
    tweedie: float = 0.0
    tweedie_squares: float = 0.0
    gamma: float = 0.0
    gamma_squares: float = 0.0
    poisson_undefined: int = 0
    gamma_undefined: int = 0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if math.isnan(getattr(self, field.name)):  # infinity less infinity: a profile must equal itself
                object.__setattr__(self, field.name, math.inf)

    def merge(self, *others: ErrorSums) -> ErrorSums:
        """The sums over all sets of rows."""
        fields = [field.name for field in dataclasses.fields(self)]
        return ErrorSums(**{name: sum(getattr(one, name) for one in (self, *others)) for name in fields})


@dataclasses.dataclass(frozen=True)
class IntervalCounts:
    """Where actuals lie of the intervals that were predicted with them, over labelled rows.

    :param rows: those whose interval has two finite ends, the lower one not above the upper one.
    :param below, above: of these, whose actual lies under the lower end, over the upper end; the ends belong to it.
    :param missing: labelled rows that lack an end, ``crossed`` ones whose ends are the wrong way round.
    :param widths: moments of upper less lower end over ``rows``.
    """

    rows: int = 0
    below: int = 0
    above: int = 0
    missing: int = 0
    crossed: int = 0
    widths: Moments = _NONE

    @property
    def inside(self) -> int:
        """Rows whose actual lies in its interval."""
        return self.rows - self.below - self.above

    @classmethod
    def of(cls, actuals: FloatArray, lower: FloatArray, upper: FloatArray) -> IntervalCounts:
        """Count labelled rows; an end that is not finite is none."""
        there = np.isfinite(lower) & np.isfinite(upper)
        usable = there & (lower <= upper)
        y, low, high = actuals[usable], lower[usable], upper[usable]
        with np.errstate(over="ignore"):
            widths = np.minimum(high - low, np.finfo(np.float64).max)
        return cls(
            rows=y.size,
            below=int(np.count_nonzero(y < low)),
            above=int(np.count_nonzero(y > high)),
            missing=int(there.size - np.count_nonzero(there)),
            crossed=int(np.count_nonzero(there)) - y.size,
            widths=Moments.of(widths),
        )

    def merge(self, *others: IntervalCounts) -> IntervalCounts:
        """The counts over all sets of rows."""
        counts = {
            field.name: sum(getattr(one, field.name) for one in (self, *others))
            for field in dataclasses.fields(self)
            if field.name != "widths"
        }
        return IntervalCounts(**counts, widths=self.widths.merge(*(other.widths for other in others)))


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
    :param intervals: where the actuals lie of predicted intervals; None where there are none.
    :param sums: what further scores and intervals are made of; None where an older version did not record it.
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
    sums: ErrorSums | None = ErrorSums()
    intervals: IntervalCounts | None = None

    @classmethod
    def of(
        cls,
        predictions: npt.ArrayLike,
        actuals: npt.ArrayLike,
        *,
        invalid_actual: int = 0,
        buckets: int = DEFAULT_BUCKETS,
        ends: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    ) -> RegressionProfile:
        """Profile scored rows.

        :param predictions: (n,) finite numbers.
        :param actuals: (n,), NaN is no actual.
        :param invalid_actual: how many of those NaN stand for an actual that is there but is no finite number.
        :param ends: lower and upper ends of the predicted intervals, each (n,), NaN is none.
        """
        builder = RegressionBuilder(buckets, intervals=ends is not None)
        pair = None if ends is None else (np.asarray(ends[0], np.float64), np.asarray(ends[1], np.float64))
        builder.update(np.asarray(predictions, np.float64), np.asarray(actuals, np.float64), invalid_actual, pair)
        return builder.finish()

    def merge(self, *others: RegressionProfile) -> RegressionProfile:
        """The profile of all sets of rows."""
        values: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            mine, theirs = getattr(self, field.name), [getattr(other, field.name) for other in others]
            if field.name == "max_error":
                values[field.name] = max((error for error in (mine, *theirs) if error is not None), default=None)
            elif field.name in ("sums", "intervals"):
                values[field.name] = None if mine is None or None in theirs else mine.merge(*theirs)
            elif isinstance(mine, Moments | Histogram):
                values[field.name] = mine.merge(*theirs)
            else:
                values[field.name] = sum(theirs, start=mine)
        return RegressionProfile(**values)


class RegressionBuilder:
    """Collects scored rows batch by batch.

    :param intervals: predictions come with intervals.
    """

    def __init__(self, buckets: int = DEFAULT_BUCKETS, *, intervals: bool = False) -> None:
        self._histogram = HistogramBuilder(buckets)
        self._sum = RegressionProfile(
            absolute_error_histogram=Histogram.of((), buckets), intervals=IntervalCounts() if intervals else None
        )
        self._empty = self._sum.absolute_error_histogram

    def update(
        self,
        predictions: FloatArray,
        actuals: FloatArray,
        invalid_actual: int = 0,
        ends: tuple[FloatArray, FloatArray] | None = None,
    ) -> None:
        """Add rows with finite predictions; NaN actuals are missing, ``invalid_actual`` of them invalid.

        :param ends: of the predicted intervals, lower and upper.
        """
        labelled = np.isfinite(actuals)
        y, p = actuals[labelled], predictions[labelled]
        found = self._of_labelled(predictions.size, y, p, invalid_actual)
        if ends is not None:
            found = dataclasses.replace(found, intervals=IntervalCounts.of(y, ends[0][labelled], ends[1][labelled]))
        self._sum = self._sum.merge(found)

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
                sums=_sums(y, p, errors, ratio[scale > 0], logs),
            )


def _sums(y: FloatArray, p: FloatArray, errors: FloatArray, ratios: FloatArray, logs: FloatArray) -> ErrorSums:
    blocks = range(0, max(y.size, 1), _BLOCK)
    first = ErrorSums(
        smape_squares=float(np.square(ratios).sum()), log_error_fourths=float(np.square(np.square(logs)).sum())
    )
    return first.merge(*(_block(*(x[start : start + _BLOCK] for x in (y, p, errors))) for start in blocks))


def _block(y: FloatArray, p: FloatArray, errors: FloatArray) -> ErrorSums:
    squares, product = np.square(errors), errors * y
    poisson, tweedie, gamma, zeros = _deviances(y, p)
    negative = int(np.count_nonzero((y < 0) | (p <= 0)))
    return ErrorSums(
        signed_squares=float(errors @ np.abs(errors)),
        error_times_actual=float(np.abs(product).sum()),
        square_times_actual=float(squares @ y),
        square_times_square=_squares(product),
        poisson=float(poisson.sum()),
        poisson_squares=_squares(poisson),
        tweedie=float(tweedie.sum()),
        tweedie_squares=_squares(tweedie),
        gamma=float(gamma.sum()),
        gamma_squares=_squares(gamma),
        poisson_undefined=negative,
        gamma_undefined=negative + zeros,
    )


def _deviances(y: FloatArray, p: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, int]:
    """Unit deviances of Poisson, of Tweedie with power 1.5, and gamma, of the rows that have them; rows with y = 0 only
    have the first two, and are counted.
    """
    both = (y > 0) & (p > 0)
    zero = p[(y == 0) & (p > 0)]
    if not both.all():
        y, p = y[both], p[both]
    ratio = y / p
    log_ratio = np.log(ratio)
    rough = (ratio < np.finfo(np.float64).tiny) | np.isinf(ratio)  # it left the range of doubles, or lost its digits
    if rough.any():
        log_ratio[rough] = np.log(y[rough]) - np.log(p[rough])
    poisson = 2.0 * np.maximum(y * log_ratio - y + p, 0.0)
    root = np.sqrt(p)
    tweedie = 4.0 * np.square(np.sqrt(y) - root) / root
    gamma = 2.0 * np.maximum(ratio - 1.0 - log_ratio, 0.0)
    if zero.size:
        poisson = np.concatenate((poisson, 2.0 * zero))
        tweedie = np.concatenate((tweedie, 4.0 * np.sqrt(zero)))
    return poisson, tweedie, gamma, int(zero.size)


def _squares(values: FloatArray) -> float:
    return float(values @ values)
