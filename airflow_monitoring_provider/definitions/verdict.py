"""When a value counts as a finding: thresholds, significance and the rows that are needed."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from airflow_monitoring_provider.definitions.duration import Length
from airflow_monitoring_provider.definitions.metric_terms import (
    HIGHER_IS_BETTER,
    METRICS,
    MOST_K,
    OF_BATCHES,
    OF_RANKINGS,
    TWO_SIDED,
    MetricTerm,
)
from airflow_monitoring_provider.definitions.part import (
    Column,
    Flag,
    FrozenDict,
    Number,
    Part,
    PartPath,
    Whole,
    breaches,
    did_you_mean,
)


class Limits(Part):
    """Where a value starts to be a warning and where it is critical; either may be absent."""

    warning: Number | None = Field(default=None, description="From here on a potential detection.")
    critical: Number | None = Field(default=None, description="From here on a detection.")


class Threshold(Limits):
    """The limits of one metric, and other limits for some columns."""

    columns: Annotated[dict[Column, Limits], AfterValidator(FrozenDict)] = Field(
        default=FrozenDict(), description="Other limits for the columns named."
    )

    @model_validator(mode="after")
    def _rules(self) -> Self:
        if self.warning is None and self.critical is None and not self.columns:
            raise breaches(((), "must give `warning`, `critical` or `columns`"))
        return self


class Adjustment(StrEnum):
    """How p-values are adjusted for the number of columns looked at."""

    BH = "bh"
    BY = "by"
    BONFERRONI = "bonferroni"
    NONE = "none"


class Significance(Part):
    """How much chance alone may do."""

    alpha: Number = Field(default=0.05, gt=0, lt=1, description="Share of false findings allowed.")
    guard: Flag = Field(
        default=True,
        description="A finding needs its adjusted p-value at or under alpha, one of performance its whole interval "
        "at or past the limit.",
    )
    adjustment: Adjustment = Field(default=Adjustment.BH, description="bh, by, bonferroni or none.")
    deviation: Literal["sagemaker"] | None = Field(
        default=None,
        description="sagemaker: beside each score stands its standard deviation over five draws of 80 % of the rows.",
    )


class Minimums(Part):
    """The rows a result needs; with fewer it is irrelevant, with reason insufficient_data."""

    reference_rows: Whole = Field(default=200, ge=0)
    current_rows: Whole = Field(default=100, ge=0)
    labelled_rows: Whole = Field(default=100, ge=0)
    per_class: Whole = Field(default=10, ge=0)
    segment_rows: Whole = Field(default=50, ge=0)
    maturity_coverage: Number = Field(
        default=0.95,
        ge=0,
        le=1,
        description="Performance is provisional below this share of the label coverage that is expected.",
    )
    maturity_age: Length | None = Field(
        default=None, description="So long after its window's end at the latest, performance is no more provisional."
    )


def _known_and_ordered(thresholds: dict[str, Threshold]) -> FrozenDict[Threshold]:
    problems: list[tuple[PartPath, str]] = []
    for metric, threshold in thresholds.items():
        term = METRICS.get(metric)
        if term is None:
            problems.append(((metric,), _unknown(metric)))
            continue
        problems += [((metric, *path), text) for path, text in _faults(term, threshold)]
        if metric in OF_BATCHES and threshold.columns:
            reason = "must be absent: the metric is of all rows and of no column; give `warning` or `critical` instead"
            problems.append(((metric, "columns"), reason))
        for column, limits in threshold.columns.items():
            problems += [((metric, "columns", column, *path), text) for path, text in _faults(term, limits)]
    if problems:
        raise breaches(*problems)
    return FrozenDict(thresholds)


def _faults(term: MetricTerm, limits: Limits) -> list[tuple[PartPath, str]]:
    low = 0.0 if term.direction == TWO_SIDED else term.low
    problems: list[tuple[PartPath, str]] = [
        ((name,), f"can never be reached: the metric runs from {low:g} to {term.high:g}")
        for name, value in (("warning", limits.warning), ("critical", limits.critical))
        if value is not None and not low <= value <= term.high
    ]
    if limits.warning is not None and limits.critical is not None:
        if term.direction == HIGHER_IS_BETTER and limits.warning < limits.critical:
            problems.append((("warning",), "must be at or over `critical`: lower values are worse"))
        elif term.direction != HIGHER_IS_BETTER and limits.warning > limits.critical:
            problems.append((("warning",), "must be at or under `critical`: higher values are worse"))
    return problems


def _unknown(metric: str) -> str:
    name, _, k = metric.lower().replace("@", "_at_").partition("_at_")
    if name in OF_RANKINGS:
        return f"is not a known metric: write {name}_at_{k if k.isdecimal() and 1 <= int(k) <= MOST_K else 10}"
    return f"is not a known metric{did_you_mean(metric, METRICS)}"


Thresholds = Annotated[dict[str, Threshold], AfterValidator(_known_and_ordered)]
