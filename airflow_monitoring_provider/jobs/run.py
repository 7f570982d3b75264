"""The way of one job, from claim to commit, and the protocol that lets it be killed or run twice at any moment.

``run_job`` reads the rows of one window once, reduces them to a profile, compares it with the baseline, writes a status
for every row, and commits a snapshot. Whatever dies, freezes or runs beside itself, a window's rows are in the output
once, its snapshot in the store once, both of the newest attempt, and readers of the store see nothing unfinished:

1. *Claim.* One upsert in the store counts the job's **token** up; the attempt that holds the last one is the newest.
   The output's marker is looked at: it holds (store id, token) of the attempt that wrote last.
2. *Profile*, 3. *compare.* Nothing is written; rows wait in a private file.
4. *Write.* **Marker first**: the first statement of the output's transaction takes the marker, and changes nothing
   where a newer attempt has it; then this job's earlier rows go, the new ones come, the store is asked whether the
   attempt is still the newest, the marker is completed, all in one commit. Where the answer to COMMIT is lost, the
   marker says what became of it.
5. *Commit.* One transaction in the store that holds only while the job still carries the attempt's token: snapshot,
   metrics, batch, "evaluation due". Evaluation, its own task, writes statuses, monitor states and the **outbox** in one
   transaction, from which alerts are delivered at least once, each with a key that stays.

A worker that dies before the commit of 4 leaves nothing; between 4 and 5, rows that the retry replaces. One that wakes
up late is refused by its token, at the marker and again in 5.

========================= ============================================================================================
output                    step 4, and what is weaker
========================= ============================================================================================
table                     as above. With ``commitInterval`` each further transaction confirms the marker first, and
                          the marker stays ``writing`` until the last: readers of the table may see a prefix, and a
                          retry removes it.
table, no right to make   ``insert_update`` on columns with a unique constraint only, each row once: the write replaces
the marker tables         itself. An attempt that freezes between its question to the store and COMMIT holds the locks
                          of its rows, so a newer one waits for it or ends retryable; rows that only the frozen one
                          had may then stay.
file on a disk            the marker is a file beside it, looked at and taken under a lock, at the start and again
                          around the rename that gives the whole file its name. Killed between rename and marker: the
                          file is whole and its marker says ``writing``; the retry replaces both.
object in a store         the same without a lock (:mod:`~airflow_monitoring_provider.outputs.object_store`): an attempt
                          that freezes between its last look and its put may leave a stale, whole object.
========================= ============================================================================================

The token counts one store's attempts, so the marker remembers whose they were:

- *A store restored from an older backup* keeps its id. In 1 its new attempt meets a marker with a token that it never
  gave; being the newest by its claim, it goes on with a token past the marker's, and says so in the job's log. A token
  given twice (before the backup was restored and after it) is told apart by nothing: end running jobs before restoring.
- *A lost store that was made anew* has another id: its jobs end with an error until somebody says that it continues the
  lost one (``airflow monitoring db adopt``). Taking over without a word would let *two live stores* that share an
  output fight over it; the same error tells them so. Only a copy of a store that is used beside its original goes
  unnoticed but for the line in the log.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_monitoring_provider.definitions import JobDefinition, JobState, RowStatus, Window
from airflow_monitoring_provider.exceptions import (
    JobAborted,
    JobInterrupted,
    MonitoringError,
    OutcomeUnknown,
    OutputUnavailable,
    Superseded,
)
from airflow_monitoring_provider.jobs.baseline import Reference, find_reference
from airflow_monitoring_provider.jobs.ports import Ports
from airflow_monitoring_provider.jobs.progress import Progress, told
from airflow_monitoring_provider.jobs.reading import Reading, read_rows
from airflow_monitoring_provider.metrics.compare import ComparisonSettings, compare
from airflow_monitoring_provider.metrics.values import MetricValue
from airflow_monitoring_provider.outputs.output import Attempt, Receipt, RowWriter
from airflow_monitoring_provider.profiles.serialise import FORMAT_VERSION, to_bytes
from airflow_monitoring_provider.store.records import Claim, RunInfo, Snapshot
from airflow_monitoring_provider.store.store import MonitoringStore

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class JobSummary:
    """What a finished job says of itself; counts are rows.

    :param rows: rows in the window, ``status_counts`` per row status (their sum is ``rows``).
    :param null_timestamps: rows of the source that are in no window because their timestamp is null.
    :param output_rows: rows written to the output (of an update: rows that matched one), None where the definition has
        no output.
    """

    job_id: str
    definition_id: str
    deployment_id: str
    batch_id: str
    batch_name: str
    window_start: datetime
    window_end: datetime
    rows: int
    status_counts: dict[str, int]
    null_timestamps: int
    output_rows: int | None
    snapshot_revision: int
    content_hash: str
    baseline_version: int | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-clean form: instants as ISO 8601 text."""
        return dataclasses.asdict(self) | {
            "window_start": self.window_start.isoformat(),
            "window_end": self.window_end.isoformat(),
        }


def run_job(
    definition: JobDefinition,
    window: Window,
    ports: Ports,
    *,
    run: RunInfo | None = None,
    batch_name: str | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    on_claim: Callable[[Claim], None] = lambda claim: None,
) -> JobSummary:
    """Run one monitoring job over one window.

    :param run: which Airflow run and try this is; recorded with the attempt.
    :param batch_name: name of the job's batch instead of prefix + window.
    :param cancelled: polled while rows are read; true ends the job as aborted.
    :param on_claim: called with the claim as soon as there is one.
    :raises RetryableError: intake, output or store could not be reached; the same call may succeed later.
    :raises TerminalError: the definition, the data or somebody's decision ends the job; ``Superseded`` when a newer
        attempt owns the window.
    """
    store = ports.store
    claim, writer = _claim(definition, window, ports, run, batch_name)  # 1 claim
    on_claim(claim)
    with _settled(store, claim):
        progress = Progress(store, claim, cancelled, expected_rows=_rows_last_time(store, claim))
        reference = find_reference(definition, window, ports, progress)
        with read_rows(definition, window, ports, claim, reference, progress) as reading:  # 2 profile
            if reference.is_this_window:
                reference = dataclasses.replace(reference, profile=reading.profile, version=claim.snapshot_revision + 1)
            values = compare(  # 3 compare
                reading.profile,
                reference.profile,
                ComparisonSettings.from_definition(definition),
                schema_changes=reading.schema_changes,
                null_timestamps=reading.null_timestamps,
            )
            progress.stage("write", f"compared: {len(values)} values")
            receipt = _write(store, writer, claim, reading)  # 4 write
            progress.stage("commit", _told_output(receipt))
            snapshot = _snapshot(reading, values, reference)
            batch = store.batch(claim.batch_id)
            revision = _commit(store, claim, snapshot)  # 5 commit
    log.info("Committed job %s: %d rows, snapshot revision %d", claim.job_id, snapshot.rows, revision)
    return JobSummary(
        job_id=claim.job_id,
        definition_id=definition.id,
        deployment_id=definition.deployment_id,
        batch_id=claim.batch_id,
        batch_name=batch.name,
        window_start=window.start,
        window_end=window.end,
        rows=snapshot.rows,
        status_counts=dict(snapshot.status_counts),
        null_timestamps=snapshot.null_timestamps,
        output_rows=None if receipt is None else receipt.written,
        snapshot_revision=revision,
        content_hash=snapshot.content_hash,
        baseline_version=snapshot.baseline_version,
    )


def _claim(
    definition: JobDefinition, window: Window, ports: Ports, run: RunInfo | None, batch_name: str | None
) -> tuple[Claim, RowWriter | None]:
    """The claim, and the writer of the output if there is one, whose marker the claim's token is past."""
    store = ports.store
    record = store.register_definition(definition, dag_id=run.dag_id if run else None)
    prefix = definition.monitoring_batch_prefix or definition.name
    claim = store.claim(
        record,
        window,
        run=run,
        batch_name=batch_name or f"{prefix} {window.label:%Y-%m-%d %H:%M:%S}",
        model_id=definition.model_id,
        model_version=definition.model_version,
        environment=definition.environment,
    )
    with _settled(store, claim):
        writer = ports.writer(definition) if definition.output_settings is not None else None
        known = writer.last_token(_attempt(store, claim)) if writer is not None else 0
        if known >= claim.token:
            claim = store.continue_after(claim, known)
            log.warning("Job %s: the output knows attempt %d, which the store has forgotten", claim.job_id, known)
    log.info("Claimed job %s, attempt %d, window %s", claim.job_id, claim.token, window.key())
    return claim, writer


def _attempt(store: MonitoringStore, claim: Claim) -> Attempt:
    return Attempt(
        definition_id=claim.definition_id,
        job_id=claim.job_id,
        window_start=claim.window.start,
        window_end=claim.window.end,
        token=claim.token,
        store_id=claim.store_id,
        continues=claim.continues,
        confirm=lambda: store.confirm(claim),
    )


def _rows_last_time(store: MonitoringStore, claim: Claim) -> int | None:
    """Rows that this job had before, else those of the definition's newest one: what the percentage is measured by."""
    last = [store.job(claim.job_id)] if claim.snapshot_revision else []
    for job in last or store.jobs(definition_id=claim.definition_id, state=JobState.COMPLETED, limit=1):
        return job.snapshot.rows if job.snapshot else None
    return None


def _write(store: MonitoringStore, writer: RowWriter | None, claim: Claim, reading: Reading) -> Receipt | None:
    if writer is None or reading.rows is None:
        return None
    try:
        receipt = writer.write(reading.rows.batches(), _attempt(store, claim), schema=reading.rows.schema)
    except Superseded:
        store.confirm(claim)  # says the same, unless the attempt that took the marker is one the store forgot
        raise OutputUnavailable(
            f"{writer.label}: an attempt that the store does not remember wrote since this one began, or somebody "
            "removed the marker; the retry goes on past it"
        ) from None
    if receipt.unmatched:
        log.warning("Job %s %s", claim.job_id, _told_output(receipt))
    return receipt


def _told_output(receipt: Receipt | None) -> str:
    if receipt is None:
        return "no output is declared"
    text = f"wrote {receipt.written} rows"
    if receipt.unmatched:
        text += f"; {receipt.unmatched} rows matched no row of the output and were not added"
    return text + (f"; {receipt.skipped} rows repeat the identifiers of an earlier one" if receipt.skipped else "")


def _snapshot(reading: Reading, values: list[MetricValue], reference: Reference) -> Snapshot:
    profile = reading.profile
    scored = profile.status_counts.get(RowStatus.MONITORED.text, 0)
    return Snapshot(
        profile_bytes=to_bytes(profile),
        content_hash=profile.content_hash(),
        plan_hash=profile.plan.digest(),
        format_version=FORMAT_VERSION,
        rows=profile.rows,
        status_counts=profile.status_counts,
        values=values,
        scored=scored,
        failed=profile.rows - scored,
        earliest=_instant(profile.earliest),
        latest=_instant(profile.latest),
        null_timestamps=reading.null_timestamps,
        prediction_files=() if reading.prediction_file is None else (reading.prediction_file,),
        baseline_version=reference.version,
    )


def _commit(store: MonitoringStore, claim: Claim, snapshot: Snapshot) -> int:
    """Commit; where the answer to the first COMMIT was lost, the second call finds out what became of it."""
    try:
        return store.commit(claim, snapshot)
    except OutcomeUnknown:
        return store.commit(claim, snapshot)


def _instant(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)


@contextmanager
def _settled(store: MonitoringStore, claim: Claim) -> Iterator[None]:
    """Every attempt that ends without a commit says why, in the store and in the log."""
    try:
        yield
    except BaseException as error:
        state, reason = _ending(error)
        log.warning("Job %s, attempt %d: %s: %s", claim.job_id, claim.token, state, reason)
        try:
            store.fail(claim, state, reason)
        except MonitoringError as unreachable:
            # The store is what failed, or fails as well: the attempt's own error must reach the caller all the same.
            log.warning("The end of job %s could not be recorded: %s", claim.job_id, unreachable)
        raise


def _ending(error: BaseException) -> tuple[JobState, str]:
    if isinstance(error, Superseded):
        return JobState.SUPERSEDED, told(error)
    return JobState.ABORTED if isinstance(error, JobAborted | JobInterrupted) else JobState.FAILED, told(error)
