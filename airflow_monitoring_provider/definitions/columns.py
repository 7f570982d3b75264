"""Which columns hold what, what the output row is made of, and how much of the raw rows is kept."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, Strict, Tag, model_validator

from airflow_monitoring_provider.definitions.part import (
    Column,
    Columns,
    Flag,
    Part,
    Text,
    Whole,
    breaches,
    form,
    only_list,
)

MOST_CLASSES = 1000
MOST_IDENTIFIERS = 100
DEFAULT_STATUS_COLUMN = "monitored_status"


class PredictionColumn(Part):
    """The column with the predicted probability of one class."""

    class_name: Text = Field(description="The class as it stands in the actuals column.")
    column_name: Column = Field(description="The intake column with the probability of the class.")


def _columns_form(value: Any) -> str | None:
    if isinstance(value, str):
        return "<one column>"
    return "<classes>" if isinstance(value, list | tuple) else None


PredictionsColumns = Annotated[
    Annotated[Column, Tag("<one column>")]
    | Annotated[
        tuple[PredictionColumn, ...], Field(min_length=1, max_length=MOST_CLASSES), only_list, Tag("<classes>")
    ],
    form(_columns_form, "must be a column name, or a list of class and column pairs"),
]


class MonitoringColumns(Part):
    """Where predictions and actuals stand in the intake."""

    predictions_columns: PredictionsColumns | None = Field(
        default=None,
        description="One column (a number, or a binary score), or a list of class and probability column pairs.",
    )
    association_id_column: Column | None = Field(default=None, description="Joins predictions with later actuals.")
    actuals_value_column: Column | None = Field(default=None, description="The true value or class.")
    actuals_timestamp_column: Column | None = Field(default=None, description="When the actual became known.")
    acted_upon_column: Column | None = Field(default=None, description="Whether somebody acted on the prediction.")
    custom_metric_id: Text | None = None
    custom_metric_value_column: Column | None = None
    custom_metric_timestamp_column: Column | None = None
    custom_metric_timestamp_format: Text | None = None
    report_drift: Flag | None = None
    report_predictions: Flag | None = None
    monitored_status_column: Column | None = Field(
        default=None, description="Older place of monitoringOutputSettings.monitoredStatusColumn."
    )
    unique_row_identifier_columns: Columns | None = Field(
        default=None,
        max_length=MOST_IDENTIFIERS,
        description="Older place of monitoringOutputSettings.uniqueRowIdentifierColumns.",
    )

    @property
    def prediction_column_names(self) -> tuple[str, ...]:
        """The columns that hold predictions, in the order given; empty for an actuals-only definition."""
        if self.predictions_columns is None:
            return ()
        if isinstance(self.predictions_columns, str):
            return (self.predictions_columns,)
        return tuple(pair.column_name for pair in self.predictions_columns)

    @property
    def brings_late_actuals(self) -> bool:
        """The rows have actuals for predictions that other jobs made."""
        return self.predictions_columns is None and self.association_id_column is not None

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes in the order given; empty unless ``predictions_columns`` is a list."""
        if self.predictions_columns is None or isinstance(self.predictions_columns, str):
            return ()
        return tuple(pair.class_name for pair in self.predictions_columns)

    @model_validator(mode="after")
    def _rules(self) -> Self:
        problems: list[tuple[tuple[str | int, ...], str]] = []
        if self.predictions_columns is None and self.actuals_value_column is None:
            problems.append((("predictions_columns",), "is required, unless `actuals_value_column` is given"))
        for member, values in (("class_name", self.class_names), ("column_name", self.prediction_column_names)):
            if isinstance(self.predictions_columns, tuple):
                first: dict[str, int] = {}
                problems.extend(
                    (("predictions_columns", index, member), f"repeats item {first[value]}")
                    for index, value in enumerate(values)
                    if first.setdefault(value, index) != index
                )
        if problems:
            raise breaches(*problems)
        return self


class MonitoringOutputSettings(Part):
    """What each output row is made of, beside the passthrough columns."""

    unique_row_identifier_columns: Columns = Field(
        default=(),
        max_length=MOST_IDENTIFIERS,
        description="Intake columns that tell rows apart; copied to the output.",
    )
    monitored_status_column: Column = Field(
        default=DEFAULT_STATUS_COLUMN, description="The output column with the monitored status."
    )


class RetentionPolicy(StrEnum):
    """What ``retention_value`` counts."""

    SAMPLES = "samples"
    PERCENTAGE = "percentage"


class MonitoringAggregation(Part):
    """Raw rows are not kept, except a sample of this size."""

    retention_policy: RetentionPolicy = Field(description="Whether retentionValue is a number of rows or a percentage.")
    retention_value: Whole = Field(ge=0, description="Rows to keep, or percent of the rows (0 to 100).")
    target_rows: Whole | None = Field(
        default=None,
        ge=1,
        description="With percentage: about so many rows are kept, where retentionValue percent are more.",
    )

    @property
    def retains(self) -> bool:
        """Whether any row is kept."""
        return self.retention_value > 0

    @model_validator(mode="after")
    def _rules(self) -> Self:
        if self.retention_policy is RetentionPolicy.SAMPLES and self.target_rows is not None:
            raise breaches((("target_rows",), "chooses a percentage: use it with `retention_policy` percentage"))
        if self.retention_policy is RetentionPolicy.PERCENTAGE and self.retention_value > 100:
            raise breaches((("retention_value",), f"is a percentage: at most 100, not {self.retention_value}"))
        return self


def _delimiter(value: str) -> str:
    if value != "tab" and len(value) != 1:
        raise breaches(((), f"must be one character or the word tab, not {len(value)} characters"))
    if value in "\r\n\0":
        raise breaches(((), "must not be a line end or NUL"))
    return "tab" if value == "\t" else value


Delimiter = Annotated[str, Strict(), Field(min_length=1), AfterValidator(_delimiter)]


class CsvSettings(Part):
    """How CSV files are written and read."""

    delimiter: Delimiter = Field(default=",", description="One character, or the word tab.")
    quotechar: Text = Field(default='"', description="One character.")
    encoding: Text = Field(default="utf-8", description="A text encoding that Python knows.")

    @property
    def delimiter_character(self) -> str:
        """The delimiter itself: the word ``tab`` means a tab."""
        return "\t" if self.delimiter == "tab" else self.delimiter

    @model_validator(mode="after")
    def _rules(self) -> Self:
        import codecs

        problems: list[tuple[tuple[str | int, ...], str]] = []
        if len(self.quotechar) != 1:
            problems.append((("quotechar",), f"must be one character, not {len(self.quotechar)}"))
        elif self.quotechar == self.delimiter:
            problems.append((("quotechar",), "must differ from `delimiter`"))
        try:
            text_encoding = codecs.lookup(self.encoding)._is_text_encoding
        except (LookupError, ValueError):
            text_encoding = False
        if not text_encoding:
            problems.append((("encoding",), "is not a text encoding that Python knows, such as utf-8 or latin-1"))
        if problems:
            raise breaches(*problems)
        return self
