"""What the store takes and gives of the user's own metrics: frozen values."""

from __future__ import annotations

import dataclasses
import datetime as dt

from airflow_monitoring_provider.definitions.custom import CustomMetric


@dataclasses.dataclass(frozen=True, slots=True)
class CustomMetricRecord:
    """A metric of a deployment; ``definition_id`` is of the definition that described it last, None if made by hand."""

    deployment_id: str
    id: str
    definition_id: str | None
    metric: CustomMetric
    created_at: dt.datetime
    created_by: str | None
    updated_at: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class CustomReport:
    """One value from outside.

    :param value: a number; of a categorical metric the category.
    :param at: when it was measured, aware. :param sample_count: how many samples are behind it.
    :param association_id: the prediction it belongs to. :param key: the reporter's own name of this value; else the
        association id is. A value sent twice counts once.
    """

    value: float | str
    at: dt.datetime | None = None
    batch_id: str | None = None
    sample_count: int = 1
    association_id: str | None = None
    key: str | None = None
    model_id: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class CustomPoint:
    """A value of a metric at a time, computed by a job (``job_id``) or reported.

    :param start, end: of the job's window; of a reported value both when it was measured.
    :param counts: of a categorical metric: category -> samples.
    """

    start: dt.datetime
    end: dt.datetime
    batch_id: str | None
    job_id: str | None
    value: float | None
    samples: int | None
    counts: dict[str, int] | None
    reason: str | None
