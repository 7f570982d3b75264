"""Batch prediction members of DataRobot's payload: accepted, kept and given back, without effect here."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, Tag, model_validator

from airflow_monitoring_provider.definitions.part import (
    Flag,
    FrozenDict,
    Moment,
    Number,
    Part,
    Text,
    Texts,
    Whole,
    breaches,
    form,
    only_list,
)


class TimeseriesSettings(Part):
    """How a time-series deployment is asked for predictions."""

    type: Literal["forecast", "historical", "training"]
    forecast_point: Moment | None = None
    predictions_start_date: Moment | None = None
    predictions_end_date: Moment | None = None
    relax_known_in_advance_features_check: Flag | None = None


class ColumnNameRemapping(Part):
    """One item of the old form of ``columnNamesRemapping``."""

    input_name: Text
    output_name: Text | None = None


def _remapping_form(value: Any) -> str | None:
    if isinstance(value, dict):
        return "<object>"
    return "<list>" if isinstance(value, list | tuple) else None


ColumnNamesRemapping = Annotated[
    Annotated[dict[str, Text], AfterValidator(FrozenDict), Tag("<object>")]
    | Annotated[tuple[ColumnNameRemapping, ...], only_list, Tag("<list>")],
    form(_remapping_form, "must be an object or a list"),
]


class PredictionInstance(Part):
    """Which prediction server answers; its keys are secrets and stay in connections."""

    host_name: Text | None = None
    ssl_enabled: Flag | None = None
    datarobot_key: Text | None = None
    api_key: Text | None = None

    @model_validator(mode="after")
    def _rules(self) -> Self:
        given = [name for name in ("datarobot_key", "api_key") if getattr(self, name) is not None]
        if given:
            raise breaches(*(((name,), "is a secret: keep it in an Airflow connection") for name in given))
        return self


class PredictionMembers(Part):
    """The batch prediction members of a job."""

    column_names_remapping: ColumnNamesRemapping | None = None
    skip_drift_tracking: Flag | None = None
    include_prediction_status: Flag | None = None
    include_probabilities: Flag | None = None
    include_probabilities_classes: Texts | None = None
    prediction_warning_enabled: Flag | None = None
    max_explanations: Whole | None = Field(default=None, ge=0, le=100)
    explanation_algorithm: Text | None = None
    explanation_class_names: Texts | None = None
    explanation_num_top_classes: Whole | None = Field(default=None, ge=1, le=10)
    threshold_high: Number | None = None
    threshold_low: Number | None = None
    timeseries_settings: TimeseriesSettings | None = None
    model_package_id: Text | None = None
    pinned_model_id: Text | None = None
    prediction_instance: PredictionInstance | None = None
    secondary_datasets_config_id: Text | None = None
