"""What running code reports into a batch, and what batches say of it: frozen values."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import ClassVar

from airflow_monitoring_provider.store.records import PredictionFile


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """Predictions of running code, as a profile by the plan of a definition.

    :param earliest, latest: first and last timestamp among the rows, aware.
    :param logged: the predictions that late actuals can join; None where there are none.
    """

    definition_id: str
    profile_bytes: bytes
    content_hash: str
    format_version: int
    rows: int
    scored: int
    earliest: dt.datetime | None = None
    latest: dt.datetime | None = None
    model_id: str | None = None
    logged: PredictionFile | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class ReportOwner:
    """Whose the files of a report are, in place of a job's attempt."""

    deployment_id: str
    batch_id: str
    key: str
    token: ClassVar[int] = 1

    @property
    def job_id(self) -> str:
        """What file names begin with: no job's id has a colon."""
        return report_files(self.key)


def report_files(key: str) -> str:
    """What the names of a report's files begin with, in its batch's folder."""
    return f"report:{key}"


@dataclasses.dataclass(frozen=True, slots=True)
class ServiceReport:
    """How a service did while it made ``predictions``; times are of all requests together, in milliseconds."""

    predictions: int
    execution_time_ms: float | None = None
    requests: int = 1
    response_time_ms: float | None = None
    user_errors: int = 0
    server_errors: int = 0
    model_id: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class StoredPart:
    """A stored profile of some of a batch's rows, and the definition that says what its columns are."""

    definition_id: str
    data: bytes
    content_hash: str


@dataclasses.dataclass(frozen=True, slots=True)
class ServiceStats:
    """How the service of some batches did. A job counts as a request; one that failed, as one that broke.

    :param rows: rows that jobs read and running code reported; ``rejected_rows`` of them were not monitored.
    :param predictions: those that jobs scored, and those of the services' own reports.
    :param execution_time_ms: mean of a request, in the model or job; None where nobody reported any.
    :param response_time_ms: mean of a request, as its caller saw it; None where nobody reported any.
    """

    predictions: int
    rows: int
    rejected_rows: int
    requests: int
    user_errors: int
    server_errors: int
    execution_time_ms: float | None
    response_time_ms: float | None

    @property
    def user_error_rate(self) -> float | None:
        """Share of the requests that were refused; None where there were none."""
        return self.user_errors / self.requests if self.requests else None

    @property
    def server_error_rate(self) -> float | None:
        """Share of the requests that broke; None where there were none."""
        return self.server_errors / self.requests if self.requests else None
