"""What is told to and asked of the store about the rows that it keeps."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from airflow_monitoring_provider.store import retention
from airflow_monitoring_provider.store.actual_store import ActualStore
from airflow_monitoring_provider.store.records import FileKind, PredictionFile
from airflow_monitoring_provider.store.retention_records import Forgotten, KnownFiles, PurgePolicy


class _NotMeant(Exception):
    """Ends a transaction that was only to be looked at."""


class RetentionStore(ActualStore):
    """The store of raw rows."""

    def row_files(
        self,
        kind: FileKind,
        *,
        deployment_id: str | None = None,
        batch_ids: Sequence[str] = (),
        start: dt.datetime | None = None,
        end: dt.datetime | None = None,
    ) -> tuple[PredictionFile, ...]:
        """The files of rows of a kind, oldest window first; read them with ``storage.read_predictions``.

        :param start, end: only windows that begin, and reports that came, in this half-open time.
        """
        with self._reading() as connection:
            return retention.files(
                connection, kind, deployment_id=deployment_id, batch_ids=batch_ids, start=start, end=end
            )

    def concerned_batches(self, policy: PurgePolicy) -> tuple[str, ...]:
        """The batches in which a policy may find something to forget."""
        with self._reading() as connection:
            return retention.concerned(connection, policy)

    def forget_rows(
        self, batch_id: str, policy: PurgePolicy, *, by: str | None = None, dry_run: bool = False
    ) -> Forgotten | None:
        """Forget what the policy names of a batch, whose files are garbage from then on; None where it is locked.

        :param dry_run: only say what would be forgotten.
        """
        found: Forgotten | None = None
        try:
            with self._writing() as connection:
                found = retention.forget(connection, batch_id, policy, by=by, now=self._now())
                if dry_run:
                    raise _NotMeant
        except _NotMeant:
            pass
        return found

    def known_files(self, deployment_id: str) -> KnownFiles:
        """Which of a deployment's files may be needed; ask after listing them."""
        with self._reading() as connection:
            return retention.known_files(connection, deployment_id)
