"""Values of the user's own metrics: what their code gave is checked, and several values make one.

A value is a finite number, or null with a reason: ``no_data`` (None), ``not_finite`` (NaN and infinities),
``wrong_type``, ``failed``. Of a categorical metric each declared category is a result, its share of all samples.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from airflow_monitoring_provider.definitions.custom import CustomMetric, MetricType, category_id
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.values import Direction, MetricValue, ResultKind

CUSTOM = "custom"
MOST_COUNTED = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class CustomValue:
    """What a function may return instead of a number, to say how many samples are behind it."""

    value: Any
    sample_count: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """One value of a metric, checked.

    :param value: None with a reason; None without one where ``counts`` hold a categorical metric's samples.
    :param samples: how many samples are behind it.
    :param error: what broke: a type of error and a place, never a value.
    """

    value: float | None
    samples: int | None = None
    counts: Mapping[str, int] | None = None
    reason: Reason | None = None
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-clean form; :meth:`from_dict` reads it back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Outcome:
        """Read what :meth:`to_dict` wrote."""
        reason = data["reason"]
        return cls(**{**data, "reason": None if reason is None else Reason(reason)})


def failed(error: str) -> Outcome:
    """The metric's own code or SQL ended with an error."""
    return Outcome(None, reason=Reason.FAILED, error=error)


def outcome(metric: CustomMetric, answer: Any, samples: int | None = None) -> Outcome:
    """Check what the metric's code gave.

    :param answer: a real number (no boolean), None, a :class:`CustomValue`; of a categorical metric a mapping of
        category to count, or one category.
    :param samples: behind the value, where the answer does not say.
    """
    if isinstance(answer, CustomValue):
        if answer.sample_count is not None:
            samples = _count(answer.sample_count)
            if samples is None:
                return _wrong("sample_count", answer.sample_count)
        answer = answer.value
    if answer is None:
        return Outcome(None, samples, reason=Reason.NO_DATA)
    if metric.type is MetricType.CATEGORICAL:
        return _categorical(answer)
    if isinstance(answer, bool) or not isinstance(answer, numbers.Real | Decimal):
        return _wrong("value", answer)
    number = float(answer)
    if not math.isfinite(number):
        return Outcome(None, samples, reason=Reason.NOT_FINITE)
    return Outcome(number + 0.0, samples)


def _categorical(answer: Any) -> Outcome:
    if isinstance(answer, str):
        answer = {answer: 1}
    if not isinstance(answer, Mapping) or not all(isinstance(name, str) for name in answer):
        return _wrong("value", answer)
    if len(answer) > MOST_COUNTED:
        return failed(f"gave more than {MOST_COUNTED} categories")
    counts = {name: _count(count) for name, count in sorted(answer.items())}
    whole = {name: count for name, count in counts.items() if count is not None}
    if len(whole) < len(counts):
        return _wrong("count", next(answer[name] for name, count in counts.items() if count is None))
    total = sum(whole.values())
    return Outcome(None, total, whole, None if total else Reason.NO_DATA)


def _count(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        return None
    count = int(value)
    return count if count >= 0 else None


def _wrong(what: str, found: Any) -> Outcome:
    return Outcome(None, reason=Reason.WRONG_TYPE, error=f"{what} is {type(found).__name__}")


def combined(kind: MetricType, outcomes: Sequence[Outcome]) -> Outcome:
    """Several values as one, in the order of their time: by the metric's type.

    ``sum`` adds; ``average`` weighs by samples (a value without a count weighs 1); ``gauge`` is the latest; counts of
    categories add. Values that are null are left out; where all are, the first one's reason stands.
    """
    known = [each for each in outcomes if each.value is not None or each.counts]
    if not known:
        return outcomes[0] if outcomes else Outcome(None, 0, reason=Reason.NO_DATA)
    samples = sum(each.samples if each.samples is not None else 1 for each in known)
    if kind is MetricType.CATEGORICAL:
        counts: dict[str, int] = {}
        for each in known:
            for name, count in (each.counts or {}).items():
                counts[name] = counts.get(name, 0) + count
        return Outcome(None, sum(counts.values()), dict(sorted(counts.items())))
    values = [(each.value, each.samples if each.samples is not None else 1) for each in known if each.value is not None]
    if kind is MetricType.GAUGE:
        return Outcome(values[-1][0], samples)
    if kind is MetricType.SUM:
        return _finite(math.fsum(value for value, _ in values), samples)
    weight = sum(count for _, count in values)
    if not weight:
        return Outcome(None, 0, reason=Reason.NO_DATA)
    return _finite(math.fsum(value * count for value, count in values) / weight, samples)


def _finite(value: float, samples: int) -> Outcome:
    if not math.isfinite(value):
        return Outcome(None, samples, reason=Reason.NOT_FINITE)
    return Outcome(value + 0.0, samples)


def custom_values(name: str, metric: CustomMetric, found: Outcome) -> list[MetricValue]:
    """The results of one metric: itself, and each declared category's share."""
    details: dict[str, Any] = {CUSTOM: metric.source, "type": metric.type.value}
    if metric.units is not None:
        details["units"] = metric.units
    if found.error is not None:
        details["error"] = found.error
    if found.counts is not None:
        details["counts"] = dict(found.counts)
    kind = ResultKind(metric.kind)

    def value(id_: str, number: float | None, way: str, before: float | None, more: dict[str, Any]) -> MetricValue:
        told = details | more | ({} if before is None else {"baseline_value": before})
        reason = None if number is not None else found.reason
        return MetricValue(id_, kind, Direction(way), number, reason=reason, m=found.samples, details=told)

    if metric.type is not MetricType.CATEGORICAL:
        return [value(name, found.value, metric.directionality, metric.baseline_value, {})]
    total = sum((found.counts or {}).values())
    all_of_them = dataclasses.replace(
        value(name, float(total) if total else None, metric.directionality, None, {}),
        reason=None if total else found.reason,
    )
    shares = [
        value(
            category_id(name, category),
            (found.counts or {}).get(category, 0) / total if total else None,
            each.directionality or metric.directionality,
            each.baseline_value,
            {"category": category},
        )
        for category, each in metric.categories.items()
    ]
    return [all_of_them, *(dataclasses.replace(share, details=_without_counts(share.details)) for share in shares)]


def _without_counts(details: dict[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in details.items() if name != "counts"}


def is_custom(value: MetricValue) -> bool:
    """Whether a value is of a metric of the user's own."""
    return CUSTOM in value.details


def of_profile(value: MetricValue) -> bool:
    """Whether it is one that a function made of the profile, so that another profile makes it anew."""
    return value.details.get(CUSTOM) == "profile"


def stored_outcome(value: MetricValue) -> Outcome:
    """The outcome that a stored result of a metric (not of a category) was made of."""
    counts = value.details.get("counts")
    reason = None if value.value is not None or value.reason is None else Reason(value.reason)
    if counts is not None:
        return Outcome(None, value.m, counts, reason)
    return Outcome(value.value, value.m, None, reason, value.details.get("error"))
