"""Metrics of the user's own: what they are called, which way is worse, and where their values come from.

The words are DataRobot's (``type``, ``directionality``, ``units``, ``baseline value``); a value comes from one of

- ``sql``: an aggregate expression, or of a categorical metric an expression for each row, over the window's rows;
- ``function`` over the ``profile`` or over ``rows``: Python that the workers can import;
- neither: values are reported from outside (``store.report_custom_metric``).

Both run as their author's code, with the rights of the intake's connection and of the worker. A definition that comes
from anywhere but its DAG bundle must not bring them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from airflow_monitoring_provider.definitions.history import HISTORY
from airflow_monitoring_provider.definitions.metric_terms import METRICS
from airflow_monitoring_provider.definitions.part import (
    Column,
    Columns,
    FrozenDict,
    Name,
    Number,
    Part,
    PartPath,
    Query,
    Text,
    breaches,
)
from airflow_monitoring_provider.definitions.verdict import Limits

METRIC_ID = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
MOST_CATEGORIES = 100
_LONGEST_CATEGORY = 100
_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*[.:][^\W\d]\w*")
_WAYS = {"higherIsBetter": "higher_is_better", "lowerIsBetter": "lower_is_better"}


class MetricType(StrEnum):
    """How values of several batches or moments make one.

    ``sum`` adds, ``average`` weighs by sample counts, ``gauge`` takes the latest, ``categorical`` adds counts.
    """

    SUM = "sum"
    AVERAGE = "average"
    GAUGE = "gauge"
    CATEGORICAL = "categorical"


Directionality = Annotated[
    Literal["higher_is_better", "lower_is_better"],
    BeforeValidator(lambda value: _WAYS.get(value, value) if isinstance(value, str) else value),
    WithJsonSchema({"enum": ["higher_is_better", "lower_is_better", *_WAYS]}),
]


def _path(value: str) -> str:
    if _PATH.fullmatch(value) is None:
        raise breaches(((), "must be an import path such as package.module:function"))
    return value


class ColumnMapping(Part):
    """Which columns of a reported table hold what."""

    value: Column = Field(default="value", description="The number, or the category.")
    timestamp: Column | None = Field(default=None, description="When the value was measured.")
    batch: Column | None = Field(default=None, description="The id of its batch.")
    sample_count: Column | None = Field(default=None, description="How many samples are behind it; 1 when absent.")
    association_id: Column | None = Field(default=None, description="The prediction it belongs to; counts once.")


class Category(Limits):
    """One value of a categorical metric; limits and baseline are of its share of all samples."""

    baseline_value: Number | None = Field(default=None, ge=0, le=1)
    directionality: Directionality | None = Field(default=None, description="That of the metric when absent.")


def _categories(categories: dict[str, Category]) -> FrozenDict[Category]:
    problems: list[tuple[PartPath, str]] = [
        ((name,), f"must be 1 to {_LONGEST_CATEGORY} characters without [ and ]")
        for name in categories
        if not name.strip() or len(name) > _LONGEST_CATEGORY or set(name) & set("[]")
    ]
    if len(categories) > MOST_CATEGORIES:
        problems.append(((), f"must be at most {MOST_CATEGORIES}"))
    if problems:
        raise breaches(*problems)
    return FrozenDict(categories)


class CustomMetric(Limits):
    """One metric of the user's own; ``warning`` and ``critical`` judge its value as ``thresholds`` judge others."""

    label: Name | None = Field(default=None, description="Name shown to people; the id when absent.")
    description: Text | None = None
    units: Name | None = Field(default=None, description="What a value is measured in.")
    type: MetricType = Field(default=MetricType.AVERAGE, description="sum, average, gauge or categorical.")
    directionality: Directionality = Field(default="lower_is_better", description="Which way is better.")
    kind: Literal["custom", "data_quality", "model_performance", "system_performance"] = Field(
        default="custom", description="What it speaks of."
    )
    baseline_value: Number | None = Field(default=None, description="What a value is compared with.")
    categories: Annotated[dict[Text, Category], AfterValidator(_categories)] = Field(
        default=FrozenDict(), description="The values of a categorical metric that have results of their own."
    )
    sql: Query | None = Field(default=None, description="An aggregate expression over the window's rows.")
    sample_count_sql: Query | None = Field(default=None, description="How many samples are behind it; count(*).")
    function: Annotated[Text, AfterValidator(_path)] | None = Field(
        default=None, description="Import path of a function or class, as package.module:name."
    )
    over: Literal["profile", "rows"] = Field(default="profile", description="What the function is given.")
    columns: Columns = Field(default=(), description="The columns of the rows that the function is given.")
    mapping: ColumnMapping = Field(default=ColumnMapping(), description="The columns of reported tables.")

    @property
    def source(self) -> str:
        """Where values come from: ``sql``, ``profile``, ``rows`` or ``reported``."""
        if self.sql is not None:
            return "sql"
        return "reported" if self.function is None else self.over

    @model_validator(mode="after")
    def _rules(self) -> Self:
        problems = [*self._broken()]
        if problems:
            raise breaches(*problems)
        return self

    def _broken(self) -> Iterator[tuple[PartPath, str]]:
        if self.sql is not None and self.function is not None:
            yield ("function",), "must not be given together with `sql`: keep one of them"
        if self.sample_count_sql is not None and (self.sql is None or self.type is MetricType.CATEGORICAL):
            yield ("sample_count_sql",), "belongs to `sql` of a number"
        rows = self.function is not None and self.over == "rows"
        if rows and not self.columns:
            yield ("columns",), "is required where `over` is rows"
        elif self.columns and not rows:
            yield ("columns",), "has a meaning only where `over` is rows"
        if self.type is MetricType.CATEGORICAL:
            for name in ("warning", "critical", "baseline_value"):
                if getattr(self, name) is not None:
                    yield (name,), "is given for each of the `categories`"
        elif self.categories:
            yield ("categories",), "belong to type categorical"
        yield from _order((), self, self.directionality)
        for name, category in self.categories.items():
            yield from _order(("categories", name), category, category.directionality or self.directionality)


def _order(path: PartPath, limits: Limits, directionality: str) -> Iterator[tuple[PartPath, str]]:
    if limits.warning is None or limits.critical is None:
        return
    if directionality == "higher_is_better" and limits.warning < limits.critical:
        yield (*path, "warning"), "must be at or over `critical`: lower values are worse"
    elif directionality == "lower_is_better" and limits.warning > limits.critical:
        yield (*path, "warning"), "must be at or under `critical`: higher values are worse"


def _known(metrics: dict[str, CustomMetric]) -> FrozenDict[CustomMetric]:
    problems: list[tuple[PartPath, str]] = []
    for name in metrics:
        if METRIC_ID.fullmatch(name) is None:
            problems.append(((name,), "must be made of A-Z, a-z, 0-9 and _ . - (a letter first, at most 64)"))
        elif name in METRICS or name == HISTORY:
            problems.append(((name,), "is the id of a metric that every job has; choose another"))
    if problems:
        raise breaches(*problems)
    return FrozenDict(metrics)


CustomMetrics = Annotated[dict[Text, CustomMetric], AfterValidator(_known)]


def category_id(metric: str, category: str) -> str:
    """The id of the result of one category."""
    return f"{metric}[{category}]"
