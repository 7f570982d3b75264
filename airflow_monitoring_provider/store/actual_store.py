"""What is told to and asked of the store where late actuals meet logged predictions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from airflow_monitoring_provider.metrics.values import MetricValue
from airflow_monitoring_provider.store import actuals, commits
from airflow_monitoring_provider.store.actual_records import ActualFile, LoggedJob
from airflow_monitoring_provider.store.part_store import PartStore


class ActualStore(PartStore):
    """The store of actuals that come later than their predictions."""

    def actual_files(self, deployment_id: str) -> tuple[ActualFile, ...]:
        """The files of actuals of a deployment that count; read them with ``storage.read_predictions``."""
        with self._reading() as connection:
            return actuals.files(connection, deployment_id)

    def logged_jobs(self, deployment_id: str, only: str | None = None) -> tuple[LoggedJob, ...]:
        """Committed jobs of a deployment (or one of them) whose predictions can be joined, oldest window first."""
        with self._reading() as connection:
            return actuals.logged(connection, deployment_id, only)

    def labelled_by(self, actuals_job: str) -> tuple[str, ...]:
        """Jobs that these actuals label and whose evaluation is due, oldest window first."""
        with self._reading() as connection:
            return actuals.labelled_by(connection, actuals_job)

    def restate(
        self,
        job: LoggedJob,
        profile_bytes: bytes,
        content_hash: str,
        values: Sequence[MetricValue],
        uses: Iterable[str],
    ) -> int:
        """Give a committed job the profile and values that its actuals make; the new revision, whose evaluation is due.

        :param uses: the jobs that brought the actuals.

        Raises :class:`Superseded` where the job has another snapshot by now, :class:`BatchLocked`, :class:`NotFound`.
        """
        written = commits.value_rows(values)
        with self._writing() as connection:
            now = self._now()
            revision = commits.replace_values(
                connection, job.job_id, job.snapshot_revision, written, job.baseline_version, now
            )
            actuals.record_profile(connection, job.job_id, revision, profile_bytes, content_hash)
            actuals.record_uses(connection, job.job_id, uses, now)
        return revision

    def leave_as_it_is(self, job: LoggedJob, uses: Iterable[str]) -> bool:
        """Record that a job's actuals make what it has already; False where it has another snapshot by now.

        Raises :class:`BatchLocked`.
        """
        with self._writing() as connection:
            if not actuals.hold(connection, job.job_id, job.snapshot_revision):
                return False
            actuals.record_uses(connection, job.job_id, uses, self._now())
            return True

    def keep_due(self, job_ids: Iterable[str]) -> None:
        """Remember jobs whose accuracy cannot be restated now: their batches are locked."""
        with self._writing() as connection:
            for job in sorted(job_ids):
                actuals.keep_due(connection, job, self._now())

    def mark_applied(self, files: Iterable[ActualFile], facts: dict[str, dict[str, int]]) -> None:
        """Every batch that these files touch is restated; ``facts`` is what became of each job's rows."""
        with self._writing() as connection:
            actuals.mark_applied(connection, files, facts)
