"""The way of one job, from claim to commit, on one screen.

``run_job`` reads the rows of one window once, reduces them to a profile, compares it with the baseline, writes a status
for every row, and commits a snapshot. Readers of the store see nothing of it before the commit. A worker that dies
before the output's transaction leaves nothing; one that dies between output and commit leaves rows that the next
attempt replaces; one that wakes up late is refused by its token, at the output's marker and at the commit.
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
    Superseded,
)
from airflow_monitoring_provider.jobs.baseline import Reference, find_reference
from airflow_monitoring_provider.jobs.ports import Ports
from airflow_monitoring_provider.jobs.progress import Progress, told
from airflow_monitoring_provider.jobs.reading import Reading, read_rows
from airflow_monitoring_provider.metrics.compare import ComparisonSettings, compare
from airflow_monitoring_provider.metrics.values import MetricValue
from airflow_monitoring_provider.outputs.output import Attempt, Receipt
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
    claim = _claim(store, definition, window, run, batch_name)  # 1 claim
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
            receipt = _write(definition, window, ports, claim, reading)  # 4 write
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
    store: MonitoringStore, definition: JobDefinition, window: Window, run: RunInfo | None, batch_name: str | None
) -> Claim:
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
    log.info("Claimed job %s, attempt %d, window %s", claim.job_id, claim.token, window.key())
    return claim


def _rows_last_time(store: MonitoringStore, claim: Claim) -> int | None:
    """Rows that this job had before, else those of the definition's newest one: what the percentage is measured by."""
    last = [store.job(claim.job_id)] if claim.snapshot_revision else []
    for job in last or store.jobs(definition_id=claim.definition_id, state=JobState.COMPLETED, limit=1):
        return job.snapshot.rows if job.snapshot else None
    return None


def _write(definition: JobDefinition, window: Window, ports: Ports, claim: Claim, reading: Reading) -> Receipt | None:
    if reading.rows is None:
        return None
    attempt = Attempt(
        definition_id=definition.id,
        job_id=claim.job_id,
        window_start=window.start,
        window_end=window.end,
        token=claim.token,
    )
    rows = reading.rows
    receipt = ports.writer(definition).write(rows.batches(), attempt, schema=rows.schema)
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
