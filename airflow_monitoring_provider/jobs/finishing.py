"""Steps 3 to 5 of a job: what was read is compared, written and committed; then late actuals are joined."""

from __future__ import annotations

import dataclasses
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_monitoring_provider.definitions import JobDefinition, RowStatus
from airflow_monitoring_provider.engines.sql_rows import ProfiledRows
from airflow_monitoring_provider.exceptions import NotFound, OutcomeUnknown, OutputUnavailable, Superseded
from airflow_monitoring_provider.jobs import retention
from airflow_monitoring_provider.jobs.actuals import label
from airflow_monitoring_provider.jobs.claiming import attempt_of
from airflow_monitoring_provider.jobs.custom import profile_values, read_values
from airflow_monitoring_provider.jobs.history import history_values
from airflow_monitoring_provider.jobs.maturity import settings_of
from airflow_monitoring_provider.jobs.progress import Progress
from airflow_monitoring_provider.jobs.pushing import watched
from airflow_monitoring_provider.jobs.reading import Reading, Rows
from airflow_monitoring_provider.jobs.reference import Reference
from airflow_monitoring_provider.jobs.spool import EncodedSpool
from airflow_monitoring_provider.jobs.timeliness import (
    Timing,
    is_incomplete,
    late_rows_of,
    timeliness_values,
    timing,
)
from airflow_monitoring_provider.metrics.compare import compare
from airflow_monitoring_provider.metrics.values import MetricValue
from airflow_monitoring_provider.outputs.encoding import EncodingWriter
from airflow_monitoring_provider.outputs.output import Attempt, Receipt, RowWriter
from airflow_monitoring_provider.outputs.selected import SelectingWriter
from airflow_monitoring_provider.profiles.serialise import FORMAT_VERSION, to_bytes
from airflow_monitoring_provider.store.records import Claim, JobRecord, Snapshot
from airflow_monitoring_provider.store.store import MonitoringStore

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class JobSummary:
    """What a finished job says of itself; counts are rows.

    :param rows: rows in the window, ``status_counts`` per row status (their sum is ``rows``).
    :param null_timestamps: rows of the source that are in no window because their timestamp is null.
    :param output_rows: rows written to the output (of an update: rows that matched one), None where the definition has
        no output.
    :param actuals: what became of late actuals (:class:`~airflow_monitoring_provider.jobs.actuals.Labelling`); None
        where the job neither brought nor met any.
    :param incomplete: the job ran before the rows of its window had arrived.
    :param late_rows: rows gained since the first job that ran when they should have; None on that one.
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
    actuals: dict[str, int] | None = None
    incomplete: bool = False
    late_rows: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-clean form: instants as ISO 8601 text."""
        return dataclasses.asdict(self) | {
            "window_start": self.window_start.isoformat(),
            "window_end": self.window_end.isoformat(),
        }


def finish_job(
    definition: JobDefinition,
    store: MonitoringStore,
    claim: Claim,
    writer: RowWriter | None,
    reading: Reading,
    reference: Reference,
    progress: Progress,
) -> JobSummary:
    """Compare, write and commit what an attempt read."""
    if reference.is_this_window:
        reference = dataclasses.replace(reference, profile=reading.profile, version=claim.snapshot_revision + 1)
    job = store.job(claim.job_id)
    timed = timing(definition, claim.window, reading.profile.rows, job.started_at, job.snapshot)
    values = reference.explain(
        compare(  # 3 compare
            reading.profile,
            reference.profile,
            settings_of(definition, claim.window, store),
            schema_changes=reading.schema_changes,
            null_timestamps=reading.null_timestamps,
            as_of=due(job),
        )
    )
    values += [*read_values(definition, reading.custom), *profile_values(definition, reading.profile)]
    values += timeliness_values(definition, claim.window, reading.profile.rows, timed, store)
    values += history_values(definition, claim.window, claim.job_id, values, store)
    if reading.unreadable_times:
        progress.note(
            f"{reading.unreadable_times} actuals have a time that cannot be read: any other actual of their id counts "
            "before them"
        )
    progress.stage("write", f"compared: {len(values)} values")
    receipt = _write(store, writer, claim, reading, progress)  # 4 write
    progress.stage("commit", _told_output(receipt))
    snapshot = _snapshot(definition, reading, values, reference, timed)
    batch = store.batch(claim.batch_id)
    revision = _commit(store, claim, snapshot)  # 5 commit
    log.info("Committed job %s: %d rows, snapshot revision %d", claim.job_id, snapshot.rows, revision)
    summary = JobSummary(
        job_id=claim.job_id,
        definition_id=definition.id,
        deployment_id=definition.deployment_id,
        batch_id=claim.batch_id,
        batch_name=batch.name,
        window_start=claim.window.start,
        window_end=claim.window.end,
        rows=snapshot.rows,
        status_counts=dict(snapshot.status_counts),
        null_timestamps=snapshot.null_timestamps,
        output_rows=None if receipt is None else receipt.written,
        snapshot_revision=revision,
        content_hash=snapshot.content_hash,
        baseline_version=snapshot.baseline_version,
        incomplete=timed.incomplete,
        late_rows=timed.late,
    )
    return _labelled(summary, definition, store, claim, logged=bool(snapshot.prediction_files))


def label_committed(definition: JobDefinition, store: MonitoringStore, claim: Claim) -> JobSummary:
    """The summary of a claim that is committed, once its late actuals are joined: its task may have died before."""
    summary = committed_job(store, claim.job_id)
    return _labelled(summary, definition, store, claim, logged=bool(store.prediction_files(claim.job_id)))


def _labelled(
    summary: JobSummary, definition: JobDefinition, store: MonitoringStore, claim: Claim, *, logged: bool
) -> JobSummary:
    """The summary after late actuals were joined, which may have restated the job itself."""
    found = label(definition, store, claim, logged=logged)
    if found is None:
        return summary
    if found.restated and logged:
        restated = committed_job(store, claim.job_id)
        summary = dataclasses.replace(
            summary, snapshot_revision=restated.snapshot_revision, content_hash=restated.content_hash
        )
    return dataclasses.replace(summary, actuals=found.to_dict())


def due(job: JobRecord) -> datetime:
    """When the rows of a job were to be there: at the end of its window, or when it ran if that was earlier."""
    return min(job.window.end, job.started_at)


def committed_job(store: MonitoringStore, job_id: str) -> JobSummary:
    """What a job that is committed says of itself; nobody remembers how many rows went to its output.

    :raises NotFound: it is not committed.
    """
    job = store.job(job_id)
    if job.snapshot is None:
        raise NotFound("the job has no committed snapshot")
    return JobSummary(
        job_id=job.id,
        definition_id=job.definition_id,
        deployment_id=job.deployment_id,
        batch_id=job.batch_id,
        batch_name=store.batch(job.batch_id).name,
        window_start=job.window.start,
        window_end=job.window.end,
        rows=job.snapshot.rows,
        status_counts=dict(job.snapshot.status_counts),
        null_timestamps=job.snapshot.null_timestamps,
        output_rows=None,
        snapshot_revision=job.snapshot.revision,
        content_hash=job.snapshot.content_hash,
        baseline_version=job.snapshot.baseline_version,
        incomplete=is_incomplete(job.snapshot),
        late_rows=late_rows_of(job.snapshot),
    )


def _write(
    store: MonitoringStore, writer: RowWriter | None, claim: Claim, reading: Reading, progress: Progress
) -> Receipt | None:
    if writer is None or reading.rows is None:
        return None
    try:
        receipt = _receipt(writer, reading.rows, attempt_of(store, claim), progress)
    except Superseded:
        store.confirm(claim)  # says the same, unless the attempt that took the marker is one the store forgot
        raise OutputUnavailable(
            f"{writer.label}: an attempt that the store does not remember wrote since this one began, or somebody "
            "removed the marker; the retry goes on past it"
        ) from None
    if receipt.unmatched:
        log.warning("Job %s %s", claim.job_id, _told_output(receipt))
    return receipt


def _receipt(
    writer: RowWriter, rows: Rows | EncodedSpool | ProfiledRows, attempt: Attempt, progress: Progress
) -> Receipt:
    if isinstance(rows, EncodedSpool):
        if not isinstance(writer, EncodingWriter):  # or it had not made the bytes
            raise TypeError(f"{type(writer).__name__} takes no bytes of a file")
        return writer.write_encoded(rows.fill, attempt)
    if not isinstance(rows, ProfiledRows):
        return writer.write(rows.batches(), attempt, schema=rows.schema)
    if not isinstance(writer, SelectingWriter):  # or the database had not been asked for a profile
        raise TypeError(f"{type(writer).__name__} cannot be filled by a database")
    with watched(rows, progress, commits=True):
        return writer.write_selected(rows, attempt)


def _told_output(receipt: Receipt | None) -> str:
    if receipt is None:
        return "no output is declared"
    text = f"wrote {receipt.written} rows"
    if receipt.unmatched:
        text += f"; {receipt.unmatched} rows matched no row of the output and were not added"
    return text + (f"; {receipt.skipped} rows repeat the identifiers of an earlier one" if receipt.skipped else "")


def _snapshot(
    definition: JobDefinition, reading: Reading, values: list[MetricValue], reference: Reference, timed: Timing
) -> Snapshot:
    profile, late = reading.profile, definition.monitoring_columns.brings_late_actuals
    sampled = definition.monitoring_aggregation is not None
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
        earliest=instant_of(profile.earliest),
        latest=instant_of(profile.latest),
        null_timestamps=reading.null_timestamps,
        prediction_files=() if late or sampled else reading.log_files,
        actual_files=reading.log_files if late else (),
        retained_files=reading.log_files if sampled else (),
        baseline_version=reference.version,
        baseline_key=reference.key,
        details={
            **_told_times(reading),
            **timed.to_details(),
            **retention.told(definition, reading.eligible, reading.log_files),
        },
    )


def _told_times(reading: Reading) -> dict[str, int]:
    return {"unreadable_actual_times": reading.unreadable_times} if reading.unreadable_times else {}


def _commit(store: MonitoringStore, claim: Claim, snapshot: Snapshot) -> int:
    """Commit; where the answer to the first COMMIT was lost, the second call finds out what became of it."""
    try:
        return store.commit(claim, snapshot)
    except OutcomeUnknown:
        return store.commit(claim, snapshot)


def instant_of(microseconds: int | None) -> datetime | None:
    """An instant of a profile: microseconds since 1970, UTC."""
    return None if microseconds is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
