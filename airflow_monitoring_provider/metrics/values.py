"""What comparing gives: one value per metric, column and segment, in long form, without a status.

A value is a number or ``None`` with a reason, never both and never NaN. Statuses are written later, by ``monitors``.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
from enum import StrEnum
from typing import Any

from airflow_monitoring_provider.definitions.metric_terms import METRICS


class ResultKind(StrEnum):
    """What a metric speaks of: MLRun's result kinds, data quality, and what the user defines."""

    DATA_DRIFT = "data_drift"
    CONCEPT_DRIFT = "concept_drift"
    MODEL_PERFORMANCE = "model_performance"
    SYSTEM_PERFORMANCE = "system_performance"
    DATA_QUALITY = "data_quality"
    CUSTOM = "custom"


class Direction(StrEnum):
    """Which way is worse."""

    LOWER_IS_BETTER = "lower_is_better"
    HIGHER_IS_BETTER = "higher_is_better"
    TWO_SIDED = "two_sided"


@functools.cache
def direction_of(name: str) -> Direction:
    """The way a metric gets worse, as the definition's terms say; lower is better for ids they do not list."""
    term = METRICS.get(name)
    return Direction(term.direction) if term is not None else Direction.LOWER_IS_BETTER


@dataclasses.dataclass(frozen=True, slots=True)
class MetricValue:
    """One metric of one column (or of the whole batch, ``column`` None) in one segment (or all rows, None).

    :param value: the number, or None with ``reason`` set.
    :param reason: why there is no value, or why to read it with care; one of ``metrics.reasons``, a closed list.
    :param n: baseline rows behind the value; None where no baseline takes part.
    :param m: current rows behind the value.
    :param binning: id of the binning scheme and the edges it was cut at.
    :param precision: histogram precision, ``{"shift": int, "largest_bucket": share}``, or None.
    :param p_value: of the test named in ``details["test"]``; ``adjusted_p_value`` after Benjamini-Hochberg.
    :param critical_value: where chance alone would put the value at level alpha; informational.
    :param primary: this metric decides its column's verdict.
    :param missing_reference: share of missing values in the baseline (0..1), ``missing_current`` in the rows.
    :param low, high: 95 % interval where the metric has one.
    """

    name: str
    kind: ResultKind
    direction: Direction
    value: float | None
    column: str | None = None
    segment: str | None = None
    reason: str | None = None
    n: int | None = None
    m: int | None = None
    binning: str | None = None
    precision: dict[str, float] | None = None
    p_value: float | None = None
    adjusted_p_value: float | None = None
    critical_value: float | None = None
    primary: bool = False
    missing_reference: float | None = None
    missing_current: float | None = None
    low: float | None = None
    high: float | None = None
    details: dict[str, Any] = dataclasses.field(default_factory=dict)


_PLACES = {field.name: place for place, field in enumerate(dataclasses.fields(MetricValue))}
_all_of = operator.attrgetter(*_PLACES)


def changed(value: MetricValue, /, **changes: Any) -> MetricValue:
    """``dataclasses.replace`` in half its time, for changes that every value of a batch goes through."""
    fields = list(_all_of(value))
    for name, changed_to in changes.items():
        fields[_PLACES[name]] = changed_to
    return MetricValue(*fields)
