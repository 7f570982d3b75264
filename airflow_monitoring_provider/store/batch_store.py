"""What people and programs tell the store of batches, and ask of it; deleting one is in :mod:`store`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

from airflow_monitoring_provider.store import arguments, batch_models, batches, queries, reports
from airflow_monitoring_provider.store.deployment_records import BatchLimits, BatchModel
from airflow_monitoring_provider.store.deployment_store import DeploymentStore
from airflow_monitoring_provider.store.records import BatchRecord
from airflow_monitoring_provider.store.report_records import Report, ServiceReport, ServiceStats, StoredPart


class BatchStore(DeploymentStore):
    """The store of batches."""

    def create_batch(
        self,
        deployment_id: str,
        name: str,
        *,
        description: str | None = None,
        external_url: str | None = None,
        key: str | None = None,
        by: str | None = None,
    ) -> BatchRecord:
        """An empty batch that jobs and running code can add predictions to.

        :param key: the caller's own name of this request: asked again, it gives the same batch. None: always a new one.

        Raises :class:`NotFound`, :class:`ConfigurationError` where the deployment's batch monitoring is off,
        :class:`BatchLimitReached` where it was given all the batches of a day, :class:`BatchLocked` where the key's was
        deleted.
        """
        with self._writing() as connection:
            return batches.create(
                connection,
                deployment_id,
                name,
                description=description,
                external_url=external_url,
                key=key,
                by=by,
                now=self._now(),
            )

    def change_batch(
        self,
        batch_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        external_url: str | None = None,
        by: str | None = None,
    ) -> BatchRecord:
        """Describe a batch anew, locked or not; None keeps, an empty text clears.

        Raises :class:`NotFound`, :class:`BatchLocked` where it was deleted, :class:`DefinitionError`.
        """
        with self._writing() as connection:
            values = {"name": name, "description": description, "external_url": external_url}
            return batches.change(connection, batch_id, values, by=by, now=self._now())

    def lock_batch(self, batch_id: str, *, locked: bool = True, by: str | None = None) -> BatchRecord:
        """Let a batch take no more predictions, or take them again. Raises :class:`NotFound`, :class:`BatchLocked`."""
        with self._writing() as connection:
            return batches.lock(connection, batch_id, locked=locked, by=by, now=self._now())

    def batch_limits(self, deployment_id: str) -> BatchLimits:
        """How many batches were made today, and how many may be. Raises :class:`NotFound`."""
        with self._reading() as connection:
            return batches.limits(connection, deployment_id, self._now())

    def batch_models(self, batch_id: str) -> tuple[BatchModel, ...]:
        """The models whose predictions are in a batch. Raises :class:`NotFound`."""
        with self._reading() as connection:
            batches.one(connection, batch_id)
            return batch_models.all_of(connection, batch_id)

    def date_batch(
        self,
        batch_id: str,
        model_id: str,
        *,
        start_time: dt.datetime | None = None,
        end_time: dt.datetime | None = None,
        by: str | None = None,
    ) -> BatchModel:
        """Say what time a model's predictions in a batch are of, where they were made on historical data.

        Charts and the batch's earliest and latest prediction go by it. None keeps a time.
        Raises :class:`NotFound`, :class:`BatchLocked` where the batch was deleted, :class:`DefinitionError`.
        """
        with self._writing() as connection:
            return batches.date(connection, batch_id, model_id, start=start_time, end=end_time, by=by, now=self._now())

    def newest_batches(self, deployment_id: str, count: int, *, since: dt.datetime | None = None) -> tuple[str, ...]:
        """Ids of the ``count`` batches with the newest predictions, of those that count in health."""
        queries.page(count, 0)
        with self._reading() as connection:
            return batches.newest(connection, deployment_id, count, since)

    def add_report(self, batch_id: str, report: Report, *, key: str | None = None) -> bool:
        """Add profiled predictions to a batch; False where ``key`` was taken before.

        Raises :class:`NotFound`, :class:`BatchLocked`, :class:`ConfigurationError` for another deployment's batch.
        """
        arguments.instance(report, Report, "report", "jobs.reporting.report_predictions makes one of rows")
        with self._writing() as connection:
            return reports.add(connection, batch_id, report, key=key, now=self._now())

    def report_deployment_stats(
        self,
        count: int,
        execution_time_ms: float | None,
        batch_id: str,
        *,
        requests: int = 1,
        response_time_ms: float | None = None,
        user_errors: int = 0,
        server_errors: int = 0,
        model_id: str | None = None,
        key: str | None = None,
    ) -> bool:
        """Say how the service did while it made ``count`` predictions of a batch; False where ``key`` was taken before.

        :param execution_time_ms, response_time_ms: of all ``requests`` together.
        :param user_errors, server_errors: how many of them were refused (4xx), and broke (5xx).
        Raises :class:`NotFound`, :class:`BatchLocked`, :class:`DefinitionError`.
        """
        report = ServiceReport(
            predictions=count,
            execution_time_ms=execution_time_ms,
            requests=requests,
            response_time_ms=response_time_ms,
            user_errors=user_errors,
            server_errors=server_errors,
            model_id=model_id,
        )
        with self._writing() as connection:
            return reports.add_stats(connection, batch_id, report, key=key, now=self._now())

    def batch_profiles(self, batch_ids: Collection[str]) -> tuple[StoredPart, ...]:
        """Every profile that batches hold, of jobs and of reports."""
        with self._reading() as connection:
            return reports.parts_of(connection, arguments.identities(batch_ids, "batch_ids"))

    def batch_service(self, batch_ids: Collection[str]) -> ServiceStats:
        """How the service did over batches."""
        with self._reading() as connection:
            return reports.service(connection, arguments.identities(batch_ids, "batch_ids"))
