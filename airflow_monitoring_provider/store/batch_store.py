"""What people and programs tell the store of batches, and ask of it; deleting one is in :mod:`store`."""

from __future__ import annotations

import datetime as dt

from airflow_monitoring_provider.store import batch_models, batches
from airflow_monitoring_provider.store.deployment_records import BatchLimits, BatchModel
from airflow_monitoring_provider.store.deployment_store import DeploymentStore
from airflow_monitoring_provider.store.records import BatchRecord


class BatchStore(DeploymentStore):
    """The store of batches."""

    def create_batch(
        self,
        deployment_id: str,
        name: str,
        *,
        description: str | None = None,
        external_url: str | None = None,
        by: str | None = None,
    ) -> BatchRecord:
        """An empty batch that jobs and running code can add predictions to.

        Raises :class:`NotFound`, :class:`ConfigurationError` where the deployment's batch monitoring is off,
        :class:`BatchLimitReached` where it was given all the batches of a day.
        """
        with self._writing() as connection:
            return batches.create(
                connection,
                deployment_id,
                name,
                description=description,
                external_url=external_url,
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
