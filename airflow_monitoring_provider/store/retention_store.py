"""What is asked of the store about the rows that it keeps."""

from __future__ import annotations

from airflow_monitoring_provider.store import retention
from airflow_monitoring_provider.store.actual_store import ActualStore
from airflow_monitoring_provider.store.records import PredictionFile


class RetentionStore(ActualStore):
    """The store of raw rows."""

    def retained_files(self, batch_id: str) -> dict[str, tuple[PredictionFile, ...]]:
        """The retained rows of a batch: job -> its files; read them with ``storage.read_predictions``."""
        with self._reading() as connection:
            return retention.files(connection, batch_id)
