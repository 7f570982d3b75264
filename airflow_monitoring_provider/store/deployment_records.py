"""What the store says of deployments: frozen values."""

from __future__ import annotations

import dataclasses
import datetime as dt

from airflow_monitoring_provider.definitions.deployment import DeploymentSettings


@dataclasses.dataclass(frozen=True, slots=True)
class DeploymentRecord:
    """One model in use, and how it is set to be watched."""

    id: str
    label: str
    description: str | None
    status: str
    importance: str | None
    target_type: str | None
    model_id: str | None
    model_version: str | None
    settings: DeploymentSettings
    created_at: dt.datetime
    created_by: str | None
    updated_at: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class DeploymentModel:
    """A model and when it was in use: from ``start_time`` to before ``end_time``, which is None while it is."""

    deployment_id: str
    number: int
    model_id: str
    model_version: str | None
    start_time: dt.datetime
    end_time: dt.datetime | None
    created_at: dt.datetime
    updated_at: dt.datetime

    def holds(self, instant: dt.datetime) -> bool:
        """Whether it was in use then."""
        return self.start_time <= instant and (self.end_time is None or instant < self.end_time)
