"""What the store takes and gives about evaluations: statuses, where monitors stand, alerts. Frozen values."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Any, Protocol

from airflow_monitoring_provider.definitions.terms import ResultStatus
from airflow_monitoring_provider.definitions.window import Window


@dataclasses.dataclass(frozen=True, slots=True)
class PendingEvaluation:
    """A committed snapshot to evaluate; ``due`` is false where it was already, and may be again."""

    job_id: str
    snapshot_revision: int
    definition_id: str
    definition_revision: int
    deployment_id: str
    batch_id: str
    window: Window
    due: bool


class Verdict(Protocol):
    """A status for one value; the value is named by ``name``, ``column`` and ``segment``."""

    @property
    def name(self) -> str: ...
    @property
    def column(self) -> str | None: ...
    @property
    def segment(self) -> str | None: ...
    @property
    def status(self) -> ResultStatus: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def warning(self) -> float | None: ...
    @property
    def critical(self) -> float | None: ...


@dataclasses.dataclass(frozen=True, slots=True)
class MonitorTransition:
    """Where a monitor stands after an evaluation, and where it stood before.

    A monitor made of a definition's thresholds needs no row of its own beforehand: the first transition makes it.
    """

    monitor_id: str
    metric: str
    status: ResultStatus
    previous: ResultStatus | None = None
    column: str | None = None
    segment: str | None = None
    reason: str | None = None
    value: float | None = None
    warning: float | None = None
    critical: float | None = None
    name: str | None = None
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class MonitorStateRecord:
    """Where a monitor stands: its status holds since the window that started at ``since``; ``window_start`` is the
    start of the newest window evaluated.
    """

    monitor_id: str
    metric: str
    column: str | None
    segment: str | None
    status: ResultStatus
    previous: ResultStatus | None
    reason: str | None
    value: float | None
    since: dt.datetime
    window_start: dt.datetime
    job_id: str
    snapshot_revision: int
    details: dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Alert:
    """Something to tell people; ``key`` is the same each time the same event is found."""

    key: str
    status: ResultStatus
    title: str
    monitor_id: str | None = None
    payload: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class AlertRecord:
    """An alert in the outbox."""

    key: str
    deployment_id: str
    definition_id: str
    job_id: str
    monitor_id: str | None
    status: ResultStatus
    title: str
    payload: dict[str, Any]
    delivered: bool
    attempts: int
    last_error: str | None
    created_at: dt.datetime
    delivered_at: dt.datetime | None
