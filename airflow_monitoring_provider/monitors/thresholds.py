"""From where on a value is worth a warning, and from where on critical: defaults, and what a definition says instead.

What a definition says of a metric replaces the metric's default as a whole; what it says of a column replaces both. A
limit counts as reached at equality, but one that is the best value the metric can have only by what is worse: a limit
of 0 on a share means any row at all. Which side is worse is the metric's direction; a two-sided metric is measured by
its distance from its neutral value (1 for a ratio, 0 for a signed error), or from the baseline's value.

Defaults:

- Drift: the values practitioners use for PSI (0.10, 0.25), 0.1 / 0.3 for the normed Wasserstein distance and 0.1 / 0.2
  for the Jensen-Shannon distance of base 2. The others describe and have no default.
- Data quality: what is almost never meant. A column of the baseline that is gone or has another type is critical, a new
  one a warning. Shares warn at 5 % and are critical at 20 %, of unreadable values at 1 % and 5 %; the missing share is
  judged by its change against the baseline, so that a column that is always half empty is no news (but not of actuals,
  which come late). A column that has one value where the baseline has several is a warning.
- Checks of the definition: any value that breaks one is critical.
- A test that decides a column's verdict needs no limit: its adjusted p-value is compared with alpha.
- A value against its past (``history``): critical at a distance of 3 standard deviations.
- Performance: none, as how good is good enough is the owner's to say; but the definition does say how many actuals are
  to lie in their prediction intervals: 5 points from there are a warning, 10 critical, on either side.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from airflow_monitoring_provider.definitions.checks import NOT_ALLOWED, OUT_OF_BOUNDS
from airflow_monitoring_provider.definitions.custom import CustomMetric, category_id
from airflow_monitoring_provider.definitions.history import MetricHistory, history_id, of_history
from airflow_monitoring_provider.definitions.metric_terms import METRICS
from airflow_monitoring_provider.definitions.parity import PARITY
from airflow_monitoring_provider.metrics.values import Direction, MetricValue

if TYPE_CHECKING:
    from airflow_monitoring_provider.definitions.model import JobDefinition
    from airflow_monitoring_provider.definitions.model_score import ModelScore


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """Where a value starts to be a warning and where it is critical; None: never."""

    warning: float | None = None
    critical: float | None = None

    @property
    def empty(self) -> bool:
        """There is no limit to judge by."""
        return self.warning is None and self.critical is None


DEFAULTS: Mapping[str, Limits] = MappingProxyType(
    {
        "psi": Limits(0.10, 0.25),
        "wasserstein_norm": Limits(0.1, 0.3),
        "js_distance": Limits(0.1, 0.2),
        "missing_columns": Limits(None, 1),
        "retyped_columns": Limits(None, 1),
        "new_columns": Limits(1, None),
        "type_mismatch_share": Limits(0.01, 0.05),
        "missing_rate_change": Limits(0.05, 0.20),
        "new_values_share": Limits(0.05, 0.20),
        "out_of_range_share": Limits(0.05, 0.20),
        "rejected_rate": Limits(0.05, 0.20),
        "became_constant": Limits(1, None),
        "out_of_bounds_share": Limits(None, 0),
        "not_allowed_share": Limits(None, 0),
        "interval_coverage": Limits(0.05, 0.10),
    }
)


@dataclasses.dataclass(frozen=True, slots=True)
class Rules:
    """What values are judged by.

    :param limits: metric -> limits, over :data:`DEFAULTS`.
    :param columns: metric -> column -> limits, over both.
    :param alpha: a value with a p-value must have an adjusted one at or under it.
    :param guard: False judges by size alone.
    :param model: the rule that decides on all features together; None: each decides by itself.
    """

    limits: Mapping[str, Limits] = dataclasses.field(default_factory=dict)
    columns: Mapping[str, Mapping[str, Limits]] = dataclasses.field(default_factory=dict)
    alpha: float = 0.05
    guard: bool = True
    model: ModelScore | None = None

    @classmethod
    def from_definition(cls, definition: JobDefinition) -> Rules:
        """The rules that a definition's ``thresholds``, ``checks``, ``significance`` and ``drift.parity`` make."""
        parity = definition.drift.parity
        said = PARITY[parity].limits if parity is not None else {}
        limits = {metric: Limits(*pair) for metric, pair in said.items()}
        columns: dict[str, dict[str, Limits]] = {}
        for metric, threshold in definition.thresholds.items():
            own = Limits(threshold.warning, threshold.critical)
            if not own.empty:
                limits[metric] = own
            columns[metric] = {
                column: Limits(other.warning, other.critical) for column, other in threshold.columns.items()
            }
        for column, check in definition.checks.items():
            for metric in (OUT_OF_BOUNDS, NOT_ALLOWED) if check.limited else ():
                columns.setdefault(metric, {})[column] = Limits(check.warning, check.critical)
        for name, own_metric in definition.custom_metrics.items():
            limits |= custom_limits(name, own_metric)
        for name, history in definition.history.items():
            limits[history_id(name)] = history_limits(history)
        significance = definition.resolved_significance
        return cls(limits, columns, significance.alpha, significance.guard, definition.resolved_model_score)

    def limits_for(self, metric: str, column: str | None, default: Limits | None = None) -> Limits:
        """The limits of one metric of one column (None: of the batch).

        :param default: in place of the metric's own.
        """
        if column is not None:
            of_column = self.columns.get(metric, {}).get(column)
            if of_column is not None:
                return of_column
        return self.limits.get(metric, default or DEFAULTS.get(metric, Limits()))


def custom_limits(name: str, metric: CustomMetric) -> dict[str, Limits]:
    """The limits that a metric of the user's own brings, by the names of its results."""
    found = {name: Limits(metric.warning, metric.critical)}
    for category, each in metric.categories.items():
        found[category_id(name, category)] = Limits(each.warning, each.critical)
    return found


def history_limits(history: MetricHistory) -> Limits:
    """The limits of a z, negative where only a drop counts."""
    warning, critical = history.distances
    if history.direction != "drop":
        return Limits(warning, critical)
    return Limits(None if warning is None else -warning, None if critical is None else -critical)


def severity(value: MetricValue, limit: float | None) -> float | None:
    """How far past its limit a value is, in units of the limit: >= 0 means reached. None where that is undefined.

    The best value that a metric can have reaches no limit, not even one at that value: -1.

    Undefined: no value, no limit, or a two-sided metric without a value to measure its distance from.
    """
    if limit is None or value.value is None:
        return None
    if value.direction is Direction.HIGHER_IS_BETTER:
        past = limit - value.value
    elif value.direction is Direction.TWO_SIDED:
        neutral = neutral_of(value)
        if neutral is None:
            return None
        past = abs(value.value - neutral) - limit
    else:
        past = value.value - limit
    if past == 0 and limit == _best(value):
        return -1.0
    return past / abs(limit) if limit else past


def _best(value: MetricValue) -> float:
    """The limit that nothing is better than: of a two-sided metric no distance at all."""
    if value.direction is Direction.TWO_SIDED:
        return 0.0
    term = METRICS.get(value.name)
    if value.direction is Direction.HIGHER_IS_BETTER:
        return math.inf if term is None else term.high
    return -math.inf if term is None else term.low


def neutral_of(value: MetricValue) -> float | None:
    """What a two-sided value would be if nothing were wrong: the metric's own constant or what the definition aims at,
    else the baseline's value.
    """
    if of_history(value.name):
        return 0.0
    term = METRICS.get(value.name)
    if term is not None and term.neutral is not None:
        return term.neutral
    before = value.details.get("nominal" if term is not None and term.aimed else "baseline_value")
    return float(before) if isinstance(before, int | float) else None
