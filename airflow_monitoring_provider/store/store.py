"""The monitoring store: one object through which jobs, sensors, commands and pages remember and look up.

Every method is one transaction: it happens as a whole or not at all, and may be called again after any error.

- :class:`StoreUnavailable`: the database is away, locked or overloaded; try again.
- :class:`OutcomeUnknown`: the connection broke at COMMIT; look (``committed``) or just try again.
- :class:`StoreSchemaError`: the tables are absent, older or newer; the message says which command to type.
- :class:`DefinitionError`: a name that no database can hold.

A method's own docstring names what else it raises.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa

from airflow_monitoring_provider.definitions.load import definition_digest, dump_definition
from airflow_monitoring_provider.definitions.model import JobDefinition
from airflow_monitoring_provider.definitions.terms import JobState, ResultStatus
from airflow_monitoring_provider.definitions.window import Window
from airflow_monitoring_provider.exceptions import DefinitionError, MonitoringError
from airflow_monitoring_provider.store import (
    arguments,
    batches,
    claims,
    commits,
    evaluations,
    identity,
    outbox,
    parts,
    registry,
    schema,
)
from airflow_monitoring_provider.store.batch_store import BatchStore
from airflow_monitoring_provider.store.custom_store import CustomStore
from airflow_monitoring_provider.store.evaluation_records import Alert, MonitorTransition, Verdict
from airflow_monitoring_provider.store.reader import utcnow
from airflow_monitoring_provider.store.records import (
    Claim,
    DefinitionRecord,
    FileKind,
    PredictionFile,
    RunInfo,
    Snapshot,
)
from airflow_monitoring_provider.store.retention_store import RetentionStore
from airflow_monitoring_provider.store.window_store import WindowStore

if TYPE_CHECKING:
    from airflow_monitoring_provider.store.storage import Storage

_ANY_TOKEN = 2**62


class MonitoringStore(BatchStore, RetentionStore, WindowStore, CustomStore):
    """What is remembered, in one database and one storage folder; reading is inherited.

    :param storage: where the logs of predictions and late actuals live.
    """

    def __init__(
        self,
        engine: sa.Engine,
        *,
        storage: Storage,
        embedded: bool = False,
        clock: Callable[[], dt.datetime] = utcnow,
    ) -> None:
        super().__init__(engine, embedded=embedded, clock=clock)
        self.storage = storage

    @property
    def sqlite_file(self) -> str | None:
        """Where the store's tables are in a file of SQLite, that file."""
        return self._engine.url.database if self._engine.dialect.name == "sqlite" else None

    def migrate(self) -> bool:
        """Create or upgrade the tables; whether anything had to be done. Raises :class:`StoreSchemaError`."""
        return schema.migrate(self._engine)

    def adopt(self, store_id: str, *, by: str | None = None) -> bool:
        """Continue a lost store, whose outputs may be written from now on; False where that is so already."""
        with self._writing() as connection:
            return identity.adopt(connection, store_id, by, self._now())

    # Definitions

    def register_definition(
        self,
        definition: JobDefinition,
        *,
        origin: str = "dag",
        dag_id: str | None = None,
        by: str | None = None,
    ) -> DefinitionRecord:
        """Make the definition known; a new revision only where its content changed.

        Raises :class:`DefinitionError` where its name or id belongs to another definition, or cannot be stored.
        """
        arguments.instance(definition, JobDefinition, "definition", "load_definition makes one of a mapping")
        asked = registry.checked(
            registry.Registration(
                id=definition.id,
                name=definition.name,
                deployment_id=definition.deployment_id,
                enabled=definition.enabled,
                digest=definition_digest(definition),
                payload=dump_definition(definition, "payload"),
                target_type=definition.resolved_target_type,
                model_id=definition.model_id,
                model_version=definition.model_version,
                origin=origin,
                dag_id=dag_id,
                by=by,
                custom_metrics=definition.custom_metrics,
            )
        )
        with self._reading() as connection:
            known = registry.unchanged(connection, asked)
        if known is not None:
            return known
        for _ in range(3):  # two that register the same new definition may meet at its name; the second look finds it
            with contextlib.suppress(registry.NameTaken), self._writing() as connection:
                return registry.register(connection, asked, self._now())
        raise DefinitionError("another definition has this name; names are unique", field="name")

    # Jobs: claim, report, commit

    def claim(
        self,
        definition: DefinitionRecord,
        window: Window,
        *,
        run: RunInfo | None = None,
        batch_name: str,
        batch_id: str | None = None,
        model_id: str | None = None,
        model_version: str | None = None,
        environment: str = "production",
    ) -> Claim:
        """Take the window for a new attempt; any earlier attempt is superseded from now on.

        :param batch_name: of the batch that the job makes, unless its window is in one already.
        :param batch_id: an existing batch to add the window's rows to, instead of one of its own.
        Raises :class:`BatchLocked` where the window's batch was locked or deleted, :class:`NotFound` where there is no
        such batch, :class:`ConfigurationError` where it is another deployment's or the window is in another.

        What an earlier attempt's parts had staged is removed.
        """
        with self._writing() as connection:
            claim = claims.claim(
                connection,
                definition,
                window,
                run=run or RunInfo(),
                batch_name=batch_name,
                batch_id=batch_id,
                model_id=model_id,
                model_version=model_version,
                environment=environment,
                now=self._now(),
            )
            abandoned = parts.forget(connection, claim.job_id)
        if abandoned:
            self._sweep(claim.deployment_id, claim.batch_id, claim.job_id, claim.token - 1, (), kind=FileKind.STAGED)
        return claim

    def continue_after(self, claim: Claim, token: int) -> Claim:
        """The claim with a token past one that an output remembers and the store forgot. Raises :class:`Superseded`."""
        with self._writing() as connection:
            return claims.continue_after(connection, claim, token, self._now())

    def progress(
        self,
        claim: Claim,
        *,
        percent: float,
        scored: int = 0,
        failed: int = 0,
        skipped: int = 0,
        message: str | None = None,
    ) -> bool:
        """Report how far the attempt is; whether somebody asked it to stop. Raises :class:`Superseded`."""
        with self._writing() as connection:
            now = self._now()
            asked = claims.progress(
                connection, claim, percent=percent, scored=scored, failed=failed, skipped=skipped, now=now
            )
            if message is not None:
                claims.log(connection, claim.job_id, claim.token, message, now)
            return asked

    def log(self, claim: Claim, line: str) -> None:
        """Add a line to the job's log."""
        with self._writing() as connection:
            claims.log(connection, claim.job_id, claim.token, line, self._now())

    def request_abort(self, job_id: str, by: str | None = None, *, token: int | None = None) -> bool:
        """Ask the running attempt to stop; False where the job is not running. Raises :class:`NotFound`.

        :param token: only where this attempt still owns the job: a killed task must not end its own successor.

        The attempt looks when it reports progress. One that already writes its output goes on to its commit, because
        rows without a snapshot would be worse.
        """
        with self._writing() as connection:
            return claims.request_abort(connection, job_id, by, token, self._now())

    def commit(self, claim: Claim, snapshot: Snapshot) -> int:
        """Make the snapshot the job's committed one; its revision. This is the commit point of a job.

        Calling it again with the same claim changes nothing. Raises :class:`Superseded`, :class:`BatchLocked`, or
        :class:`JobAborted` where the attempt was ended before. What parts had staged is removed.
        """
        values = commits.value_rows(snapshot.values)
        with self._writing() as connection:
            revision = commits.commit(connection, claim, snapshot, values, self._now())
            staged = parts.clear(connection, claim.job_id)
        if snapshot.prediction_files or claim.token > 1:
            self._sweep(claim.deployment_id, claim.batch_id, claim.job_id, claim.token, snapshot.prediction_files)
        owner = (claim.deployment_id, claim.batch_id, claim.job_id, claim.token)
        if snapshot.actual_files or claim.token > 1:
            self._sweep(*owner, snapshot.actual_files, kind=FileKind.ACTUALS)
        if snapshot.retained_files or claim.token > 1:
            self._sweep(*owner, snapshot.retained_files, kind=FileKind.RETAINED)
        if staged:
            self._sweep(*owner, (), kind=FileKind.STAGED)
        return revision

    def fail(self, claim: Claim, state: JobState, reason: str) -> bool:
        """End the attempt as failed, aborted or superseded, with its reason; whether the job still was this attempt's.

        A committed attempt stays completed, a newer attempt's job stays as it is.
        """
        with self._writing() as connection:
            return claims.end(connection, claim, state, reason, self._now())

    # Evaluation

    def record_evaluation(
        self,
        job_id: str,
        snapshot_revision: int,
        results: Sequence[Verdict],
        overall: ResultStatus,
        monitor_transitions: Sequence[MonitorTransition] = (),
        alerts: Sequence[Alert] = (),
        *,
        of_model: Sequence[evaluations.ModelVerdict] = (),
    ) -> int:
        """Write statuses, monitor states and alerts as one; how many alerts are new.

        ``of_model``: values that the evaluation made of the job's others; they replace those of the one before.

        The same evaluation twice changes nothing. Raises :class:`Superseded` where the job has another snapshot by
        now, :class:`BatchLocked` where its batch was deleted, :class:`NotFound`.
        """
        with self._writing() as connection:
            return evaluations.record(
                connection,
                job_id,
                snapshot_revision,
                results,
                overall,
                monitor_transitions,
                alerts,
                self._now(),
                of_model,
            )

    def alert_delivered(self, key: str) -> None:
        """Record that an alert arrived. Raises :class:`NotFound`."""
        with self._writing() as connection:
            outbox.delivered(connection, key, self._now())

    def alert_failed(self, key: str, reason: str) -> None:
        """Record that a delivery did not work; the alert stays pending. Raises :class:`NotFound`."""
        with self._writing() as connection:
            outbox.failed(connection, key, reason)

    # Batches

    def delete_batch(self, batch_id: str, *, by: str | None = None) -> None:
        """Remove a batch's predictions from everything, for good; its jobs stay as history.

        Raises :class:`NotFound`, and :class:`BatchLocked` where it was deleted before.
        """
        with self._writing() as connection:
            jobs = batches.delete(connection, batch_id, by=by, now=self._now())
            deployment_id = batches.one(connection, batch_id).deployment_id
        for job_id in jobs:
            for kind in FileKind:
                self._sweep(deployment_id, batch_id, job_id, _ANY_TOKEN, (), kind=kind)

    def _sweep(
        self,
        deployment_id: str,
        batch_id: str,
        job_id: str,
        token: int,
        keep: Sequence[PredictionFile],
        kind: FileKind = FileKind.PREDICTIONS,
    ) -> None:
        # What is not swept now is no danger, only space: the manifest decides which files count.
        with contextlib.suppress(MonitoringError):
            self.storage.sweep(
                deployment_id=deployment_id,
                batch_id=batch_id,
                job_id=job_id,
                token=token,
                keep=[file.path for file in keep],
                kind=kind,
            )
