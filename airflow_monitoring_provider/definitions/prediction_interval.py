"""Which columns hold the interval that a regression predicts, and how many of the actuals are to lie in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field

from airflow_monitoring_provider.definitions.metric_terms import OF_INTERVALS
from airflow_monitoring_provider.definitions.part import Column, Number, Part, PartPath
from airflow_monitoring_provider.definitions.terms import TargetType

if TYPE_CHECKING:
    from airflow_monitoring_provider.definitions.model import JobDefinition


class PredictionInterval(Part):
    """The interval that comes with each predicted number."""

    lower_column: Column = Field(description="The column with the lower end.")
    upper_column: Column = Field(description="The column with the upper end.")
    level: Number = Field(gt=0, lt=1, description="The share of the actuals that is to lie in it, such as 0.9.")


def interval_problems(definition: JobDefinition) -> Iterator[tuple[PartPath, str]]:
    """What is in the way of comparing intervals with actuals: only a predicted number can have one."""
    interval, columns = definition.prediction_interval, definition.monitoring_columns
    if interval is None:
        for metric in OF_INTERVALS:
            if metric in definition.thresholds:
                yield ("thresholds", metric), "is not computed for this definition: give `prediction_interval`"
        return
    if definition.resolved_target_type is not TargetType.REGRESSION or columns.predictions_columns is None:
        yield ("prediction_interval",), "is of a predicted number: it needs a regression with a prediction column"
    if interval.lower_column == interval.upper_column:
        yield ("prediction_interval", "upper_column"), "must differ from `lower_column`"
