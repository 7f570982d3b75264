"""What the store gives and takes where late actuals meet logged predictions: frozen values."""

from __future__ import annotations

import dataclasses
import datetime as dt

from airflow_monitoring_provider.definitions.window import Window
from airflow_monitoring_provider.store.records import PredictionFile


@dataclasses.dataclass(frozen=True, slots=True)
class ActualFile:
    """A file of actuals that counts.

    :param job_id: the job that brought them, over ``window``; ``token`` of its attempt.
    :param applied: every batch that they touch has been restated.
    """

    job_id: str
    token: int
    window: Window
    file: PredictionFile
    applied: bool


@dataclasses.dataclass(frozen=True, slots=True)
class LoggedJob:
    """A committed job whose predictions late actuals can join.

    :param snapshot_revision: of the snapshot that ``files`` belong to.
    :param locked: its batch is locked: its results stay as they are.
    :param due: its accuracy has to be restated, whatever actuals come next.
    """

    job_id: str
    deployment_id: str
    definition_id: str
    definition_revision: int
    window: Window
    snapshot_revision: int
    baseline_version: int | None
    baseline_key: str | None
    locked: bool
    due: bool
    files: tuple[PredictionFile, ...]

    @property
    def id(self) -> str:
        """What tells it from every other job and report."""
        return self.job_id

    @property
    def until(self) -> dt.datetime:
        """When its rows, and the actuals among them, were brought."""
        return self.window.end


@dataclasses.dataclass(frozen=True, slots=True)
class LoggedReport:
    """Predictions of running code that late actuals can join.

    :param until: when they were reported.
    :param revision: of the profile that was made of ``files``.
    :param locked, due: as of :class:`LoggedJob`.
    """

    batch_id: str
    key: str
    deployment_id: str
    until: dt.datetime
    revision: int
    locked: bool
    due: bool
    files: tuple[PredictionFile, ...]

    @property
    def id(self) -> str:
        """What tells it from every other job and report."""
        return report_id(self.batch_id, self.key)


Logged = LoggedJob | LoggedReport


def report_id(batch_id: str, key: str) -> str:
    """The :attr:`LoggedReport.id` of a report."""
    return f"report:{batch_id}/{key}"
