"""What a deployment is set to: what is tracked, how its health is judged, how many batches a day may be made.

The members are those of DataRobot's deployment and health settings; ours besides are described where they stand.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from airflow_monitoring_provider.definitions.model_score import ModelRule, ModelScore
from airflow_monitoring_provider.definitions.part import (
    Column,
    Columns,
    Flag,
    FrozenDict,
    Name,
    Number,
    Part,
    PartPath,
    Whole,
    breaches,
)
from airflow_monitoring_provider.definitions.reading import CAMEL, field_names, nested_part, read_part
from airflow_monitoring_provider.definitions.wording import type_found
from airflow_monitoring_provider.definitions.writing import Keep, plain
from airflow_monitoring_provider.exceptions import DefinitionError

DEFAULT_DAILY_LIMIT = 100
"""DataRobot's: batches a deployment may be given in a day."""
INTERVALS = {
    "T2H": datetime.timedelta(hours=2),
    "P1D": datetime.timedelta(days=1),
    "P7D": datetime.timedelta(days=7),
    "P30D": datetime.timedelta(days=30),
    "P90D": datetime.timedelta(days=90),
    "P365D": datetime.timedelta(days=365),
}
"""DataRobot's words for how far health looks back where it does not count batches."""


class Health(StrEnum):
    """How a deployment does in one respect (DataRobot's words).

    ``unknown``: there is nothing to judge yet. ``unavailable``: there never will be as things are set.
    """

    PASSING = "passing"
    WARNING = "warning"
    FAILING = "failing"
    UNKNOWN = "unknown"
    UNAVAILABLE = "unavailable"


def _limit(value: Any) -> Any:
    whole = isinstance(value, int) and not isinstance(value, bool) and value > 0
    if not whole and value != "off":
        raise breaches(((), "must be off or a whole number over 0"))
    return value


DailyLimit = Annotated[
    int | str,
    BeforeValidator(_limit),
    WithJsonSchema({"anyOf": [{"enum": ["off"]}, {"type": "integer", "minimum": 1}]}),
]
_Count = Annotated[Whole, Field(ge=0)]
_Share = Annotated[Number, Field(ge=0, le=1)]


class Switch(Part):
    """Something that is on or off."""

    enabled: Flag


class AssociationId(Part):
    """Which columns name a prediction, so that its actual finds it later."""

    column_names: Columns = ()
    required_in_prediction_requests: Flag = False


class HealthRange(Part):
    """How far back an indicator looks: batches where batch monitoring is on, else time."""

    batch_count: Whole = Field(default=10, ge=1, le=1000, description="The newest batches that count.")
    time_interval: Literal["T2H", "P1D", "P7D", "P30D", "P90D", "P365D"] = Field(
        default="P7D", description="How far back jobs count where batch monitoring is off."
    )


class ServiceHealth(HealthRange):
    """From which share of requests that went wrong on the service is no longer healthy; 0 means any."""

    user_error_rate_warning: _Share = Field(default=0.0, description="Requests refused (4xx): more is a warning.")
    server_error_rate_failing: _Share = Field(default=0.0, description="Requests that broke (5xx): more is failing.")


class DriftHealth(HealthRange):
    """How many features may drift, by importance; a count of 0 switches its rule off."""

    drift_threshold: Number | None = Field(
        default=None,
        ge=0,
        description="A feature drifts from this value of its deciding metric on; absent: as the definition says.",
    )
    importance_threshold: Number = Field(
        default=0.5, ge=0, le=1, description="Of high importance from this share of the largest importance on."
    )
    excluded_features: Columns = ()
    starred_features: Columns = Field(default=(), description="Of high importance whatever their importance.")
    low_importance_warning_count: _Count = 1
    low_importance_failing_count: _Count = 0
    high_importance_warning_count: _Count = 0
    high_importance_failing_count: _Count = 1

    @model_validator(mode="after")
    def _countable(self) -> Self:
        self.rule({})
        return self

    def rule(self, importances: Mapping[str, float]) -> ModelScore:
        """The same as a rule on the features' results."""
        names = set(ModelScore.model_fields) & set(DriftHealth.model_fields)
        return ModelScore.model_validate(
            {name: getattr(self, name) for name in names}
            | {"rule": ModelRule.IMPORTANCE_COUNTS, "importances": dict(importances)}
        )


class AccuracyHealth(HealthRange):
    """How far a metric may be off, by its own value or in percent of the baseline's (worse is positive)."""

    metric: Name | None = Field(default=None, description="Metric id; absent: rmse of a regression, else log_loss.")
    measurement: Literal["percent", "value"] = "percent"
    warning_threshold: Number = Field(default=5.0, description="From here on it is a warning.")
    failing_threshold: Number = Field(default=10.0, description="From here on it is failing.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.measurement == "value":
            given = self.model_fields_set
            missing: list[tuple[PartPath, str]] = [
                ((name,), "is required where `measurement` is value")
                for name in ("metric", "warning_threshold", "failing_threshold")
                if name not in given
            ]
            if missing:
                raise breaches(*missing)
        elif self.warning_threshold > self.failing_threshold:
            raise breaches((("warning_threshold",), "must be at or under `failing_threshold`: higher is worse"))
        return self


class HealthSettings(Part):
    """What the three indicators look at, and by what they judge."""

    service: ServiceHealth = ServiceHealth()
    data_drift: DriftHealth = DriftHealth()
    accuracy: AccuracyHealth = AccuracyHealth()


class DeploymentSettings(Part):
    """Everything that can be set of a deployment."""

    batch_monitoring: Switch = Field(
        default=Switch(enabled=True), description="On: indicators look at the last batches; off: at the last days."
    )
    association_id: AssociationId = AssociationId()
    target_drift: Switch = Field(default=Switch(enabled=True), description="Off: predictions do not count in health.")
    feature_drift: Switch = Field(default=Switch(enabled=True), description="Off: features do not count in health.")
    feature_importances: Annotated[dict[Column, Annotated[Number, Field(ge=0)]], AfterValidator(FrozenDict)] = Field(
        default=FrozenDict(), description="Feature -> importance on any scale; a feature left out has none."
    )
    daily_batch_limit: DailyLimit = Field(
        default=DEFAULT_DAILY_LIMIT,
        description="Batches that people and programs may make in a day (UTC), or off; those of jobs count (but of "
        "actuals), and a job is never refused its batch.",
    )
    health: HealthSettings = HealthSettings()


def read_settings(payload: Mapping[str, Any] | DeploymentSettings) -> DeploymentSettings:
    """Settings from a payload in either spelling.

    :raises DefinitionError: with every problem found, each with its path.
    """
    if isinstance(payload, DeploymentSettings):
        return payload
    return read_part(DeploymentSettings, _object(payload), style=CAMEL)


def changed_settings(settings: DeploymentSettings, change: Mapping[str, Any]) -> DeploymentSettings:
    """The settings with what ``change`` names, in either spelling; what it does not name is kept, null means default.

    :raises DefinitionError: the result breaks a rule; the path is that of the change.
    """
    return read_settings(_merged(DeploymentSettings, plain(settings, camel=False), _object(change)))


def settings_payload(settings: DeploymentSettings, *, every: bool = False) -> dict[str, Any]:
    """What was given (or every setting), camelCase and ready for JSON; :func:`read_settings` reads it back."""
    return plain(settings, camel=True, keep=Keep.EVERY if every else Keep.GIVEN)


def _object(payload: object) -> Mapping[str, Any]:
    if not isinstance(payload, Mapping):
        raise DefinitionError(f"settings must be an object, not {type_found(payload)}", field="settings")
    return payload


def _merged(part: type[Part], data: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """``data`` (snake_case) under ``change``, whose spelling wins, so that an error names what the caller wrote."""
    names, kept, given = field_names(part), dict(data), dict[str, Any]()
    for key, value in change.items():
        name = names.get(key)
        before = kept.pop(name, None) if name is not None else None
        nested, container = nested_part(part, name) if name is not None else (None, None)
        if nested is not None and container is None and isinstance(value, Mapping):
            value = _merged(nested, before or {}, value)
        given[key] = value
    return kept | given
