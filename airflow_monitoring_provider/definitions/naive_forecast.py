"""What forecasts are scaled by: the error of taking the last value, or the last season's, for the next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field

from airflow_monitoring_provider.definitions.part import Column, Number, Part, PartPath, Whole
from airflow_monitoring_provider.definitions.terms import TargetType

if TYPE_CHECKING:
    from airflow_monitoring_provider.definitions.model import JobDefinition

SCALED = "mase"
LONGEST_LAG = 1000


class NaiveForecast(Part):
    """The forecast whose error on the baseline is the unit of ``mase``."""

    lag: Whole = Field(
        default=1, ge=1, le=LONGEST_LAG, description="It takes the actual so many rows before: 7 for weeks of days."
    )
    series_column: Column | None = Field(
        default=None, description="Which series a row belongs to, such as a shop; absent: all rows are one."
    )
    scale: Number | None = Field(
        default=None, gt=0, description="Its mean absolute error, where it is known; absent: of the baseline's actuals."
    )

    @property
    def learnt(self) -> bool:
        """Its error is found in the baseline's rows."""
        return self.scale is None


def naive_problems(definition: JobDefinition) -> Iterator[tuple[PartPath, str]]:
    """What is in the way of scaled errors: a predicted number, and rows that have an order within one part."""
    naive, columns = definition.naive_forecast, definition.monitoring_columns
    if naive is None:
        if SCALED in definition.thresholds:
            yield ("thresholds", SCALED), "is not computed for this definition: give `naive_forecast`"
        return
    if definition.resolved_target_type is not TargetType.REGRESSION or columns.predictions_columns is None:
        yield ("naive_forecast",), "scales the errors of predicted numbers: it needs a regression"
    if not naive.learnt:
        for name in ("lag", "series_column"):
            if name in naive.model_fields_set:
                yield ("naive_forecast", name), "must not be given together with `scale`, which it is to find"
        return
    if definition.timestamp_column is None:
        yield ("timestamp_column",), "is required where `naive_forecast` has no `scale`: rows are compared in its order"
    if columns.actuals_value_column is None:
        reason = "is required where `naive_forecast` has no `scale`: it is found in the baseline's actuals"
        yield ("monitoring_columns", "actuals_value_column"), reason
    partitions = definition.partitions
    if partitions is not None and partitions.by != "time" and not _by_series(definition):
        key = "" if naive.series_column is None else f" (or key, with the column {naive.series_column})"
        reason = f"must be time{key} where `naive_forecast` has no `scale`, so that parts follow each other"
        yield ("partitions", "by"), reason


def _by_series(definition: JobDefinition) -> bool:
    """Parts share no series."""
    partitions, naive = definition.partitions, definition.naive_forecast
    identifiers = definition.monitoring_output_settings.unique_row_identifier_columns
    if partitions is None or naive is None or naive.series_column is None or partitions.by != "key":
        return False
    return naive.series_column == (partitions.column or (identifiers[0] if identifiers else None))
