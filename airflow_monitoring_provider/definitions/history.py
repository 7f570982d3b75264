"""Which metrics are held against their own past: how many windows of it, which side is worse, and from where on.

Each value of a metric named here gets a z beside it, ``history_z[<metric>]``: how many standard deviations it lies from
the mean of the windows before (``metrics.history``). ``warning`` and ``critical`` are distances, positive on either
side; without any, a distance of 3 is critical.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from airflow_monitoring_provider.definitions.metric_terms import METRICS, OF_BATCHES, OF_HISTORY
from airflow_monitoring_provider.definitions.part import (
    Columns,
    Flag,
    FrozenDict,
    PartPath,
    Text,
    Whole,
    breaches,
    did_you_mean,
)
from airflow_monitoring_provider.definitions.verdict import Limits

HISTORY = "history_z"
DISTANCE = 3.0
LEAST, LEAST_OF_SEASON = 14, 7


class MetricHistory(Limits):
    """How one metric is held against the windows before."""

    direction: Literal["both", "spike", "drop"] = Field(
        default="both", description="What counts: a value too high (spike), too low (drop), or either."
    )
    window: Whole = Field(
        default=LEAST, le=365, description="How many windows before are looked at; of a season: how many weeks."
    )
    robust: Flag = Field(default=False, description="Median and 1.4826 MAD in place of mean and standard deviation.")
    season: Literal["weekly"] | None = Field(
        default=None, description="weekly: only windows that start at the same time of the same weekday count."
    )
    columns: Columns | None = Field(
        default=None, min_length=1, description="The columns whose values are looked at; absent: all of them."
    )

    @property
    def least(self) -> int:
        """How many earlier values there must be."""
        return LEAST if self.season is None else LEAST_OF_SEASON

    @property
    def distances(self) -> tuple[float | None, float | None]:
        """Distances that are a warning and critical."""
        if self.warning is None and self.critical is None:
            return None, DISTANCE
        return self.warning, self.critical

    @model_validator(mode="after")
    def _rules(self) -> Self:
        problems: list[tuple[PartPath, str]] = [
            ((name,), "must be over 0: it is a distance, whichever side is worse")
            for name in ("warning", "critical")
            if (limit := getattr(self, name)) is not None and limit <= 0
        ]
        if self.warning is not None and self.critical is not None and self.warning > self.critical:
            problems.append((("warning",), "must be at or under `critical`: larger distances are worse"))
        if self.window < self.least:
            season = "" if self.season is None else " where `season` is weekly"
            problems.append(
                (("window",), f"must be {self.least} or more{season}: of fewer values the spread is a guess")
            )
        if problems:
            raise breaches(*problems)
        return self


def history_id(metric: str) -> str:
    """The id of the result that holds a metric against its past; no other id has a bracket but a custom category's."""
    return f"{HISTORY}[{metric}]"


def of_history(name: str) -> bool:
    """Whether a metric's id is one of :func:`history_id`'s."""
    return name.startswith(f"{HISTORY}[")


def _known(histories: Mapping[str, MetricHistory]) -> FrozenDict[MetricHistory]:
    problems: list[tuple[PartPath, str]] = []
    for name in histories:
        if name in OF_HISTORY:
            if name in OF_BATCHES and histories[name].columns is not None:
                problems.append(((name, "columns"), "must be absent: the metric is of all rows and of no column"))
            continue
        if name in METRICS:
            problems.append(((name,), "is not a metric of quality or volume that a job over its window settles"))
        else:
            problems.append(((name,), f"is not a known metric{did_you_mean(name, OF_HISTORY)}"))
    if problems:
        raise breaches(*problems)
    return FrozenDict(histories)


Histories = Annotated[dict[Text, MetricHistory], AfterValidator(_known)]
