"""Reading the store: whole committed snapshots, one moment per call, a page at a time.

Every call raises :class:`StoreUnavailable` where the database is away or locked, and :class:`StoreSchemaError` where
the tables are absent, older or newer; its own docstring names what else it raises.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
from collections.abc import Callable, Collection, Iterator
from typing import Any, Self

import sqlalchemy as sa

from airflow_monitoring_provider.definitions.terms import JobState, ResultStatus
from airflow_monitoring_provider.metrics.values import MetricValue
from airflow_monitoring_provider.store import (
    arguments,
    baselines,
    batches,
    claims,
    commits,
    evaluations,
    identity,
    outbox,
    parts,
    queries,
    registry,
    schema,
)
from airflow_monitoring_provider.store.deployment_records import BatchFilter
from airflow_monitoring_provider.store.engine import reading, writing
from airflow_monitoring_provider.store.evaluation_records import AlertRecord, MonitorStateRecord, PendingEvaluation
from airflow_monitoring_provider.store.identity import StoreIdentity
from airflow_monitoring_provider.store.part_records import PartRecord
from airflow_monitoring_provider.store.records import (
    AttemptRecord,
    Baseline,
    BatchRecord,
    Claim,
    DefinitionRecord,
    JobRecord,
    Page,
    PredictionFile,
    ResultRecord,
    StoredProfile,
)
from airflow_monitoring_provider.store.types import in_utc


def utcnow() -> dt.datetime:
    """The present, aware."""
    return dt.datetime.now(dt.UTC)


class StoreReader:
    """Everything that can be asked. Safe to share between threads; not across a fork.

    :param engine: from :func:`~airflow_monitoring_provider.store.engine.open_engine`; closed with this object.
    :param embedded: make and migrate the tables at first use (SQLite only; a shared database is migrated by command).
    :param clock: the present, aware; only for what is recorded as happening now.
    """

    def __init__(self, engine: sa.Engine, *, embedded: bool = False, clock: Callable[[], dt.datetime] = utcnow) -> None:
        self._engine = engine
        self._embedded = embedded and engine.dialect.name == "sqlite"
        self._clock = clock
        self._checked = False
        self._lock = threading.RLock()  # re-entrant: a signal handler may look while its own thread does

    def definition(self, id_or_name: str, revision: int | None = None) -> tuple[DefinitionRecord, dict[str, Any]]:
        """A definition and its content, current or of a revision. Raises :class:`NotFound`."""
        with self._reading() as connection:
            found = registry.one(connection, id_or_name)
            return found, registry.payload(connection, found.id, found.revision if revision is None else revision)

    def definitions(
        self, *, deployment_id: str | None = None, deleted: bool = False, limit: int = 100, offset: int = 0
    ) -> Page[DefinitionRecord]:
        """Definitions by name."""
        queries.page(limit, offset)
        with self._reading() as connection:
            return registry.many(connection, deployment_id=deployment_id, deleted=deleted, limit=limit, offset=offset)

    def jobs(
        self,
        *,
        definition_id: str | None = None,
        deployment_id: str | None = None,
        batch_id: str | None = None,
        state: JobState | Collection[JobState] = (),
        limit: int = 100,
        offset: int = 0,
        order: str = "-created",
    ) -> Page[JobRecord]:
        """Jobs without their logs; ``order`` is created, -created, window or -window."""
        queries.page(limit, offset)
        states = (state,) if isinstance(state, str) or not isinstance(state, Collection) else state
        with self._reading() as connection:
            return queries.jobs_page(
                connection,
                definition_id=definition_id,
                deployment_id=deployment_id,
                batch_id=batch_id,
                state=states,
                order=order,
                limit=limit,
                offset=offset,
            )

    def job(self, job_id: str) -> JobRecord:
        """One job with its log. Raises :class:`NotFound`."""
        with self._reading() as connection:
            return queries.job(connection, job_id)

    def has_committed(self, definition_id: str, revision: int) -> bool:
        """Whether any job of a definition has committed results of this revision of it, however many others failed."""
        with self._reading() as connection:
            return queries.has_committed(connection, definition_id, revision)

    def attempts(self, job_id: str) -> tuple[AttemptRecord, ...]:
        """Every attempt at a job, oldest first."""
        with self._reading() as connection:
            return queries.attempts(connection, job_id)

    def results(
        self,
        job_id: str,
        *,
        name: str | None = None,
        column: str | None = None,
        segment: str | None = None,
        status: Collection[ResultStatus] = (),
        limit: int = 100,
        offset: int = 0,
    ) -> Page[ResultRecord]:
        """Committed results of a job; ``segment=""`` means those of all rows. Raises :class:`NotFound`."""
        queries.page(limit, offset)
        status = (status,) if isinstance(status, str | ResultStatus) or not isinstance(status, Collection) else status
        filters = {"name": name, "column": column, "segment": segment}
        with self._reading() as connection:
            return queries.results_page(connection, job_id, **filters, status=status, limit=limit, offset=offset)

    def load_profile(self, job_id: str) -> StoredProfile | None:
        """The committed profile of a job; None where nothing is committed. Raises :class:`NotFound`."""
        with self._reading() as connection:
            return queries.profile(connection, job_id)

    def prediction_files(self, job_id: str) -> tuple[PredictionFile, ...]:
        """The manifest of a job's prediction log; read the files with ``storage``."""
        with self._reading() as connection:
            return queries.files(connection, job_id)

    def batches(
        self,
        deployment_id: str,
        wanted: BatchFilter | None = None,
        *,
        order: str = "-created",
        limit: int = 100,
        offset: int = 0,
    ) -> Page[BatchRecord]:
        """Batches of a deployment that are not deleted; ``wanted`` narrows or widens.

        :param order: name, created, earliest or latest (prediction), each also with ``-``.
        """
        queries.page(limit, offset)
        arguments.identity(deployment_id, "deployment_id", "deployment")
        chosen = BatchFilter() if wanted is None else wanted
        arguments.instance(chosen, BatchFilter, "wanted", "such as BatchFilter(search=...)")
        with self._reading() as connection:
            return batches.many(connection, deployment_id, chosen, order=order, limit=limit, offset=offset)

    def batch(self, batch_id: str) -> BatchRecord:
        """One batch, deleted or not. Raises :class:`NotFound`."""
        with self._reading() as connection:
            return batches.one(connection, batch_id)

    def confirm(self, claim: Claim) -> None:
        """Raise :class:`Superseded` where a newer attempt has claimed the window."""
        with self._reading() as connection:
            claims.confirm(connection, claim)

    def abort_requested(self, claim: Claim) -> bool:
        """Whether somebody asked this attempt to stop. Raises :class:`Superseded`."""
        with self._reading() as connection:
            return claims.abort_requested(connection, claim)

    def identity(self) -> StoreIdentity:
        """Which store this is, and which lost ones it continues."""
        with self._reading() as connection:
            return identity.identity(connection)

    def committed(self, claim: Claim) -> bool:
        """Whether this claim was committed; ask after :class:`OutcomeUnknown`."""
        with self._reading() as connection:
            return commits.committed(connection, claim)

    def held(self, job_id: str, cut: int) -> Claim:
        """The claim that a task of a cut window goes on with, committed or not.

        Raises :class:`NotFound`, :class:`Superseded`, and :class:`JobAborted` where the attempt was ended.
        """
        with self._reading() as connection:
            return parts.held(connection, job_id, cut)

    def parts(self, job_id: str, cut: int) -> tuple[PartRecord, ...]:
        """The parts of a cut window in order; none of a committed one."""
        with self._reading() as connection:
            return parts.all_of(connection, job_id, cut)

    def part_plan(self, job_id: str, cut: int) -> bytes:
        """How the window was cut. Raises :class:`Superseded` where that is over."""
        with self._reading() as connection:
            return parts.plan(connection, job_id, cut)

    def part_reference(self, job_id: str, cut: int) -> bytes:
        """The profile that the job is compared with; empty where there is none. Raises :class:`Superseded`."""
        with self._reading() as connection:
            return parts.reference(connection, job_id, cut)

    def pending_evaluation(self, job_id: str) -> PendingEvaluation | None:
        """The committed snapshot to evaluate; None where there is none. Read it before ``load_values``.

        Raises :class:`NotFound`, and :class:`BatchLocked` where it was deleted with its batch.
        """
        with self._reading() as connection:
            return evaluations.pending(connection, job_id)

    def load_values(self, job_id: str) -> list[MetricValue]:
        """Every committed value of a job."""
        with self._reading() as connection:
            return queries.values(connection, job_id)

    def load_baseline(self, definition_id: str, key: str, version: int | None = None) -> Baseline | None:
        """The baseline in use (or a version of it); None where there is none."""
        with self._reading() as connection:
            return baselines.load(connection, definition_id, key, version)

    def jobs_without_baseline(self, definition_id: str, *, limit: int = queries.PAGE_LIMIT) -> tuple[JobRecord, ...]:
        """Committed jobs that were compared with nothing yet, oldest window first."""
        queries.page(limit, 0)
        with self._reading() as connection:
            return queries.without_baseline(connection, definition_id, limit=limit)

    def monitor_states(self, definition_id: str) -> tuple[MonitorStateRecord, ...]:
        """Where the monitors of a definition stand."""
        with self._reading() as connection:
            return outbox.states(connection, definition_id)

    def pending_alerts(self, *, job_id: str | None = None, limit: int = 100) -> tuple[AlertRecord, ...]:
        """Alerts that nobody has been told yet, oldest first."""
        queries.page(limit, 0)
        with self._reading() as connection:
            return outbox.pending(connection, job_id=job_id, limit=limit)

    def check(self) -> None:
        """Reach the database and look at its tables; what a connection test calls."""
        self._checked = False
        with self._reading():
            pass

    def close(self) -> None:
        """Let go of the database's connections."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        self._require_schema()
        with reading(self._engine) as connection:
            yield connection

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        self._require_schema()
        with writing(self._engine) as connection:
            schema.require_current(connection)  # a newer version may have migrated since this process looked
            yield connection

    def _require_schema(self) -> None:
        if self._checked:
            return
        with self._lock:
            state = schema.schema_state(self._engine)
            if state is not schema.SchemaState.CURRENT:
                if not self._embedded:
                    raise schema.refusal(state)
                schema.migrate(self._engine)
            self._checked = True

    def _now(self) -> dt.datetime:
        return in_utc(self._clock())
