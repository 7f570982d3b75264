"""What the store takes and gives: frozen values, no rows and no connections."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

from airflow_monitoring_provider.definitions.terms import JobState, ResultStatus
from airflow_monitoring_provider.definitions.window import Window
from airflow_monitoring_provider.metrics.values import MetricValue

Item = TypeVar("Item")


class FileKind(StrEnum):
    """What the files of the storage folder are: the folder's name."""

    PREDICTIONS = "predictions"
    ACTUALS = "actuals"
    RETAINED = "retained"
    STAGED = "staged"


@dataclasses.dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some of many: ``items`` from ``offset`` on, out of ``total``."""

    items: tuple[Item, ...]
    total: int
    offset: int = 0

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


@dataclasses.dataclass(frozen=True, slots=True)
class RunInfo:
    """Which Airflow task runs the attempt; everything None in a script. Recorded, never used to fence."""

    dag_id: str | None = None
    run_id: str | None = None
    task_id: str | None = None
    try_number: int | None = None
    map_index: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class DefinitionRecord:
    """A definition as the store knows it; ``digest`` is of the content of ``revision``."""

    id: str
    revision: int
    name: str
    deployment_id: str
    enabled: bool
    origin: str
    dag_id: str | None
    digest: str
    created_at: dt.datetime
    created_by: str | None
    updated_at: dt.datetime
    updated_by: str | None
    deleted_at: dt.datetime | None


@dataclasses.dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on a window, until a newer attempt claims it: the larger ``token`` wins."""

    job_id: str
    token: int
    definition_id: str
    revision: int
    deployment_id: str
    batch_id: str
    window: Window
    run: RunInfo
    snapshot_revision: int
    """Revision committed before this claim; 0 where the job never was."""
    store_id: str
    """The store that gave the token, ``continues`` the lost ones it took over: outputs remember who wrote them."""
    continues: tuple[str, ...] = ()


class FileOwner(Protocol):
    """Whose a file of the storage folder is: an attempt's, or a report's."""

    @property
    def deployment_id(self) -> str: ...
    @property
    def batch_id(self) -> str: ...
    @property
    def job_id(self) -> str: ...
    @property
    def token(self) -> int: ...


@dataclasses.dataclass(frozen=True, slots=True)
class PredictionFile:
    """One entry of the prediction log's manifest; ``path`` is below the storage root, ``/`` between its parts."""

    path: str
    rows: int
    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a job leaves behind, committed as one.

    :param rows: rows read; ``scored`` + ``failed`` + ``skipped``.
    :param status_counts: row status text -> rows.
    :param earliest, latest: first and last timestamp among the rows, aware.
    :param null_timestamps: rows of the source that belong to no window.
    :param baseline_version: baseline that ``values`` compare with; None where there is none yet.
    :param baseline_key: what that baseline is made of; None for the first window.
    """

    profile_bytes: bytes
    content_hash: str
    plan_hash: str
    format_version: int
    rows: int
    status_counts: Mapping[str, int]
    values: Sequence[MetricValue] = ()
    scored: int = 0
    failed: int = 0
    skipped: int = 0
    earliest: dt.datetime | None = None
    latest: dt.datetime | None = None
    null_timestamps: int = 0
    prediction_files: Sequence[PredictionFile] = ()
    actual_files: Sequence[PredictionFile] = ()
    retained_files: Sequence[PredictionFile] = ()
    baseline_version: int | None = None
    baseline_key: str | None = None
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class StoredProfile:
    """A job's committed profile as bytes; ``content_hash`` and ``revision`` are those of its snapshot."""

    data: bytes
    content_hash: str
    revision: int


@dataclasses.dataclass(frozen=True, slots=True)
class SnapshotRecord:
    """The committed facts of a job, without profile and values."""

    revision: int
    token: int
    definition_revision: int
    model_id: str | None
    model_version: str | None
    environment: str
    content_hash: str
    plan_hash: str
    format_version: int
    rows: int
    scored: int
    failed: int
    skipped: int
    null_timestamps: int
    status_counts: dict[str, int]
    earliest: dt.datetime | None
    latest: dt.datetime | None
    baseline_version: int | None
    baseline_key: str | None
    details: dict[str, Any]
    committed_at: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class LogLine:
    """A line that attempt ``token`` reported."""

    at: dt.datetime
    token: int
    line: str


@dataclasses.dataclass(frozen=True, slots=True)
class JobRecord:
    """A job: its newest attempt, and the snapshot that is committed (maybe an older attempt's, or none).

    :param log: oldest line first; filled by ``MonitoringStore.job`` only.
    """

    id: str
    definition_id: str
    definition_revision: int
    deployment_id: str
    batch_id: str
    window: Window
    origin: str
    model_id: str | None
    model_version: str | None
    environment: str
    state: JobState
    token: int
    reason: str | None
    percent: float
    scored: int
    failed: int
    skipped: int
    abort_requested: bool
    abort_requested_by: str | None
    run: RunInfo
    created_at: dt.datetime
    started_at: dt.datetime
    progress_at: dt.datetime
    finished_at: dt.datetime | None
    evaluation_due: bool
    evaluated_at: dt.datetime | None
    overall_status: ResultStatus | None
    results_deleted: bool
    snapshot: SnapshotRecord | None
    log: tuple[LogLine, ...] = ()

    @property
    def snapshot_revision(self) -> int:
        """Revision of the committed snapshot; 0 where there is none."""
        return 0 if self.snapshot is None else self.snapshot.revision


@dataclasses.dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One attempt at a job, kept for good."""

    token: int
    definition_revision: int
    state: JobState
    reason: str | None
    run: RunInfo
    started_at: dt.datetime
    finished_at: dt.datetime | None


@dataclasses.dataclass(frozen=True, slots=True)
class BatchRecord:
    """Predictions that belong together."""

    id: str
    deployment_id: str
    job_id: str | None
    name: str
    description: str | None
    external_url: str | None
    locked: bool
    deleted_at: dt.datetime | None
    predictions: int
    earliest_prediction: dt.datetime | None
    latest_prediction: dt.datetime | None
    created_at: dt.datetime
    created_by: str | None
    updated_at: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class ResultRecord:
    """A committed value and, once evaluated, its status and the thresholds it was decided with."""

    value: MetricValue
    status: ResultStatus | None
    status_reason: str | None
    warning: float | None
    critical: float | None
    evaluated_at: dt.datetime | None


@dataclasses.dataclass(frozen=True, slots=True)
class BaselineClaim:
    """The right to make a baseline; ``seen_version`` is the one that was there at the claim."""

    definition_id: str
    key: str
    kind: str
    token: int
    seen_version: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class Baseline:
    """A committed baseline; ``plan`` is ``ProfilePlan.to_dict()``."""

    definition_id: str
    key: str
    version: int
    kind: str
    profile_bytes: bytes
    content_hash: str
    plan_hash: str
    plan: dict[str, Any]
    format_version: int
    rows: int
    window_start: dt.datetime | None
    window_end: dt.datetime | None
    job_id: str | None
    details: dict[str, Any]
    created_at: dt.datetime
