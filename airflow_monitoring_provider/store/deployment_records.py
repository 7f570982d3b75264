"""What the store says of deployments and their batches: frozen values."""

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


@dataclasses.dataclass(frozen=True, slots=True)
class BatchLimits:
    """How many batches a deployment may be given in a day, None for any number, and how many it was given today."""

    daily_limit: int | None
    created_today: int
    resets_at: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class BatchModel:
    """A model whose predictions a batch holds, and what time they are of.

    :param model_id: empty where the definition names no model.
    :param dated: somebody said what time it is; else it is that of the rows, None where rows have no time.
    """

    batch_id: str
    model_id: str
    start_time: dt.datetime | None
    end_time: dt.datetime | None
    predictions: int
    dated: bool


@dataclasses.dataclass(frozen=True, slots=True)
class BatchFilter:
    """Which batches a list holds: those that every given member lets through.

    :param search: part of the name whatever the case, or the very id.
    :param created_after, start_after: from then on, by creation and by earliest prediction.
    :param created_before, end_before: before then, by creation and by latest prediction.
    """

    search: str | None = None
    created_by: str | None = None
    locked: bool | None = None
    created_after: dt.datetime | None = None
    created_before: dt.datetime | None = None
    start_after: dt.datetime | None = None
    end_before: dt.datetime | None = None
    deleted: bool = False
