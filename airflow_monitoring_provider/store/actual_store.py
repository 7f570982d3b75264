"""What is told to and asked of the store where late actuals meet logged predictions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

from airflow_monitoring_provider.exceptions import Superseded
from airflow_monitoring_provider.metrics.values import MetricValue
from airflow_monitoring_provider.store import actual_reports, actuals, commits, report_logs
from airflow_monitoring_provider.store.actual_records import ActualFile, Logged, LoggedJob, LoggedReport
from airflow_monitoring_provider.store.actuals import Sources
from airflow_monitoring_provider.store.part_store import PartStore
from airflow_monitoring_provider.store.records import StoredProfile


class ActualStore(PartStore):
    """The store of actuals that come later than their predictions."""

    def actual_files(self, deployment_id: str) -> tuple[ActualFile, ...]:
        """The files of actuals of a deployment that count; read them with ``storage.read_predictions``."""
        with self._reading() as connection:
            return actuals.files(connection, deployment_id)

    def logged_rows(self, deployment_id: str, only: str | None = None) -> tuple[Logged, ...]:
        """Committed jobs and reports of a deployment (or one of them) whose predictions can be joined."""
        with self._reading() as connection:
            return (
                *actuals.logged(connection, deployment_id, only),
                *report_logs.logged(connection, deployment_id, only),
            )

    def logged_profile(self, rows: Logged) -> StoredProfile | None:
        """The profile of a job or report as it was read; None where it has another by now."""
        if isinstance(rows, LoggedJob):
            stored, revision = self.load_profile(rows.job_id), rows.snapshot_revision
        else:
            with self._reading() as connection:
                stored, revision = report_logs.profile(connection, rows), rows.revision
        return None if stored is None or stored.revision != revision else stored

    def logged_report(self, batch_id: str, key: str) -> str | None:
        """Path of the file that a report's predictions are logged in; None where they are not."""
        with self._reading() as connection:
            return report_logs.path_of(connection, batch_id, key)

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
        seen: Sources,
    ) -> int:
        """Give a committed job the profile and values that its actuals make; the new revision, whose evaluation is due.

        :param uses: the jobs that brought the actuals. :param seen: all actuals that were looked at.

        Raises :class:`Superseded` where the job has another snapshot or the deployment other actuals by now,
        :class:`BatchLocked`, :class:`NotFound`.
        """
        written = commits.value_rows(values)
        with self._writing() as connection:
            now = self._now()
            revision = commits.replace_values(
                connection,
                job.job_id,
                job.snapshot_revision,
                written,
                (job.baseline_version, job.baseline_key),
                now,
            )
            actuals.require(connection, job.deployment_id, seen)
            actuals.record_profile(connection, job.job_id, revision, profile_bytes, content_hash)
            actuals.record_uses(connection, job.job_id, uses, now)
        return revision

    def restate_report(
        self, report: LoggedReport, profile_bytes: bytes, content_hash: str, uses: Iterable[str], seen: Sources
    ) -> None:
        """Give a report the profile that its actuals make; it has no values of its own. Raises as :meth:`restate`."""
        with self._writing() as connection:
            now = self._now()
            if not report_logs.hold(connection, report, 1, now):
                raise Superseded("the report was restated meanwhile")
            actuals.require(connection, report.deployment_id, seen)
            report_logs.record_profile(connection, report, profile_bytes, content_hash)
            report_logs.record_uses(connection, report, uses, now)

    def leave_as_it_is(self, rows: Logged, uses: Iterable[str], seen: Sources) -> None:
        """Record that a job's or report's actuals make what it has already. Raises as :meth:`restate`."""
        with self._writing() as connection:
            now = self._now()
            if isinstance(rows, LoggedJob):
                held = actuals.hold(connection, rows.job_id, rows.snapshot_revision)
            else:
                held = report_logs.hold(connection, rows, 0, now)
            if not held:
                raise Superseded("the job or report has another profile by now")
            actuals.require(connection, rows.deployment_id, seen)
            if isinstance(rows, LoggedJob):
                actuals.record_uses(connection, rows.job_id, uses, now)
            else:
                report_logs.record_uses(connection, rows, uses, now)

    def keep_due(self, logged: Iterable[Logged]) -> None:
        """Remember jobs and reports whose accuracy cannot be restated now: their batches are locked."""
        with self._writing() as connection:
            for rows in sorted(logged, key=lambda each: each.id):
                if isinstance(rows, LoggedJob):
                    actuals.keep_due(connection, rows.job_id, self._now())
                else:
                    report_logs.keep_due(connection, rows, self._now())

    def mark_applied(self, files: Iterable[ActualFile], facts: dict[str, dict[str, int]]) -> None:
        """Every batch that these files touch is restated; ``facts`` is what became of each job's rows."""
        with self._writing() as connection:
            actuals.mark_applied(connection, files, facts)

    def actual_report(self, definition_id: str, key: str) -> dt.datetime:
        """When a report of actuals was first sent, which is the start of its job's window: no other report has it."""
        with self._writing() as connection:
            return actual_reports.moment(connection, definition_id, key, self._now())
